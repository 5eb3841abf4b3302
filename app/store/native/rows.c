/* A push of some rows of tables; twin: ../lua/push_rows.lua. */
#include <string.h>

#include "commands.h"
#include "numbers.h"
#include "protocol.h"
#include "tables.h"

/* A block of every vector, one behind another at `at`, each of as many bytes. */
typedef struct {
    int64_t id;
    char *at;
    size_t bytes;
} Changed;

typedef struct {
    Push *push;
    Vectors vectors;
    Changed *changed;
    size_t n_changed;
    char *free;
    int finite;
} Work;

/* Numbers that a block begins with, and what the rule begins with beside them. */
static int create(Work *work, const Table *table, int64_t block, Changed *made) {
    size_t count = (size_t)(table->rows * table->width), width = width_of(work->push->dtype);
    double *values = room(VALUES, MOST_VALUES * count * sizeof(double));
    double *slots[MOST_SLOTS] = {values + count, values + 2 * count};
    const Rule *rule = work->push->rule;
    if (!values) return 0;
    memset(values, 0, MOST_VALUES * count * sizeof(double));
    for (size_t i = 0; table->spread != 0 && i < count; i++) {
        values[i] = table->spread * drawn(table->keys, (uint64_t)block * count + i);
    }
    if (rule->begin) rule->begin(&work->push->step, count, values, slots);
    for (int k = 0; k <= rule->n_slots; k++) {
        narrow(work->push->dtype, values + (size_t)k * count, made->at + (size_t)k * count * width,
               count);
    }
    return 1;
}

/* A block as it is stored, or as it begins. 0 if it is not stored in full, which was told. */
static int load(Work *work, const Table *table, int64_t block, Changed *made) {
    char id[LONGEST_ID];
    int there = 1;
    made->id = table->first + block;
    write_whole(id, made->id);
    for (int k = 0; k < work->vectors.n; k++) {
        String *string = get(&work->vectors.hashes[k], id);
        Bytes stored = {NULL, 0};
        if (string) stored = bytes_of(string);
        if (k == 0 && !string) return create(work, table, block, made);
        there = there && stored.length == made->bytes;
        if (there) memcpy(made->at + (size_t)k * made->bytes, stored.at, made->bytes);
        if (string) free_string(work->push->call.context, string);
    }
    if (!there) {
        say_error_about(work->push->call.context, "BADPUSH block %s is not stored here in full",
                        id);
    }
    return there;
}

/* Bytes in which a number of a gradient comes. */
static size_t given_width(const Push *push) {
    return push->coding == AS_STORED ? width_of(push->dtype) : coded_bytes(push->coding, 1);
}

/* Apply the gradient of one row to its block. */
static void update(Work *work, const Table *table, int64_t i, const Changed *block) {
    const Push *push = work->push;
    size_t count = (size_t)table->width, bytes = count * width_of(push->dtype);
    size_t at = (size_t)(row_at(table, i) % table->rows) * bytes;
    void *values[MOST_VALUES];
    for (int k = 0; k < work->vectors.n; k++) {
        values[k] = block->at + (size_t)k * block->bytes + at;
    }
    Bytes gradient = {NULL, count * given_width(push)};
    gradient.at = table->gradient + (size_t)i * gradient.length;
    decode_bytes(push->coding, &gradient); /* there was room for it */
    apply(push->rule, push->dtype, &push->step, count, gradient.at, (const void *const *)values,
          values);
    for (int k = 0; k < work->vectors.n; k++) {
        work->finite = work->finite && all_finite(push->dtype, values[k], count);
    }
}

/* Compute the new blocks of a table; 0 if one does not fit, which was told. */
static int compute(Work *work, const Table *table) {
    size_t bytes = (size_t)(table->rows * table->width) * width_of(work->push->dtype);
    Changed *block = NULL;
    for (int64_t i = 0, last = -1; i < table->count; i++) {
        int64_t here = row_at(table, i) / table->rows;
        if (here != last) {
            block = &work->changed[work->n_changed++];
            *block = (Changed){.at = work->free, .bytes = bytes};
            work->free += (size_t)work->vectors.n * bytes;
            if (!load(work, table, here, block)) return 0;
            last = here;
        }
        update(work, table, i, block);
    }
    return 1;
}

static void write_changed(const Work *work) {
    char id[LONGEST_ID];
    for (size_t i = 0; i < work->n_changed; i++) {
        const Changed *block = &work->changed[i];
        write_whole(id, block->id);
        for (int k = 0; k < work->vectors.n; k++) {
            put_bytes(&work->vectors.hashes[k], id, block->at + (size_t)k * block->bytes,
                      block->bytes);
        }
    }
}

/* Room for all blocks of the push; 0 if there is none. */
static int make_room(Work *work, const Tables *tables) {
    size_t blocks = 0, bytes = 0, width = width_of(work->push->dtype);
    for (int i = 0; i < tables->n; i++) {
        const Table *table = &tables->tables[i];
        size_t n = (size_t)table->n_blocks;
        blocks += n;
        bytes += n * (size_t)(table->rows * table->width * work->vectors.n) * width;
    }
    work->free = room(OUTPUT, bytes);
    work->changed = room(LISTS, blocks * sizeof(Changed));
    return work->free && work->changed;
}

/* Apply the push, which stands where it should. */
static void take(Work *work, const Tables *tables) {
    Push *push = work->push;
    work->finite = 1;
    if (!make_room(work, tables)) {
        say_error(push->call.context, "BADPUSH the blocks are too large together");
        return;
    }
    for (int i = 0; i < tables->n; i++) {
        if (!compute(work, &tables->tables[i])) return;
    }
    if (work->finite) write_changed(work);
    say_push(push, leave(push, work->finite), (Bytes){"", 0});
}

int push_rows(Context *context, String **argv, int argc, const Rule *rule) {
    Push push;
    const char *why = enter(&push, context, argv, argc, rule);
    if (!why) return OK;
    Work work = {.push = &push};
    if (*why) {
        say_push(&push, why, (Bytes){"", 0});
    } else if (push.coding == INT8) {
        say_error(context, "BADARG int8 is not for rows");
    } else if (may_code(context, push.coding, push.dtype) &&
               open_vectors(&work.vectors, &push.call, 1, 1 + rule->n_slots, WRITE)) {
        Bytes about = bytes_of(push.call.arguments[ABOUT]);
        Bytes payload;
        Tables tables = {allocate(most_tables(about) * sizeof(Table)), 0};
        if (read_handed(&push.handed, &push.call, &payload) &&
            read_tables(&tables, context, "BADPUSH", about, payload, given_width(&push))) {
            take(&work, &tables);
        }
        release(tables.tables);
        close_vectors(&work.vectors);
    }
    close_push(&push);
    return OK;
}
