/* A push of a dense gradient; twin: ../lua/push.lua. */
#include <string.h>

#include "commands.h"
#include "numbers.h"
#include "protocol.h"

/* The new blocks of a push: of each block one of every vector, computed where the server has put its
 * copy of the old one, and written once all are computed. */
typedef struct {
    String **strings;
    size_t n, bytes; /* blocks, and how large they are together in one vector */
    int n_values;
} Made;

/* Room for the blocks of these ids; 0 if they are too many. */
static int make_room(Made *made, Bytes ids, int n_values) {
    size_t most = 1;
    for (size_t i = 0; i < ids.length; i++) most += ids.at[i] == ',';
    *made = (Made){.n_values = n_values};
    made->strings = room(LISTS, most * (size_t)n_values * sizeof(String *));
    return made->strings != NULL;
}

/* Let go of the blocks from one on. */
static void drop(Made *made, size_t first, Context *context) {
    for (size_t i = first * (size_t)made->n_values; i < made->n * (size_t)made->n_values; i++) {
        if (made->strings[i]) free_string(context, made->strings[i]);
    }
    made->n = first;
}

/* Take the stored block of every vector to what is made, and tell where they lie; how many bytes one
 * of them has, 0 if it is not stored in full everywhere. */
static size_t take_block(Made *made, const Vectors *vectors, const char *id, size_t width,
                         void **values) {
    String **strings = made->strings + made->n++ * (size_t)made->n_values;
    size_t bytes = 0;
    int full = 1;
    for (int k = 0; k < made->n_values; k++) {
        Bytes own = {NULL, 0};
        strings[k] = get_own(&vectors->hashes[k], id);
        if (strings[k]) own = bytes_of(strings[k]);
        if (k == 0) bytes = own.length;
        values[k] = (void *)own.at;
        full = full && own.at && own.length == bytes;
    }
    full = full && bytes % width == 0;
    if (full) made->bytes += bytes;
    return full ? bytes : 0;
}

static int bad_push(Push *push, const char *id) {
    say_error_about(push->call.context, "BADPUSH block %s is not stored here in full", id);
    return -1;
}

/* Compute the next block. Returns whether it is finite; -1 if it is not there, which was told. */
static int compute_block(Push *push, const Vectors *vectors, const char *id, Bytes gradient,
                         Made *made) {
    void *values[MOST_VALUES];
    size_t width = width_of(push->dtype), at = made->bytes;
    size_t bytes = take_block(made, vectors, id, width, values);
    int finite = 1;
    if (bytes == 0) return bad_push(push, id);
    if (made->bytes > gradient.length) { /* told when all are counted */
        drop(made, made->n - 1, push->call.context);
        return finite;
    }
    apply(push->rule, push->dtype, &push->step, bytes / width, gradient.at + at,
          (const void *const *)values, values);
    for (int k = 0; k < made->n_values; k++) {
        finite = finite && all_finite(push->dtype, values[k], bytes / width);
    }
    return finite;
}

/* Compute all blocks. Returns whether they are finite; -1 if something does not fit, which was
 * told. */
static int compute(Push *push, const Vectors *vectors, Bytes gradient, Made *made) {
    Context *context = push->call.context;
    Ids ids = ids_in(bytes_of(push->call.arguments[ABOUT]));
    int finite = 1, more;
    while ((more = next_id(&ids)) == 1) {
        int good = compute_block(push, vectors, ids.id, gradient, made);
        if (good < 0) return -1;
        finite = finite && good;
    }
    if (more == 0 && made->bytes == gradient.length) return finite;
    if (more < 0) {
        say_error(context, "BADPUSH block ids are whole numbers with commas between them");
    } else {
        say_error_about(context, "BADPUSH %zu bytes of gradient for %zu bytes of parameters",
                        gradient.length, made->bytes);
    }
    return -1;
}

