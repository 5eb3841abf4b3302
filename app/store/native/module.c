/* The module: its name, its version, its commands. */
#include <stdint.h>
#include <string.h>

#include "call.h"
#include "commands.h"
#include "hashes.h"
#include "shared.h"

#define EXPORTED __attribute__((visibility("default")))

/* The build defines VERSION (see sources.py). */
enum { MODULE_VERSION = 1 };

/* For who loads this as a library. */
EXPORTED const char *distbelief_version(void);

const char *distbelief_version(void) { return VERSION; }

static int version(Context *context, String **argv, int argc) {
    (void)argv;
    (void)argc;
    return say_bytes(context, VERSION);
}

/* What the server calls: for each command a function that tells where its keys are, or does it. */
#define COMMAND(NAME, ACCESS, CALL)                                        \
    static int command_##NAME(Context *context, String **argv, int argc) { \
        int answer = OK;                                                   \
        if (asks_for_keys(context)) {                                      \
            tell_keys(context, argv, argc, ACCESS);                        \
        } else {                                                           \
            answer = CALL;                                                 \
            leave_rooms(context);                                          \
        }                                                                  \
        return answer;                                                     \
    }

/* The commands that only read, those that change something, and those of each rule. */
#define EACH_READING(X) X(fetch, fetch) X(fetch_rows, fetch_rows) X(dots, dots) X(sparsity, sparsity)
#define EACH_CHANGING(X)                                                          \
    X(announce, announce) X(begin, begin_evaluation) X(accumulate, accumulate)    \
    X(combine, combine) X(pseudo, pseudo) X(orthant, orthant)

#define X(NAME, HANDLER) COMMAND(NAME, READ_KEY, HANDLER(context, argv, argc))
EACH_READING(X)
#undef X
#define X(NAME, HANDLER) COMMAND(NAME, CHANGED_KEY, HANDLER(context, argv, argc))
EACH_CHANGING(X)
#undef X
#define X(RULE)                                                                   \
    COMMAND(push_##RULE, CHANGED_KEY, push_dense(context, argv, argc, &RULE))     \
    COMMAND(push_rows_##RULE, CHANGED_KEY, push_rows(context, argv, argc, &RULE))
EACH_RULE(X)
#undef X

#define READS "readonly getkeys-api"
#define WRITES "write deny-oom getkeys-api"

static const struct {
    const char *name, *flags;
    Handler handler;
} COMMANDS[] = {
#define X(NAME, HANDLER) {"distbelief." #NAME, READS, command_##NAME},
    EACH_READING(X)
#undef X
#define X(NAME, HANDLER) {"distbelief." #NAME, WRITES, command_##NAME},
    EACH_CHANGING(X)
#undef X
#define X(RULE)                                                \
    {"distbelief.push_" #RULE, WRITES, command_push_##RULE},   \
    {"distbelief.push_rows_" #RULE, WRITES, command_push_rows_##RULE},
    EACH_RULE(X)
#undef X
};

/* Numbers lie in blocks with their lowest byte first. */
static int is_little_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

EXPORTED int RedisModule_OnLoad(Context *context, String **argv, int argc);

int RedisModule_OnLoad(Context *context, String **argv, int argc) {
    if (!is_little_endian() || load_api(context) != OK) return FAILED;
    set_attributes(context, "distbelief", MODULE_VERSION, API_VERSION);
    if (!allow_folder(context, argv, argc) ||
        create_command(context, "distbelief.version", version, "readonly fast", 0, 0, 0) != OK ||
        create_command(context, "distbelief.shared", shared, "readonly fast", 0, 0, 0) != OK) {
        return FAILED;
    }
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        /* Where its keys are, a command is asked itself. */
        if (create_command(context, COMMANDS[i].name, COMMANDS[i].handler, COMMANDS[i].flags, 0, 0,
                           0) != OK) {
            return FAILED;
        }
    }
    return OK;
}
