/* A call: NUMKEYS key ... argument ..., as EVALSHA has them behind the digest. */
#ifndef DISTBELIEF_CALL_H
#define DISTBELIEF_CALL_H

#include <stdint.h>

#include "api.h"

enum { MOST_KEYS = 4096 };

/* Up to here a double, and so Lua, knows every whole number. */
#define MOST_EXACT ((int64_t)1 << 53)

typedef struct {
    Context *context;
    String **keys, **arguments;
    int n_keys, n_arguments, n_own; /* own: those of its script */
} Call;

typedef struct {
    const char *at;
    size_t length;
} Bytes;

/* Tell the server where the keys of a call are, and what it does to all of them. */
void tell_keys(Context *context, String **argv, int argc, int access);

/* 0 if the call is not to be gone on with: an error was told. */
int open_call(Call *call, Context *context, String **argv, int argc, int least_keys,
              int least_arguments);

/* Whether all keys differ, which one that writes to several has to know; tells if they do not. */
int keys_differ(Call *call);

Bytes bytes_of(const String *string);
int same_bytes(Bytes a, Bytes b);

/* The numbers that arguments hold; each tells an error and returns 0 if one is something else. */
int whole(Call *call, int argument, int64_t least, int64_t most, int64_t *out);
int real(Call *call, int argument, double *out);

/* The next of the whole numbers (not negative, below 2^53) that stand in a text with `separator`
 * behind each but the last. Returns 0 at the end, -1 if there is something else. */
int next_whole(Bytes *text, char separator, int64_t *out);

/* Ways to answer. */
int say_error_about(Context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int say_bytes(Context *context, const char *text);
int say_wrong_type(Context *context);

#endif