static void write_blocks(Push *push, const Vectors *vectors, const Made *made) {
    Ids ids = ids_in(bytes_of(push->call.arguments[ABOUT]));
    for (size_t i = 0; i < made->n && next_id(&ids) == 1; i++) {
        for (int k = 0; k < made->n_values; k++) {
            String *block = made->strings[i * (size_t)made->n_values + (size_t)k];
            put(&vectors->hashes[k], ids.id, block);
        }
    }
}

/* The parameters that were made, put together; NULL if that is too much. */
static const char *joined(const Made *made) {
    char *out = room(OUTPUT, made->bytes), *to = out;
    for (size_t i = 0; to && i < made->n; i++) {
        Bytes block = bytes_of(made->strings[i * (size_t)made->n_values]);
        memcpy(to, block.at, block.length);
        to += block.length;
    }
    return out;
}

/* The stored parameters of the push's blocks, put together; NULL if it was told why not. */
static const char *stored(Push *push, const Vectors *vectors, size_t *length) {
    Made made;
    void *values[1];
    Bytes text = bytes_of(push->call.arguments[ABOUT]);
    Ids ids = ids_in(text);
    const char *out = NULL;
    int full = make_room(&made, text, 1);
    while (full && made.bytes <= MOST_BYTES && next_id(&ids) == 1) {
        full = take_block(&made, vectors, ids.id, width_of(push->dtype), values) > 0;
    }
    if (full) out = joined(&made);
    *length = made.bytes;
    drop(&made, 0, push->call.context);
    if (!full) {
        bad_push(push, ids.id);
    } else if (!out) {
        say_error(push->call.context, "BADPUSH the blocks are too large together");
    }
    return out;
}

/* Answer, with the stored parameters if they are wanted. */
static void answer_with_stored(Push *push, const Vectors *vectors, const char *answer, int wanted) {
    size_t length = 0;
    const char *fresh = wanted ? stored(push, vectors, &length) : "";
    if (fresh) say_push(push, answer, (Bytes){fresh, length});
}

/* Apply the push, which stands where it should. */
static void take(Push *push, const Vectors *vectors, int wanted) {
    Made made;
    Bytes gradient;
    Bytes ids = bytes_of(push->call.arguments[ABOUT]);
    if (!read_handed(&push->handed, &push->call, &gradient)) return;
    if (!decode_bytes(push->coding, &gradient)) {
        say_error_about(push->call.context, "BADPUSH %zu bytes are no whole number of numbers",
                        gradient.length);
        return;
    }
    if (gradient.length > MOST_BYTES || !make_room(&made, ids, vectors->n)) {
        say_error(push->call.context, "BADPUSH the blocks are too large together");
        return;
    }
    int finite = compute(push, vectors, gradient, &made);
    if (finite == 1) {
        write_blocks(push, vectors, &made);
        const char *fresh = wanted ? joined(&made) : "";
        say_push(push, leave(push, 1), (Bytes){fresh, wanted ? made.bytes : 0});
    }
    drop(&made, 0, push->call.context);
    if (finite == 0) answer_with_stored(push, vectors, leave(push, 0), wanted);
}

int push_dense(Context *context, String **argv, int argc, const Rule *rule) {
    Push push;
    Vectors vectors;
    const char *why = enter(&push, context, argv, argc, rule);
    if (!why) return OK;
    int duplicate = strcmp(why, "DUPLICATE") == 0;
    Bytes wish = bytes_of(push.call.arguments[FRESH]);
    int wanted = wish.length == 1 && *wish.at == '1';
    if (*why && !duplicate) {
        say_push(&push, why, (Bytes){"", 0});
    } else if (may_code(context, push.coding, push.dtype) &&
               open_vectors(&vectors, &push.call, 1, 1 + rule->n_slots, WRITE)) {
        if (duplicate) {
            answer_with_stored(&push, &vectors, why, wanted && push.dtype);
        } else {
            take(&push, &vectors, wanted);
        }
        close_vectors(&vectors);
    }
    close_push(&push);
    return OK;
}
