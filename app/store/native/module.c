/* The module: its name, its version, its commands. */
#include <stdint.h>
#include <string.h>

#include "call.h"
#include "commands.h"

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

/* A command for each rule, dense and by rows. */
#define X(rule)                                                        \
    static int dense_##rule(Context *context, String **argv, int argc) { \
        return push_dense(context, argv, argc, &rule);                 \
    }                                                                  \
    static int rows_##rule(Context *context, String **argv, int argc) { \
        return push_rows(context, argv, argc, &rule);                  \
    }
EACH_RULE(X)
#undef X

#define WRITES "write deny-oom getkeys-api"
#define READS "readonly getkeys-api"

static const struct {
    const char *name, *flags;
    Handler handler;
} COMMANDS[] = {
#define X(rule)                                          \
    {"distbelief.push_" #rule, WRITES, dense_##rule},    \
    {"distbelief.push_rows_" #rule, WRITES, rows_##rule},
    EACH_RULE(X)
#undef X
    {"distbelief.fetch", READS, fetch},
    {"distbelief.announce", WRITES, announce},
    {"distbelief.begin", WRITES, begin_evaluation},
    {"distbelief.accumulate", WRITES, accumulate},
    {"distbelief.combine", WRITES, combine},
    {"distbelief.pseudo", WRITES, pseudo},
    {"distbelief.orthant", WRITES, orthant},
    {"distbelief.dots", READS, dots},
    {"distbelief.sparsity", READS, sparsity},
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
    (void)argv;
    (void)argc;
    if (!is_little_endian() || load_api(context) != OK) return FAILED;
    set_attributes(context, "distbelief", MODULE_VERSION, API_VERSION);
    if (create_command(context, "distbelief.version", version, "readonly fast", 0, 0, 0) != OK) {
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
