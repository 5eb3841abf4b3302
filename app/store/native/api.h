/* What we need of the module API of Redis (7.0 and newer) and Valkey, declared by ourselves.
 *
 * A server hands a module its functions by name: see load_api() in api.c. */
#ifndef DISTBELIEF_API_H
#define DISTBELIEF_API_H

#include <stddef.h>
#include <stdint.h>

typedef struct Context Context;
typedef struct String String;
typedef struct Key Key;
typedef struct Reply Reply;
typedef int (*Handler)(Context *, String **, int);

enum { OK = 0, FAILED = 1 };
enum { API_VERSION = 1 };
enum { READ = 1, WRITE = 2 };            /* modes of a key */
enum { EMPTY = 0, TEXT = 1, HASH = 3 };  /* types of a key */
enum { READ_KEY = 1 | 16, CHANGED_KEY = 2 | 16 | 32 }; /* what a command does to a key */
enum { C_FIELDS = 4 };          /* flags of hash_get and hash_set */

/* The functions, each under the name that the server knows it by. */
#define API(X)                                                                        \
    X(int, create_command, CreateCommand,                                             \
      (Context *, const char *, Handler, const char *, int, int, int))                \
    X(int, set_attributes, SetModuleAttribs, (Context *, const char *, int, int))     \
    X(int, asks_for_keys, IsKeysPositionRequest, (Context *))                         \
    X(void, key_at, KeyAtPosWithFlags, (Context *, int, int))                         \
    X(Key *, open_key, OpenKey, (Context *, String *, int))                           \
    X(void, close_key, CloseKey, (Key *))                                             \
    X(int, key_type, KeyType, (Key *))                                                \
    X(int, delete_key, DeleteKey, (Key *))                                            \
    X(int, hash_get, HashGet, (Key *, int, ...))                                      \
    X(int, hash_set, HashSet, (Key *, int, ...))                                      \
    X(String *, create_string, CreateString, (Context *, const char *, size_t))       \
    X(void, free_string, FreeString, (Context *, String *))                           \
    X(const char *, string_text, StringPtrLen, (const String *, size_t *))            \
    X(int, string_integer, StringToLongLong, (const String *, long long *))           \
    X(int, string_number, StringToDouble, (const String *, double *))                 \
    X(Reply *, call, Call, (Context *, const char *, const char *, ...))              \
    X(int, reply_type, CallReplyType, (Reply *))                                      \
    X(long long, reply_integer, CallReplyInteger, (Reply *))                          \
    X(void, free_reply, FreeCallReply, (Reply *))                                     \
    X(int, say_array, ReplyWithArray, (Context *, long))                              \
    X(int, say_integer, ReplyWithLongLong, (Context *, long long))                    \
    X(int, say_text, ReplyWithStringBuffer, (Context *, const char *, size_t))        \
    X(int, say_error, ReplyWithError, (Context *, const char *))                      \
    X(int, replicate, ReplicateVerbatim, (Context *))                                 \
    X(int, replicate_as, Replicate, (Context *, const char *, const char *, ...))     \
    X(void, log_line, Log, (Context *, const char *, const char *, ...))              \
    X(uint64_t, create_timer, CreateTimer,                                            \
      (Context *, long long, void (*)(Context *, void *), void *))                    \
    X(void *, allocate, Alloc, (size_t))                                              \
    X(void, release, Free, (void *))

#define X(RESULT, NAME, THEIRS, ARGUMENTS) extern RESULT(*NAME) ARGUMENTS;
API(X)
#undef X

enum { INTEGER_REPLY = 2 };

/* FAILED if the server lacks one of the functions. */
int load_api(Context *context);

#endif
