/* Begin an evaluation; twin: ../lua/begin.lua. */
#include "commands.h"
#include "protocol.h"

static const char *begin(Call *call, const Hash *meta, int64_t evaluation) {
    const char *why = standing(meta, call);
    if (!why || *why) return why;
    int64_t current = get_whole(meta, "evaluation", 0);
    if (evaluation < current) return "EXPIRED";
    if (evaluation > current) {
        for (int i = 1; i <= 2; i++) {
            Key *key = open_key(call->context, call->keys[i], WRITE);
            delete_key(key);
            close_key(key);
        }
        put_whole(meta, "evaluation", evaluation);
    }
    note_change(meta, call);
    replicate(call->context);
    return "OK";
}

int begin_evaluation(Context *context, String **argv, int argc) {
    Call call;
    Hash meta;
    int64_t evaluation;
    if (!open_call(&call, context, argv, argc, 3, FIRST_OWN + 1) || !keys_differ(&call) ||
        !whole(&call, FIRST_OWN, 0, INT64_MAX / 4, &evaluation)) {
        return OK;
    }
    if (!open_hash(&meta, context, call.keys[0], WRITE)) return say_wrong_type(context);
    const char *answer = begin(&call, &meta, evaluation);
    if (answer) say_bytes(context, answer);
    close_hash(&meta);
    return OK;
}
