/* What a call says of rows of tables; the format is in ../lua/tables.lua. */
#ifndef DISTBELIEF_TABLES_H
#define DISTBELIEF_TABLES_H

#include "call.h"
#include "draws.h"

/* Rows have `width` numbers, blocks have `rows` of them. `ids` are the rows that a call is about,
 * ascending, `gradient` theirs in a push; `n_blocks` is in how many blocks they lie. */
typedef struct {
    int64_t first, width, rows, keys[N_DRAW_KEYS], count, n_blocks;
    double spread;
    const char *ids, *gradient;
} Table;

typedef struct {
    Table *tables;
    int n;
} Tables;

/* Read and check the tables of a call, in whose payload the rows of each are followed by `width`
 * bytes for each of their numbers; `tables` has room for `most_tables(about)`. 0 if they are not
 * right, which was told in an error that begins with `word`. */
int read_tables(Tables *tables, Context *context, const char *word, Bytes about, Bytes payload,
                size_t width);
size_t most_tables(Bytes about);

uint32_t row_at(const Table *table, int64_t i);

#endif
