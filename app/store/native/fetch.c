/* Reading a vector's blocks, and where its shard stands; twin: ../lua/fetch.lua. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "protocol.h"

enum { OF_STREAM = 2, FIRST, LAST, AS, N_ARGUMENTS };
enum { META, VECTOR, N_KEYS };

static const int64_t MOST_BLOCKS = (int64_t)1 << 52;

static int say_fetched(Context *context, const char *answer, int64_t clock, int64_t last,
                       int is_back, Bytes values) {
    say_array(context, 4 + is_back);
    say_bytes(context, answer);
    say_integer(context, clock);
    say_integer(context, last);
    say_array_back(context, is_back, values);
    return OK;
}

/* Put n blocks together, of up to `most` bytes each. 0 if one is missing; a longer one says how
 * many bytes it has in `most`. */
static int join(const Hash *vector, Ids ids, size_t n, size_t *most, Bytes *out) {
    char *to = n <= MOST_BYTES && *most <= MOST_BYTES ? room(OUTPUT, n * *most) : NULL;
    *out = (Bytes){to, 0};
    while (to && next_id(&ids) == 1) {
        String *string = get(vector, ids.id);
        if (!string) return 0;
        Bytes block = bytes_of(string);
        int fits = block.length <= *most;
        if (fits) memcpy(to + out->length, block.at, block.length);
        out->length += block.length;
        free_string(vector->context, string);
        if (!fits) *most = block.length;
        if (!fits) return 1;
    }
    return to != NULL;
}

/* The blocks first..last as one; 0 if one is missing, or if they are too many. */
static int read_blocks(const Hash *vector, int64_t first, int64_t last, Bytes *out) {
    size_t n = last < first ? 0 : (size_t)(last - first + 1), most = 0, tried;
    char id[LONGEST_ID];
    write_whole(id, first);
    String *string = n > 0 ? get(vector, id) : NULL;
    if (string) {
        most = bytes_of(string).length; /* all have as many but the last, as a rule */
        free_string(vector->context, string);
    }
    do {
        tried = most;
        if (!join(vector, ids_from(first, last), n, &most, out)) return 0;
    } while (most > tried);
    return 1;
}

int is_behind(const Hash *meta, int64_t fence, int64_t known) {
    int64_t in_force = get_whole(meta, "fence", -1);
    if (in_force < 0) return 0;
    return in_force < fence || (in_force == fence && get_whole(meta, "change", 0) < known);
}

int fetch(Context *context, String **argv, int argc) {
    Call call;
    Hash meta, vector;
    Coding coding;
    Handed handed;
    int64_t fence, known, stream, first, last;
    char field[LONGEST_ID + 8];
    if (!open_call(&call, context, argv, argc, N_KEYS, N_ARGUMENTS) ||
        !whole(&call, FENCE, 0, INT64_MAX / 4, &fence) ||
        !whole(&call, KNOWN_CHANGE, 0, INT64_MAX / 4, &known) ||
        !whole(&call, OF_STREAM, 0, MOST_BLOCKS, &stream) ||
        !whole(&call, FIRST, 0, MOST_BLOCKS, &first) ||
        !whole(&call, LAST, 0, MOST_BLOCKS, &last) || !read_coding(&call, AS, &coding)) {
        return OK;
    }
    if (!open_hash(&meta, context, call.keys[META], READ)) return say_wrong_type(context);
    if (!open_hash(&vector, context, call.keys[VECTOR], READ)) {
        close_hash(&meta);
        return say_wrong_type(context);
    }
    Bytes values;
    int64_t clock = get_whole(&meta, "clock", -1);
    snprintf(field, sizeof field, "seq:%lld", (long long)stream);
    if (!open_handed(&handed, &call, NO_ARRAY)) {
        /* told */
    } else if (is_behind(&meta, fence, known)) {
        say_fetched(context, "BEHIND", 0, 0, 0, (Bytes){"", 0});
    } else if (clock >= 0 && read_blocks(&vector, first, last, &values)) {
        if (may_code(context, coding, dtype_of(&meta))) {
            encode_bytes(coding, &values);
            int is_back = hand_back(&handed, values);
            say_fetched(context, "OK", clock, get_whole(&meta, field, 0), is_back, values);
        }
    } else {
        say_fetched(context, "NOMODEL", 0, 0, 0, (Bytes){"", 0});
    }
    close_handed(&handed);
    close_hash(&vector);
    close_hash(&meta);
    return OK;
}
