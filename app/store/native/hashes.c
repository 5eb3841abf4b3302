#include "hashes.h"

#include <string.h>

size_t write_whole(char text[LONGEST_ID], int64_t number) {
    char digits[LONGEST_ID];
    size_t n = 0, length = 0;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[n++] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0) text[length++] = '-';
    while (n > 0) text[length++] = digits[--n];
    text[length] = '\0';
    return length;
}

int open_hash(Hash *hash, Context *context, String *name, int mode) {
    hash->context = context;
    hash->key = open_key(context, name, mode);
    int type = hash->key ? key_type(hash->key) : EMPTY;
    if (type == EMPTY || type == HASH) return 1;
    close_hash(hash);
    return 0;
}

void close_hash(Hash *hash) {
    if (hash->key) close_key(hash->key);
    hash->key = NULL;
}

String *get(const Hash *hash, const char *field) {
    String *value = NULL;
    if (!hash->key || key_type(hash->key) != HASH) return NULL;
    return hash_get(hash->key, C_FIELDS, field, &value, NULL) == OK ? value : NULL;
}

void put_bytes(const Hash *hash, const char *field, const void *value, size_t length) {
    String *string = create_string(hash->context, value, length);
    hash_set(hash->key, C_FIELDS, field, string, NULL);
    free_string(hash->context, string);
}

void put_whole(const Hash *hash, const char *field, int64_t value) {
    char text[LONGEST_ID];
    put_bytes(hash, field, text, write_whole(text, value));
}

int64_t get_whole(const Hash *hash, const char *field, int64_t otherwise) {
    String *value = get(hash, field);
    long long number = otherwise;
    if (!value) return otherwise;
    if (string_integer(value, &number) != OK || number > MOST_EXACT || number < -MOST_EXACT) {
        number = otherwise;
    }
    free_string(hash->context, value);
    return number;
}

int open_vectors(Vectors *vectors, Call *call, int first_key, int n, int mode) {
    vectors->n = 0;
    vectors->hashes = allocate((size_t)(n > 0 ? n : 1) * sizeof(Hash));
    for (; vectors->n < n; vectors->n++) {
        String *name = call->keys[first_key + vectors->n];
        if (!open_hash(&vectors->hashes[vectors->n], call->context, name, mode)) {
            close_vectors(vectors);
            say_wrong_type(call->context);
            return 0;
        }
    }
    return 1;
}

void close_vectors(Vectors *vectors) {
    for (int i = 0; i < vectors->n; i++) close_hash(&vectors->hashes[i]);
    release(vectors->hashes);
    vectors->hashes = NULL;
}

/* Rooms above KEPT_BYTES go when no call has needed one for IDLE_MS. To make one of 40 MB anew for
 * each call would cost a server two thirds of what the call itself does. */
enum { KEPT_BYTES = 4 << 20, IDLE_MS = 1000 };

/* A sanitizer is to see every step beyond what was asked for. */
#if defined(__SANITIZE_ADDRESS__)
#define SPARE(bytes) 0
#else
#define SPARE(bytes) ((bytes) / 2 + 4096)
#endif

static void *rooms[N_ROOMS];
static size_t sizes[N_ROOMS];
static int large; /* whether this call needed a large room */

void *room(int which, size_t bytes) {
    if (bytes > MOST_BYTES) return NULL;
    large |= bytes + SPARE(bytes) > KEPT_BYTES;
    if (bytes > sizes[which] || !rooms[which] || SPARE(bytes) == 0) {
        if (rooms[which]) release(rooms[which]);
        sizes[which] = bytes + SPARE(bytes);
        rooms[which] = allocate(sizes[which]);
    }
    return rooms[which];
}

/* Rooms of the last calls were large; somebody will look whether they still are needed. */
static int in_use, watched;

static void look(Context *context, void *nothing) {
    (void)nothing;
    for (int which = 0; !in_use && which < N_ROOMS; which++) {
        if (sizes[which] <= KEPT_BYTES) continue;
        release(rooms[which]);
        rooms[which] = NULL;
        sizes[which] = 0;
    }
    watched = in_use;
    in_use = 0;
    if (watched) create_timer(context, IDLE_MS, look, NULL);
}

void leave_rooms(Context *context) {
    if (!large) return;
    large = 0;
    in_use = 1;
    if (watched) return;
    watched = 1;
    create_timer(context, IDLE_MS, look, NULL);
}

Ids ids_in(Bytes text) { return (Ids){.left = text}; }

Ids ids_from(int64_t first, int64_t last) {
    return (Ids){.next = first, .last = last, .is_range = 1};
}

int next_id(Ids *ids) {
    int64_t id = ids->next;
    if (ids->is_range) {
        if (ids->next > ids->last) return 0;
        ids->next++;
    } else {
        int more = next_whole(&ids->left, ',', &id);
        if (more <= 0) return more;
    }
    write_whole(ids->id, id);
    return 1;
}
