/* What a push of rows says of its tables; the format is in ../lua/push_rows.lua. */
#ifndef DISTBELIEF_TABLES_H
#define DISTBELIEF_TABLES_H

#include "call.h"
#include "draws.h"

/* Rows have `width` numbers, blocks have `rows` of them. `ids` are the rows that a push brings,
 * ascending, `gradient` theirs; `n_blocks` is in how many blocks they lie. */
typedef struct {
    int64_t first, width, rows, keys[N_DRAW_KEYS], count, n_blocks;
    double spread;
    const char *ids, *gradient;
} Table;

typedef struct {
    Table *tables;
    int n;
} Tables;

/* Read and check the tables of a push; `tables` has room for `most_tables(about)`. 0 if they are
 * not right, which was told. */
int read_tables(Tables *tables, Context *context, Bytes about, Bytes payload, size_t width);
size_t most_tables(Bytes about);

uint32_t row_at(const Table *table, int64_t i);

#endif
