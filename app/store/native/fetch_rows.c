/* Reading rows of tables, and where their shard stands; twin: ../lua/fetch_rows.lua. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "numbers.h"
#include "protocol.h"
#include "tables.h"

enum { OF_STREAM = 2, OF_TABLES, ROWS, N_ARGUMENTS };
enum { META, VECTOR, N_KEYS };

static const int64_t MOST_STREAMS = (int64_t)1 << 52;

/* Where the rows of all tables are put: whether each is there, and its numbers. */
typedef struct {
    char *there, *values;
    size_t n, bytes;
} Rows;

static int say_rows(Context *context, const char *answer, int64_t clock, int64_t last, Rows rows) {
    say_array(context, 5);
    say_bytes(context, answer);
    say_integer(context, clock);
    say_integer(context, last);
    say_text(context, rows.there, rows.n);
    return say_text(context, rows.values, rows.bytes);
}

/* Room for all rows; 0 if there is none, which was told. */
static int make_room(Rows *rows, Context *context, const Tables *tables, size_t width) {
    size_t n = 0, bytes = 0;
    for (int i = 0; i < tables->n; i++) {
        n += (size_t)tables->tables[i].count;
        bytes += (size_t)(tables->tables[i].count * tables->tables[i].width) * width;
    }
    *rows = (Rows){.there = room(LISTS, n), .values = room(OUTPUT, bytes)};
    if (rows->there && rows->values) return 1;
    say_error(context, "BADFETCH the rows are too large together");
    return 0;
}

/* A block of a table, NULL if nobody has touched it; 0 if it is not stored in full, which was
 * told. */
static int read_block(const Hash *vector, int64_t id, size_t bytes, String **block) {
    char text[LONGEST_ID];
    write_whole(text, id);
    *block = get(vector, text);
    if (!*block || bytes_of(*block).length == bytes) return 1;
    say_error_about(vector->context, "BADFETCH block %s is not stored here in full", text);
    free_string(vector->context, *block);
    return 0;
}

/* Copy the rows of one table. Each block is looked up once: they ascend. */
static int read_rows(Rows *rows, const Hash *vector, const Table *table, size_t width) {
    size_t bytes = (size_t)table->width * width, whole = (size_t)table->rows * bytes;
    String *block = NULL;
    const char *at = NULL;
    for (int64_t i = 0, last = -1; i < table->count; i++) {
        int64_t row = row_at(table, i), here = row / table->rows;
        if (here != last) {
            if (block) free_string(vector->context, block);
            if (!read_block(vector, table->first + here, whole, &block)) return 0;
            at = block ? bytes_of(block).at : NULL;
            last = here;
        }
        char *to = rows->values + rows->bytes;
        if (at) {
            memcpy(to, at + (size_t)(row - here * table->rows) * bytes, bytes);
        } else {
            memset(to, 0, bytes);
        }
        rows->there[rows->n++] = at != NULL;
        rows->bytes += bytes;
    }
    if (block) free_string(vector->context, block);
    return 1;
}

/* Read the rows that the arguments name; 0 if that is no good, which was told. */
static int read_all(Rows *rows, Call *call, const Hash *vector, size_t width) {
    Context *context = call->context;
    Bytes about = bytes_of(call->arguments[OF_TABLES]), ids = bytes_of(call->arguments[ROWS]);
    Tables tables = {allocate(most_tables(about) * sizeof(Table)), 0};
    int good = read_tables(&tables, context, "BADFETCH", about, ids, 0) &&
               make_room(rows, context, &tables, width);
    for (int i = 0; good && i < tables.n; i++) {
        good = read_rows(rows, vector, &tables.tables[i], width);
    }
    release(tables.tables);
    return good;
}

static void answer(Call *call, const Hash *meta, const Hash *vector, int64_t stream) {
    char field[LONGEST_ID + 8];
    Rows rows = {"", "", 0, 0};
    int64_t clock = get_whole(meta, "clock", -1);
    String *mark = clock >= 0 ? get(vector, "rows") : NULL;
    char dtype = dtype_of(meta);
    if (mark) free_string(call->context, mark);
    if (!mark || !dtype) {
        say_rows(call->context, "NOMODEL", 0, 0, rows);
    } else if (read_all(&rows, call, vector, width_of(dtype))) {
        snprintf(field, sizeof field, "seq:%lld", (long long)stream);
        say_rows(call->context, "OK", clock, get_whole(meta, field, 0), rows);
    }
}

int fetch_rows(Context *context, String **argv, int argc) {
    Call call;
    Hash meta, vector;
    int64_t fence, known, stream;
    if (!open_call(&call, context, argv, argc, N_KEYS, N_ARGUMENTS) ||
        !whole(&call, FENCE, 0, INT64_MAX / 4, &fence) ||
        !whole(&call, KNOWN_CHANGE, 0, INT64_MAX / 4, &known) ||
        !whole(&call, OF_STREAM, 0, MOST_STREAMS, &stream)) {
        return OK;
    }
    if (!open_hash(&meta, context, call.keys[META], READ)) return say_wrong_type(context);
    if (!open_hash(&vector, context, call.keys[VECTOR], READ)) {
        close_hash(&meta);
        return say_wrong_type(context);
    }
    if (is_behind(&meta, fence, known)) {
        say_rows(context, "BEHIND", 0, 0, (Rows){"", "", 0, 0});
    } else {
        answer(&call, &meta, &vector, stream);
    }
    close_hash(&vector);
    close_hash(&meta);
    return OK;
}
