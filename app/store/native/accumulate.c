/* A portion's gradient, added to its evaluation's sum once; twin: ../lua/accumulate.lua. */
#include "commands.h"
#include "numbers.h"
#include "protocol.h"
#include "ranges.h"

enum { EVALUATION = 1, PORTION, FIRST_BLOCK, LAST_BLOCK, BLOCK_NUMBERS, GRADIENT, N_ARGUMENTS };
enum { META, COUNTED, SUM };

static const int64_t MOST_PORTION = (int64_t)1 << 32;

typedef struct {
    Call call;
    Hash meta, sum;
    char dtype;
    int64_t fence, evaluation, portion, first, last, full;
    Handed handed;
    Bytes gradient;
    Output output;
} Portion;

/* GETBIT or SETBIT of the portion; -1 if it was refused, which was told. */
static long long bit(Portion *portion, const char *command, const char *format) {
    Context *context = portion->call.context;
    long long value = -1;
    Reply *reply = call(context, command, format, portion->call.keys[COUNTED],
                        (long long)portion->portion, 1LL);
    if (reply && reply_type(reply) == INTEGER_REPLY) value = reply_integer(reply);
    if (reply) free_reply(reply);
    if (value < 0) say_wrong_type(context);
    return value;
}

WIDE static void add_f(const f32 *a, const f32 *b, f32 *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = (float)((double)a[i] + (double)b[i]);
}

WIDE static void add_d(const f64 *a, const f64 *b, f64 *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = a[i] + b[i];
}

/* The sum of a stored block and the portion's. Zero is added where there is none yet, as the
 * script does: it turns -0 into 0. */
static void add(char dtype, const char *stored, const char *given, char *out, size_t count) {
    static const char zeros[4096];
    size_t width = width_of(dtype), step = stored ? count : sizeof zeros / width;
    for (size_t first = 0; first < count; first += step) {
        size_t n = count - first < step ? count - first : step, at = first * width;
        const void *a = stored ? stored + at : zeros;
        if (dtype == 'f') {
            add_f(a, (const void *)(given + at), (void *)(out + at), n);
        } else {
            add_d(a, (const void *)(given + at), (void *)(out + at), n);
        }
    }
}

static const char *bad(Portion *portion, const char *what) {
    say_error_about(portion->call.context, "BADPORTION %zu bytes %s", portion->gradient.length,
                    what);
    return NULL;
}

/* NULL if something was told. */
static const char *compute(Portion *portion) {
    Bytes left = portion->gradient;
    size_t width = width_of(portion->dtype), full = (size_t)portion->full * width;
    Ids ids = ids_from(portion->first, portion->last);
    while (next_id(&ids) == 1) {
        int is_last = ids.next > portion->last;
        size_t bytes = left.length < full ? left.length : full;
        String *string = get(&portion->sum, ids.id);
        Bytes stored = {NULL, 0};
        if (string) stored = bytes_of(string);
        int fits = bytes > 0 && bytes % width == 0 && (is_last || bytes == full) &&
                   (!string || stored.length == bytes);
        char *out = fits ? next_output(&portion->output, bytes) : NULL;
        if (out) add(portion->dtype, stored.at, left.at, out, bytes / width);
        if (string) free_string(portion->call.context, string);
        if (!out) return bad(portion, "do not fill the blocks");
        if (!all_finite(portion->dtype, out, bytes / width)) return "REFUSED";
        left.at += bytes;
        left.length -= bytes;
    }
    return left.length > 0 ? bad(portion, "are more than the blocks hold") : "COUNTED";
}

/* The answer, and what comes with it done; NULL if something was told. */
static const char *count(Portion *portion) {
    Call *call = &portion->call;
    const char *why = fenced(&portion->meta, portion->fence);
    if (*why) return why;
    int64_t current = get_whole(&portion->meta, "evaluation", 0);
    if (current < portion->evaluation) return "BEHIND";
    if (current > portion->evaluation) return "EXPIRED";
    long long counted = bit(portion, "GETBIT", "sl");
    if (counted != 0) return counted > 0 ? "DUPLICATE" : NULL;
    portion->dtype = dtype_of(&portion->meta);
    if (!read_handed(&portion->handed, call, &portion->gradient)) return NULL;
    if (!portion->dtype) return bad(portion, "come to a shard that knows no type of numbers");
    size_t width = width_of(portion->dtype);
    if (!open_output(&portion->output, portion->gradient.length,
                     portion->gradient.length / ((size_t)portion->full * width) + 1)) {
        return bad(portion, "are too many");
    }
    const char *answer = compute(portion);
    if (!answer || *answer != 'C') return answer;
    write_output(&portion->output, &portion->sum, portion->first);
    if (bit(portion, "SETBIT", "sll") < 0) return NULL;
    propagate(call, &portion->handed);
    return answer;
}

int accumulate(Context *context, String **argv, int argc) {
    Portion portion = {0};
    Call *call = &portion.call;
    if (!open_call(call, context, argv, argc, 3, N_ARGUMENTS) || !keys_differ(call) ||
        !whole(call, FENCE, 0, INT64_MAX / 4, &portion.fence) ||
        !whole(call, EVALUATION, 0, INT64_MAX / 4, &portion.evaluation) ||
        !whole(call, PORTION, 0, MOST_PORTION - 1, &portion.portion) ||
        !whole(call, FIRST_BLOCK, 0, INT64_MAX / 4, &portion.first) ||
        !whole(call, LAST_BLOCK, 0, INT64_MAX / 4, &portion.last) ||
        !whole(call, BLOCK_NUMBERS, 1, 65536, &portion.full)) {
        return OK;
    }
    if (!open_hash(&portion.meta, context, call->keys[META], READ)) return say_wrong_type(context);
    if (!open_hash(&portion.sum, context, call->keys[SUM], WRITE)) {
        close_hash(&portion.meta);
        return say_wrong_type(context);
    }
    if (open_handed(&portion.handed, call, GRADIENT)) {
        const char *answer = count(&portion);
        if (answer) say_bytes(context, answer);
        close_handed(&portion.handed);
    }
    close_hash(&portion.sum);
    close_hash(&portion.meta);
    return OK;
}
