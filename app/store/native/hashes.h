/* Hashes: a shard's meta, and vectors with a field for each block. */
#ifndef DISTBELIEF_HASHES_H
#define DISTBELIEF_HASHES_H

#include "call.h"
#include "rules.h"

/* What one call may hold in memory beside its arguments. */
#define MOST_BYTES ((size_t)512 << 20)

enum { LONGEST_ID = 24 };

/* A whole number in digits, ended by a zero; its length. snprintf needs seven times as long, which
 * is a tenth of a push of rows. */
size_t write_whole(char text[LONGEST_ID], int64_t number);

/* A hash that is open; `key` is NULL if it is not there and was opened to be read. */
typedef struct {
    Context *context;
    Key *key;
} Hash;

/* 0 if something else is under the key. */
int open_hash(Hash *hash, Context *context, String *name, int mode);
void close_hash(Hash *hash);

/* A field's value, to be freed; NULL if it is not there. */
String *get(const Hash *hash, const char *field);
void put_bytes(const Hash *hash, const char *field, const void *value, size_t length);
void put_whole(const Hash *hash, const char *field, int64_t value);

/* A field's whole number; `otherwise` if it is not there or no such number (up to 2^53). */
int64_t get_whole(const Hash *hash, const char *field, int64_t otherwise);

/* Several vectors that are open together. */
typedef struct {
    Hash *hashes;
    int n;
} Vectors;

/* 0 if there is no memory, or something else is under a key, which was told then. */
int open_vectors(Vectors *vectors, Call *call, int first_key, int n, int mode);
void close_vectors(Vectors *vectors);

/* Memory that is used from one call to the next. NULL if it is more than MOST_BYTES. */
enum { OUTPUT, VALUES, LISTS, CODED, HANDED, N_ROOMS };
void *room(int which, size_t bytes);

/* At the end of a call: have rooms that most calls do not need given back soon. */
void leave_rooms(Context *context);

/* The blocks of the ids in a text, all of them or a range: */
typedef struct {
    Bytes left;         /* of a text */
    int64_t next, last; /* of a range */
    int is_range;
    char id[LONGEST_ID];
} Ids;

Ids ids_in(Bytes text);
Ids ids_from(int64_t first, int64_t last);

/* Move to the next id; 0 at the end, -1 if there is something else. */
int next_id(Ids *ids);

#endif
