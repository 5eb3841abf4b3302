/* Operations on a range of blocks of some vectors (Sandblaster's). */
#ifndef DISTBELIEF_RANGES_H
#define DISTBELIEF_RANGES_H

#include "hashes.h"

/* Blocks first..last of some vectors that are read. */
typedef struct {
    Call call;
    Hash meta;
    Vectors vectors;
    String **strings; /* the block at hand, of each vector */
    const char **values;
    size_t bytes; /* of each of them */
    Ids ids;
    char dtype;
    int64_t n_blocks;
} Range;

/* Where arguments stand that follow the range, from 0. */
enum { BEHIND_RANGE = 5 };

/* Open a call of the coordinator, whose ARGV 4 and 5 are the first and the last block. Returns
 * NULL if all is told already, else why it is not to be served, or "". Vectors are
 * the keys from `first_vector` (0-based) on. To be closed unless NULL is returned. */
const char *open_range(Range *range, Context *context, String **argv, int argc, int least_keys,
                       int least_arguments, int first_vector);
void close_range(Range *range);

/* Note that the call has changed what it was to change; the range is closed then, too. */
void conclude_range(Range *range);

/* Read the next block of all vectors: 1; 0 at the end; -1 if one is missing or has another
 * length than the first. */
int next_block(Range *range);

/* What is written once all of it is computed, block by block. */
typedef struct {
    char *out;
    size_t *bytes, n, used, size;
} Output;

/* Room for `bytes` in `n` blocks; 0 if that is too much. */
int open_output(Output *output, size_t bytes, size_t n);

/* Room for the next block; NULL if there is none. */
char *next_output(Output *output, size_t bytes);

/* Write what is there to a vector, from a block on. */
void write_output(const Output *output, const Hash *vector, int64_t first);

/* Answer with a word, and behind it packed doubles. */
int say_sums(Context *context, const char *answer, const double *sums, size_t n);

#endif
