#include "tables.h"

#include "numbers.h"

enum { NUMBERS_OF_A_TABLE = 9, MOST_BLOCK_NUMBERS = 65536 };

static const int64_t MOST = (int64_t)1 << 52;

size_t most_tables(Bytes about) {
    size_t commas = 0;
    for (size_t i = 0; i < about.length; i++) commas += about.at[i] == ',';
    return commas / NUMBERS_OF_A_TABLE + 1;
}

/* The next of the words that stand with commas between them; 0 at the end. */
static int next_word(Bytes *text, Bytes *word) {
    size_t i = 0;
    if (text->length == 0) return 0;
    while (i < text->length && text->at[i] != ',') i++;
    *word = (Bytes){text->at, i};
    if (i < text->length) i++;
    text->at += i;
    text->length -= i;
    return 1;
}

static int next_between(Bytes *text, int64_t least, int64_t most, int64_t *out) {
    Bytes word;
    return next_word(text, &word) && next_whole(&word, ',', out) == 1 && word.length == 0 &&
           *out >= least && *out <= most;
}

static int next_real(Context *context, Bytes *text, double *out) {
    Bytes word;
    if (!next_word(text, &word)) return 0;
    String *string = create_string(context, word.at, word.length);
    int good = string_number(string, out) == OK && isfinite(*out);
    free_string(context, string);
    return good;
}

static int read_table(Table *table, Context *context, Bytes *about) {
    int good = next_between(about, 0, MOST, &table->first) &&
               next_between(about, 1, MOST_BLOCK_NUMBERS, &table->width) &&
               next_between(about, 1, MOST_BLOCK_NUMBERS, &table->rows) &&
               table->rows * table->width <= MOST_BLOCK_NUMBERS &&
               next_real(context, about, &table->spread);
    for (int i = 0; good && i < N_DRAW_KEYS; i++) {
        good = next_between(about, 0, PRIME - 1, &table->keys[i]);
    }
    return good && next_between(about, 0, UINT32_MAX, &table->count);
}

uint32_t row_at(const Table *table, int64_t i) { return ((const u32 *)table->ids)[i]; }

/* Count the blocks that rows lie in; 0 if rows do not ascend. */
static int count_blocks(Table *table) {
    int64_t before = -1;
    table->n_blocks = 0;
    for (int64_t i = 0; i < table->count; i++) {
        int64_t row = row_at(table, i);
        if (row <= before) return 0;
        table->n_blocks += before < 0 || row / table->rows != before / table->rows;
        before = row;
    }
    return 1;
}

int read_tables(Tables *tables, Context *context, const char *word, Bytes about, Bytes payload,
                size_t width) {
    size_t needed = 0;
    tables->n = 0;
    while (about.length > 0) {
        Table *table = &tables->tables[tables->n];
        if (!read_table(table, context, &about)) {
            say_error_about(context, "%s table %d is not described as a table is", word,
                            tables->n + 1);
            return 0;
        }
        /* At most 2^32 rows of 2^16 numbers: no overflow, and too long for any payload. */
        table->ids = payload.at + needed;
        table->gradient = table->ids + 4 * table->count;
        needed += (size_t)table->count * (4 + (size_t)table->width * width);
        if (needed > payload.length) break;
        tables->n++;
    }
    if (needed != payload.length) {
        say_error_about(context, "%s %zu bytes of rows, %zu needed", word, payload.length,
                        needed);
        return 0;
    }
    for (int i = 0; i < tables->n; i++) {
        if (count_blocks(&tables->tables[i])) continue;
        say_error_about(context, "%s rows of table %d do not ascend", word, i + 1);
        return 0;
    }
    return 1;
}
