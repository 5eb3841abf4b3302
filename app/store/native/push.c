/* A push of a dense gradient; twin: ../lua/push.lua. */
#include <string.h>

#include "commands.h"
#include "numbers.h"
#include "protocol.h"

/* One block of some vectors, as it is stored. */
typedef struct {
    String *strings[MOST_VALUES];
    const void *values[MOST_VALUES];
    size_t bytes;
} Block;

/* 0 if the block is not stored in full, in every vector. It is to be dropped either way. */
static int read_block(Block *block, const Vectors *vectors, const char *id, size_t width) {
    int full = 1;
    for (int k = 0; k < vectors->n; k++) {
        Bytes bytes = {NULL, 0};
        block->strings[k] = get(&vectors->hashes[k], id);
        if (block->strings[k]) bytes = bytes_of(block->strings[k]);
        if (k == 0) block->bytes = bytes.length;
        block->values[k] = bytes.at;
        full = full && bytes.at && bytes.length == block->bytes;
    }
    return full && block->bytes > 0 && block->bytes % width == 0;
}

static void drop_block(const Block *block, const Vectors *vectors) {
    for (int k = 0; k < vectors->n; k++) {
        if (block->strings[k]) free_string(vectors->hashes[k].context, block->strings[k]);
    }
}

/* What is written once all of it is computed: vector k at `out + k * stride`, and how many bytes
 * each block has. */
typedef struct {
    char *out;
    size_t stride, *bytes, n;
} Made;

/* Room for new blocks of as many bytes as the gradient has; 0 if that is too much. */
static int make_room(Made *made, Bytes ids, size_t n_values, size_t stride) {
    size_t most = 1;
    for (size_t i = 0; i < ids.length; i++) most += ids.at[i] == ',';
    *made = (Made){.stride = stride};
    if (stride > MOST_BYTES) return 0;
    made->out = room(OUTPUT, n_values * stride);
    made->bytes = room(LISTS, most * sizeof(size_t));
    return made->out && made->bytes;
}

static int bad_push(Push *push, const char *id) {
    say_error_about(push->call.context, "BADPUSH block %s is not stored here in full", id);
    return -1;
}

/* Compute the next block. Returns whether it is finite; -1 if it is not there, which was told. */
static int compute_block(Push *push, const Vectors *vectors, const char *id, Bytes gradient,
                         size_t total, Made *made) {
    Block block;
    void *new[MOST_VALUES];
    size_t width = width_of(push->dtype);
    int finite = 1, full = read_block(&block, vectors, id, width);
    if (full && total + block.bytes <= gradient.length) {
        size_t count = block.bytes / width;
        for (int k = 0; k < vectors->n; k++) new[k] = made->out + (size_t)k * made->stride + total;
        apply(push->rule, push->dtype, &push->step, count, gradient.at + total, block.values, new);
        for (int k = 0; k < vectors->n; k++) {
            finite = finite && all_finite(push->dtype, new[k], count);
        }
    }
    made->bytes[made->n++] = block.bytes;
    drop_block(&block, vectors);
    return full ? finite : bad_push(push, id);
}

/* Compute all blocks. Returns whether they are finite; -1 if something does not fit, which was
 * told. */
static int compute(Push *push, const Vectors *vectors, Bytes gradient, Made *made) {
    Context *context = push->call.context;
    Ids ids = ids_in(bytes_of(push->call.arguments[ABOUT]));
    size_t total = 0;
    int finite = 1, more;
    while ((more = next_id(&ids)) == 1) {
        int good = compute_block(push, vectors, ids.id, gradient, total, made);
        if (good < 0) return -1;
        finite = finite && good;
        total += made->bytes[made->n - 1];
    }
    if (more == 0 && total == gradient.length) return finite;
    if (more < 0) {
        say_error(context, "BADPUSH block ids are whole numbers with commas between them");
    } else {
        say_error_about(context, "BADPUSH %zu bytes of gradient for %zu bytes of parameters",
                        gradient.length, total);
    }
    return -1;
}

static void write_blocks(Push *push, const Vectors *vectors, const Made *made) {
    for (int k = 0; k < vectors->n; k++) {
        Ids ids = ids_in(bytes_of(push->call.arguments[ABOUT]));
        const char *from = made->out + (size_t)k * made->stride;
        for (size_t i = 0; i < made->n && next_id(&ids) == 1; i++) {
            put_bytes(&vectors->hashes[k], ids.id, from, made->bytes[i]);
            from += made->bytes[i];
        }
    }
}

/* The stored parameters of the push's blocks, put together; NULL if it was told why not. */
static const char *stored(Push *push, const Vectors *vectors, size_t *length) {
    Vectors parameters = {vectors->hashes, 1};
    const char *out = "";
    *length = 0;
    for (int copying = 0; copying < 2; copying++) {
        Ids ids = ids_in(bytes_of(push->call.arguments[ABOUT]));
        char *to = copying ? room(OUTPUT, *length) : NULL;
        if (copying && !to) {
            say_error(push->call.context, "BADPUSH the blocks are too large together");
            return NULL;
        }
        if (copying) out = to;
        while (next_id(&ids) == 1) {
            Block block;
            int full = read_block(&block, &parameters, ids.id, width_of(push->dtype));
            if (copying) {
                memcpy(to, block.values[0], block.bytes);
                to += block.bytes;
            } else if (full) {
                *length += block.bytes;
            }
            drop_block(&block, &parameters);
            if (!full) {
                bad_push(push, ids.id);
                return NULL;
            }
        }
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
    if (!make_room(&made, ids, (size_t)vectors->n, gradient.length)) {
        say_error(push->call.context, "BADPUSH the blocks are too large together");
        return;
    }
    int finite = compute(push, vectors, gradient, &made);
    if (finite < 0) return;
    if (finite) write_blocks(push, vectors, &made);
    const char *answer = leave(push, finite);
    if (!finite) {
        answer_with_stored(push, vectors, answer, wanted);
        return;
    }
    say_push(push, answer, (Bytes){made.out, wanted ? gradient.length : 0});
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
