/* The protocol of a push, shared by push.c and rows.c; twin: ../lua/protocol.lua. */
#ifndef DISTBELIEF_PROTOCOL_H
#define DISTBELIEF_PROTOCOL_H

#include "coding.h"
#include "hashes.h"
#include "shared.h"

/* Where arguments stand, from 0: of a push, */
enum {
    FENCE,
    STREAM,
    ATTEMPT,
    SEQUENCE,
    FRESH,
    BASE,
    ABOUT,
    PAYLOAD,
    RATE,
    DECAY,
    CODING,
    RULE_NUMBERS
};

/* and of a call of the coordinator, behind its fence. */
enum { KNOWN_CHANGE = 1, CHANGE, FIRST_OWN };

/* A push that is under way: who pushes, its first and last sequence, and where the shard stands. */
typedef struct {
    Call call;
    Hash meta;
    const Rule *rule;
    char dtype;
    Coding coding;
    int64_t clock, last, first, sequence, attempt, fence;
    char attempt_field[LONGEST_ID + 8], sequence_field[LONGEST_ID + 8];
    Step step;
    Handed handed;
} Push;

/* Read the arguments and where the shard stands. Returns NULL if all is told already, else why
 * the push is not to be applied, or "" if it is. `meta` is open then. */
const char *enter(Push *push, Context *context, String **argv, int argc, const Rule *rule);

/* Use up the sequence, after all else was written; APPLIED, or REFUSED if not `finite`. */
const char *leave(Push *push, int finite);

/* The answer, with numbers as the push wants them. */
void say_push(Push *push, const char *answer, Bytes numbers);

/* At the end of a push that was entered. */
void close_push(Push *push);

/* Take up or announce a stream's attempt; twin: ../lua/announce.lua. */
int announce(Context *context, String **argv, int argc);

/* The type that a shard's numbers have, 'f' or 'd'; 0 if it says nothing of the kind. */
char dtype_of(const Hash *meta);

/* How the fence in force stands to that of a call: NOMODEL, FENCED (newer), BEHIND (older), or "". */
const char *fenced(const Hash *meta, int64_t fence);

/* Whether the shard has an older fence than it is known to have had, or not that change.
 * Twin: ../lua/behind.lua. */
int is_behind(const Hash *meta, int64_t fence, int64_t known);

/* Why a call of the coordinator is not to be served, or "" if it is; NULL if an error was told.
 * Twin: ../lua/changes.lua. */
const char *standing(const Hash *meta, Call *call);

/* Note the change in `meta`, which is open to be written; called after all else was written. */
void note_change(const Hash *meta, const Call *call);

#endif
