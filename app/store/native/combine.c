/* Linear combinations over a range of blocks; twin: ../lua/combine.lua. */
#include "commands.h"
#include "numbers.h"
#include "ranges.h"

enum { TILE = 512, MOST_NUMBERS = 65536 };
enum { FULL = BEHIND_RANGE, SHORT, CONSTANT, COEFFICIENTS };

typedef struct {
    Range *range;
    int64_t full, last;
    double constant, *coefficients;
    Output output;
} Sum;

WIDE static void add_d(double *sum, double c, const f64 *v, size_t count) {
    for (size_t i = 0; i < count; i++) sum[i] = sum[i] + c * v[i];
}

WIDE static void add_f(double *sum, double c, const f32 *v, size_t count) {
    for (size_t i = 0; i < count; i++) sum[i] = sum[i] + c * v[i];
}

/* Returns whether the numbers are finite. */
static int combine_block(const Sum *sum, size_t numbers, char *out) {
    const Range *range = sum->range;
    size_t width = width_of(range->dtype);
    for (size_t first = 0; first < numbers; first += TILE) {
        double tile[TILE];
        size_t count = numbers - first < TILE ? numbers - first : TILE, at = first * width;
        for (size_t i = 0; i < count; i++) tile[i] = sum->constant;
        for (int t = 0; t < range->vectors.n; t++) {
            const void *values = range->values[t] + at;
            if (range->dtype == 'f') {
                add_f(tile, sum->coefficients[t], values, count);
            } else {
                add_d(tile, sum->coefficients[t], values, count);
            }
        }
        narrow(range->dtype, tile, out + at, count);
    }
    return all_finite(range->dtype, out, numbers);
}

static const char *compute(Sum *sum) {
    Range *range = sum->range;
    size_t width = width_of(range->dtype);
    for (int64_t i = 1; i <= range->n_blocks; i++) {
        size_t numbers = (size_t)(i < range->n_blocks ? sum->full : sum->last);
        if (next_block(range) < 0) return "NOMODEL";
        if (range->vectors.n > 0 && range->bytes != numbers * width) return "NOMODEL";
        char *out = next_output(&sum->output, numbers * width);
        if (!combine_block(sum, numbers, out)) return "REFUSED";
    }
    return "OK";
}

/* Numbers of the call, and room for what is to be written; 0 if something was told. */
static int read_sum(Sum *sum, Call *call) {
    Range *range = sum->range;
    size_t width = width_of(range->dtype);
    if (!whole(call, FULL, 1, MOST_NUMBERS, &sum->full) ||
        !whole(call, SHORT, 1, MOST_NUMBERS, &sum->last) ||
        !real(call, CONSTANT, &sum->constant)) {
        return 0;
    }
    if (call->n_arguments - COEFFICIENTS != range->vectors.n) {
        say_error(call->context, "BADARG every term has one coefficient");
        return 0;
    }
    sum->coefficients = room(VALUES, (size_t)(range->vectors.n + 1) * sizeof(double));
    for (int t = 0; t < range->vectors.n; t++) {
        if (!real(call, COEFFICIENTS + t, &sum->coefficients[t])) return 0;
    }
    /* The product cannot overflow: a range has fewer than 2^53 blocks of up to 2^16 numbers,
     * but only if they are few enough to count. */
    size_t most = MOST_BYTES / ((size_t)MOST_NUMBERS * width);
    size_t n = (size_t)range->n_blocks;
    size_t bytes = n > most * MOST_NUMBERS ? MOST_BYTES + 1 : n * (size_t)sum->full * width;
    if (sum->last > sum->full) bytes += (size_t)(sum->last - sum->full) * width;
    if (open_output(&sum->output, bytes, n)) return 1;
    say_error(call->context, "BADARG the blocks are too large together");
    return 0;
}

int combine(Context *context, String **argv, int argc) {
    Range range;
    Hash out;
    const char *why = open_range(&range, context, argv, argc, 2, COEFFICIENTS, 2);
    if (!why) return OK;
    Sum sum = {.range = &range};
    if (*why) {
        say_bytes(context, why);
    } else if (read_sum(&sum, &range.call)) {
        const char *answer = compute(&sum);
        if (*answer != 'O') {
            say_bytes(context, answer);
        } else if (!open_hash(&out, context, range.call.keys[1], WRITE)) {
            say_wrong_type(context);
        } else {
            write_output(&sum.output, &out, range.ids.next - (int64_t)sum.output.n);
            close_hash(&out);
            conclude_range(&range);
            return say_bytes(context, answer);
        }
    }
    close_range(&range);
    return OK;
}
