/* What OWL-QN asks for, over a range of blocks; twins: ../lua/pseudo.lua, orthant.lua,
 * sparsity.lua and walk.lua. */
#include <math.h>

#include "commands.h"
#include "numbers.h"
#include "ranges.h"

enum { RUN = 512, MOST_INPUTS = 3 };
enum { COVERED = BEHIND_RANGE, FACTOR };

/* One run of numbers: of each vector, and whether the L1 term covers them. The first of `values`
 * is what is written. */
typedef struct {
    double values[MOST_INPUTS][RUN];
    char covered[RUN];
    size_t count;
} Run;

typedef void (*Visit)(Run *run, void *state);

/* Mark the covered numbers of a run that begins `passed` numbers into the range, by stretches
 * 'first:end,first:end'; 0 if they are something else. */
static int cover(Run *run, Bytes stretches, int64_t passed) {
    int64_t first, end, count = (int64_t)run->count;
    for (size_t i = 0; i < run->count; i++) run->covered[i] = 0;
    while (stretches.length > 0) {
        size_t word = 0;
        while (word < stretches.length && stretches.at[word] != ',') word++;
        Bytes pair = {stretches.at, word};
        if (next_whole(&pair, ':', &first) != 1 || next_whole(&pair, ':', &end) != 1) return 0;
        if (pair.length > 0) return 0;
        for (int64_t i = first > passed ? first - passed : 0; i < end - passed && i < count; i++) {
            run->covered[i] = 1;
        }
        if (word < stretches.length) word++;
        stretches.at += word;
        stretches.length -= word;
    }
    return 1;
}

/* Visit all numbers of the block at hand, and write what is to be written to `out`, if there is
 * one. 0 if the stretches are none, or if what was written is not finite: `*finite` then is 0. */
static int visit_block(Range *range, int64_t *passed, char *out, Visit visit, void *state,
                       int *finite) {
    size_t width = width_of(range->dtype), numbers = range->bytes / width;
    Bytes stretches = bytes_of(range->call.arguments[COVERED]);
    for (size_t first = 0; first < numbers; first += RUN) {
        Run run;
        run.count = numbers - first < RUN ? numbers - first : RUN;
        for (int v = 0; v < range->vectors.n; v++) {
            widen(range->dtype, range->values[v] + first * width, run.values[v], run.count);
        }
        if (!cover(&run, stretches, *passed)) return 0;
        visit(&run, state);
        if (out) narrow(range->dtype, run.values[0], out + first * width, run.count);
        *passed += (int64_t)run.count;
    }
    *finite = !out || all_finite(range->dtype, out, numbers);
    return *finite;
}

/* The answer, or NULL if something was told. `output` may be NULL. */
static const char *walk(Range *range, Output *output, Visit visit, void *state) {
    int64_t passed = 0;
    int more;
    while ((more = next_block(range)) == 1) {
        char *out = output ? next_output(output, range->bytes) : NULL;
        int finite = 1;
        if (output && !out) {
            say_error(range->call.context, "BADARG blocks have different lengths");
            return NULL;
        }
        if (visit_block(range, &passed, out, visit, state, &finite)) continue;
        if (!finite) return "REFUSED";
        say_error(range->call.context, "BADARG stretches are first:end,first:end");
        return NULL;
    }
    return more < 0 ? "NOMODEL" : "OK";
}

/* Room for all blocks of the range, by what the first vector holds of them. */
static int make_room(const Range *range, Output *output) {
    Ids ids = range->ids;
    size_t bytes = 0, n = 0;
    while (next_id(&ids) == 1) {
        String *string = get(&range->vectors.hashes[0], ids.id);
        if (!string) break;
        bytes += bytes_of(string).length;
        n++;
        free_string(range->call.context, string);
        if (bytes > MOST_BYTES) return 0;
    }
    /* One more block is read before it is found missing. */
    return open_output(output, bytes, n + 1);
}

/* Write what the visits make of the vectors KEYS 3.. to KEYS 2. */
static int write_vector(Context *context, String **argv, int argc, int n_inputs, Visit visit) {
    Range range;
    Output output;
    Hash out;
    double factor;
    const char *why = open_range(&range, context, argv, argc, 2 + n_inputs, FACTOR + 1, 2);
    if (!why) return OK;
    int64_t first = range.ids.next;
    if (*why) {
        say_bytes(context, why);
    } else if (range.vectors.n != n_inputs) {
        say_error_about(context, "BADARG there are %d vectors to read", n_inputs);
    } else if (!real(&range.call, FACTOR, &factor)) {
    } else if (!make_room(&range, &output)) {
        say_error(context, "BADARG the blocks are too large together");
    } else if ((why = walk(&range, &output, visit, &factor)) && *why != 'O') {
        say_bytes(context, why);
    } else if (why && !open_hash(&out, context, range.call.keys[1], WRITE)) {
        say_wrong_type(context);
    } else if (why) {
        write_output(&output, &out, first);
        close_hash(&out);
        conclude_range(&range);
        return say_bytes(context, why);
    }
    close_range(&range);
    return OK;
}

static void make_pseudo(Run *run, void *l1) {
    double *x = run->values[0], *g = run->values[1], factor = *(const double *)l1;
    for (size_t j = 0; j < run->count; j++) {
        double up = g[j] + factor, down = g[j] - factor, now = g[j];
        if (run->covered[j]) {
            if (x[j] > 0 || (x[j] == 0 && up < 0)) {
                now = up;
            } else if (x[j] < 0 || down > 0) {
                now = down;
            } else {
                now = 0;
            }
        }
        x[j] = now;
    }
}

static void make_step(Run *run, void *length) {
    double *x = run->values[0], *v = run->values[1], *d = run->values[2];
    double step = *(const double *)length;
    for (size_t j = 0; j < run->count; j++) {
        double old = x[j], now = x[j] + step * d[j];
        if (run->covered[j]) {
            /* The sign that it may have: a zero that has no pseudo-gradient may have none. */
            double sign = old != 0 ? old : -v[j];
            if (!((sign > 0 && now > 0) || (sign < 0 && now < 0))) now = 0;
        }
        x[j] = now;
    }
}

int pseudo(Context *context, String **argv, int argc) {
    return write_vector(context, argv, argc, 2, make_pseudo);
}

int orthant(Context *context, String **argv, int argc) {
    return write_vector(context, argv, argc, 3, make_step);
}

static void add_sizes(Run *run, void *state) {
    double *sums = state;
    for (size_t j = 0; j < run->count; j++) {
        if (run->covered[j] && run->values[0][j] != 0) {
            sums[0] += fabs(run->values[0][j]);
            sums[1] += 1;
        }
    }
}

int sparsity(Context *context, String **argv, int argc) {
    Range range;
    double sums[2] = {0, 0};
    const char *why = open_range(&range, context, argv, argc, 2, COVERED + 1, 1);
    if (!why) return OK;
    if (!*why && range.vectors.n != 1) {
        say_error(context, "BADARG there is one vector to read");
    } else {
        if (!*why) why = walk(&range, NULL, add_sizes, sums);
        if (why) say_sums(context, why, sums, *why == 'O' ? 2 : 0);
    }
    close_range(&range);
    return OK;
}
