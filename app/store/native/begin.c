/* Begin an evaluation; twin: ../lua/begin.lua. */
#include "commands.h"
#include "protocol.h"

static const char *begin(Call *call, const Hash *meta, int64_t evaluation) {
    int known, ours = holds(meta, call, &known);
    if (!known) return "NOMODEL";
    if (!ours) return "FENCED";
    int64_t current = get_whole(meta, "evaluation", 0);
    if (evaluation < current) return "EXPIRED";
    if (evaluation > current) {
        for (int i = 1; i <= 2; i++) {
            Key *key = open_key(call->context, call->keys[i], WRITE);
            delete_key(key);
            close_key(key);
        }
        put_whole(meta, "evaluation", evaluation);
        replicate(call->context);
    }
    return "OK";
}

int begin_evaluation(Context *context, String **argv, int argc) {
    Call call;
    Hash meta;
    int64_t evaluation;
    if (!open_call(&call, context, argv, argc, 3, 2) || !keys_differ(&call) ||
        !whole(&call, 1, 0, INT64_MAX / 4, &evaluation)) {
        return OK;
    }
    if (!open_hash(&meta, context, call.keys[0], WRITE)) return say_wrong_type(context);
    say_bytes(context, begin(&call, &meta, evaluation));
    close_hash(&meta);
    return OK;
}
