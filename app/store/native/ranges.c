#include "ranges.h"

#include <string.h>

#include "numbers.h"
#include "protocol.h"

enum { FIRST = FIRST_OWN, LAST };
_Static_assert(LAST + 1 == BEHIND_RANGE, "see ranges.h");

static const int64_t MOST_BLOCKS = (int64_t)1 << 52;

static int open_all(Range *range, int first_vector) {
    Call *call = &range->call;
    int n = call->n_keys - first_vector;
    if (!open_vectors(&range->vectors, call, first_vector, n, READ)) return 0;
    range->strings = allocate((size_t)(n + 1) * sizeof(String *));
    range->values = allocate((size_t)(n + 1) * sizeof(char *));
    memset(range->strings, 0, (size_t)(n + 1) * sizeof(String *));
    return 1;
}

const char *open_range(Range *range, Context *context, String **argv, int argc, int least_keys,
                       int least_arguments, int first_vector) {
    int64_t first, last;
    memset(range, 0, sizeof *range);
    if (!open_call(&range->call, context, argv, argc, least_keys, least_arguments) ||
        !whole(&range->call, FIRST, 0, MOST_BLOCKS, &first) ||
        !whole(&range->call, LAST, 0, MOST_BLOCKS, &last)) {
        return NULL;
    }
    if (!open_hash(&range->meta, context, range->call.keys[0], READ)) {
        say_wrong_type(context);
        return NULL;
    }
    if (!open_all(range, first_vector)) {
        close_hash(&range->meta);
        return NULL;
    }
    range->ids = ids_from(first, last);
    range->n_blocks = last < first ? 0 : last - first + 1;
    range->dtype = dtype_of(&range->meta);
    const char *why = standing(&range->meta, &range->call);
    if (!why) close_range(range);
    return why && !*why && !range->dtype ? "NOMODEL" : why;
}

static void drop_block(Range *range) {
    for (int v = 0; v < range->vectors.n; v++) {
        if (range->strings[v]) free_string(range->call.context, range->strings[v]);
        range->strings[v] = NULL;
    }
}

void close_range(Range *range) {
    drop_block(range);
    release(range->strings);
    release(range->values);
    close_vectors(&range->vectors);
    close_hash(&range->meta);
}

void conclude_range(Range *range) {
    Context *context = range->call.context;
    close_range(range);
    if (open_hash(&range->meta, context, range->call.keys[0], WRITE)) {
        note_change(&range->meta, &range->call);
        close_hash(&range->meta);
    }
    replicate(context);
}

int next_block(Range *range) {
    int more = next_id(&range->ids);
    drop_block(range);
    if (more <= 0) return more;
    for (int v = 0; v < range->vectors.n; v++) {
        range->strings[v] = get(&range->vectors.hashes[v], range->ids.id);
        if (!range->strings[v]) return -1;
        Bytes bytes = bytes_of(range->strings[v]);
        if (v == 0) range->bytes = bytes.length;
        if (bytes.length != range->bytes || bytes.length % width_of(range->dtype)) return -1;
        range->values[v] = bytes.at;
    }
    return 1;
}

int open_output(Output *output, size_t bytes, size_t n) {
    *output = (Output){.size = bytes};
    if (bytes > MOST_BYTES || n > MOST_BYTES / sizeof(size_t)) return 0;
    output->out = room(OUTPUT, bytes);
    output->bytes = room(LISTS, n * sizeof(size_t));
    return output->out && output->bytes;
}

char *next_output(Output *output, size_t bytes) {
    if (bytes > output->size - output->used) return NULL;
    char *next = output->out + output->used;
    output->bytes[output->n++] = bytes;
    output->used += bytes;
    return next;
}

void write_output(const Output *output, const Hash *vector, int64_t first) {
    Ids ids = ids_from(first, first + (int64_t)output->n - 1);
    const char *from = output->out;
    for (size_t i = 0; next_id(&ids) == 1; i++) {
        put_bytes(vector, ids.id, from, output->bytes[i]);
        from += output->bytes[i];
    }
}

int say_sums(Context *context, const char *answer, const double *sums, size_t n) {
    say_array(context, 2);
    say_bytes(context, answer);
    return say_text(context, (const char *)sums, n * sizeof(double));
}
