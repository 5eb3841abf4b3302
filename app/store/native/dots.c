/* Dot products over a range of blocks; twin: ../lua/dots.lua. */
#include <string.h>

#include "commands.h"
#include "numbers.h"
#include "ranges.h"

/* A tile of all vectors stays in the first cache while the pairs are multiplied. LANES partial
 * sums a pair make the order of additions the same on every processor. */
enum { TILE = 128, LANES = 8, MOST_PAIRS = 65536, PAIRS = BEHIND_RANGE };

typedef struct {
    int left, right;
    double lanes[LANES];
} Pair;

typedef struct {
    Pair *pairs;
    size_t n;
} Pairs;

WIDE static void multiply(Pair *pair, const f64 *left, const f64 *right, size_t count) {
    double lanes[LANES];
    size_t i = 0;
    memcpy(lanes, pair->lanes, sizeof lanes);
    for (; i + LANES <= count; i += LANES) {
        for (int l = 0; l < LANES; l++) lanes[l] += left[i + l] * right[i + l];
    }
    for (int l = 0; i < count; i++, l++) lanes[l] += left[i] * right[i];
    memcpy(pair->lanes, lanes, sizeof lanes);
}

/* Read 'i:j,i:j'; 0 if it is not that. */
static int read_pairs(Pairs *pairs, Bytes text, int n_vectors) {
    size_t most = 1;
    for (size_t i = 0; i < text.length; i++) most += text.at[i] == ',';
    if (most > MOST_PAIRS) return 0;
    *pairs = (Pairs){room(LISTS, most * sizeof(Pair)), 0};
    memset(pairs->pairs, 0, most * sizeof(Pair));
    while (text.length > 0) {
        int64_t ij[2];
        const char *comma = memchr(text.at, ',', text.length);
        Bytes word = {text.at, comma ? (size_t)(comma - text.at) : text.length};
        size_t passed = word.length + (comma != NULL);
        for (int side = 0; side < 2; side++) {
            if (next_whole(&word, ':', &ij[side]) != 1) return 0;
            if (ij[side] < 1 || ij[side] > n_vectors) return 0;
        }
        if (word.length > 0) return 0;
        pairs->pairs[pairs->n].left = (int)ij[0] - 1;
        pairs->pairs[pairs->n++].right = (int)ij[1] - 1;
        text.at += passed;
        text.length -= passed;
    }
    return 1;
}

/* Add the block at hand, tile by tile. */
static void add_block(const Range *range, Pairs *pairs, double *wide) {
    size_t width = width_of(range->dtype), numbers = range->bytes / width;
    for (size_t first = 0; first < numbers; first += TILE) {
        size_t count = numbers - first < TILE ? numbers - first : TILE;
        for (int v = 0; wide && v < range->vectors.n; v++) {
            widen(range->dtype, range->values[v] + first * width, wide + v * TILE, count);
        }
        for (size_t p = 0; p < pairs->n; p++) {
            Pair *pair = &pairs->pairs[p];
            const void *left = wide ? (const void *)(wide + pair->left * TILE)
                                    : range->values[pair->left] + first * width;
            const void *right = wide ? (const void *)(wide + pair->right * TILE)
                                     : range->values[pair->right] + first * width;
            multiply(pair, left, right, count);
        }
    }
}

static int say_products(Range *range, Pairs *pairs) {
    double *sums = room(OUTPUT, pairs->n * sizeof(double));
    for (size_t p = 0; p < pairs->n; p++) {
        const double *l = pairs->pairs[p].lanes;
        sums[p] = ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
    }
    return say_sums(range->call.context, "OK", sums, pairs->n);
}

int dots(Context *context, String **argv, int argc) {
    Range range;
    Pairs pairs;
    int more;
    const char *why = open_range(&range, context, argv, argc, 2, PAIRS + 1, 1);
    if (!why) return OK;
    if (*why) {
        say_sums(context, why, NULL, 0);
    } else if (!read_pairs(&pairs, bytes_of(range.call.arguments[PAIRS]), range.vectors.n)) {
        say_error(context, "BADARG pairs are i:j,i:j of vectors counted from 1");
    } else {
        double *wide = NULL;
        if (range.dtype == 'f') {
            wide = room(VALUES, (size_t)range.vectors.n * TILE * sizeof(double));
        }
        while ((more = next_block(&range)) == 1) add_block(&range, &pairs, wide);
        if (more < 0) {
            say_sums(context, "NOMODEL", NULL, 0);
        } else {
            say_products(&range, &pairs);
        }
    }
    close_range(&range);
    return OK;
}
