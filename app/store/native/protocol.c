#include "protocol.h"

#include <stdio.h>
#include <string.h>

char dtype_of(const Hash *meta) {
    String *value = get(meta, "dtype");
    if (!value) return 0;
    Bytes text = bytes_of(value);
    char dtype = text.length == 1 && (*text.at == 'f' || *text.at == 'd') ? *text.at : 0;
    free_string(meta->context, value);
    return dtype;
}

const char *fenced(const Hash *meta, int64_t fence) {
    int64_t in_force = get_whole(meta, "fence", -1);
    if (in_force < 0) return "NOMODEL";
    if (in_force > fence) return "FENCED";
    return in_force < fence ? "BEHIND" : "";
}

const char *standing(const Hash *meta, Call *call) {
    int64_t fence, known, change;
    if (!whole(call, FENCE, 0, INT64_MAX / 4, &fence) ||
        !whole(call, KNOWN_CHANGE, 0, INT64_MAX / 4, &known) ||
        !whole(call, CHANGE, 0, INT64_MAX / 4, &change)) {
        return NULL;
    }
    const char *why = fenced(meta, fence);
    return !*why && get_whole(meta, "change", 0) < known ? "BEHIND" : why;
}

void note_change(const Hash *meta, const Call *call) {
    long long change = 0;
    string_integer(call->arguments[CHANGE], &change);
    if (change > get_whole(meta, "change", 0)) put_whole(meta, "change", change);
}

static void name_fields(Push *push, int64_t stream) {
    snprintf(push->attempt_field, sizeof push->attempt_field, "attempt:%lld", (long long)stream);
    snprintf(push->sequence_field, sizeof push->sequence_field, "seq:%lld", (long long)stream);
}

/* Rate and numbers of the rule; the rate divided by the updates of others since `base`. */
static int read_step(Push *push) {
    Call *call = &push->call;
    Step *step = &push->step;
    double decay;
    int64_t base;
    if (!real(call, RATE, &step->base_rate) || !real(call, DECAY, &decay)) return 0;
    for (int i = 0; i < push->rule->n_arguments; i++) {
        if (!real(call, RULE_NUMBERS + i, &step->arguments[i])) return 0;
    }
    step->clock = (double)push->clock;
    step->rate = step->base_rate / (1 + decay * step->clock);
    if (bytes_of(call->arguments[BASE]).length > 0) {
        if (!whole(call, BASE, INT64_MIN / 4, INT64_MAX / 4, &base)) return 0;
        int64_t since = push->clock - push->last - base;
        step->rate = step->rate / (since > 1 ? (double)since : 1);
    }
    return 1;
}

/* Why the push is not to be applied, by what the shard knows. */
static const char *refusal(Push *push) {
    const char *why = fenced(&push->meta, push->fence);
    if (*why == 'N') return why;
    push->clock = get_whole(&push->meta, "clock", 0);
    push->last = get_whole(&push->meta, push->sequence_field, 0);
    if (*why) return why;
    if (push->attempt < get_whole(&push->meta, push->attempt_field, 0)) return "FENCED";
    if (push->sequence <= push->last) return "DUPLICATE";
    if (push->first != push->last + 1) return "GAP";
    return "";
}

/* The sequence of a push, or the first and the last of several, as 13-15; 0 if it was told. */
static int read_sequence(Push *push) {
    Bytes text = bytes_of(push->call.arguments[SEQUENCE]);
    if (next_whole(&text, '-', &push->first) == 1 && text.length > 0 &&
        next_whole(&text, '-', &push->sequence) == 1 && text.length == 0) {
        return 1;
    }
    if (!whole(&push->call, SEQUENCE, 0, INT64_MAX / 4, &push->sequence)) return 0;
    push->first = push->sequence;
    return 1;
}

const char *enter(Push *push, Context *context, String **argv, int argc, const Rule *rule) {
    int64_t stream;
    memset(push, 0, sizeof *push);
    push->rule = rule;
    if (!open_call(&push->call, context, argv, argc, 2 + rule->n_slots,
                   RULE_NUMBERS + rule->n_arguments)) {
        return NULL;
    }
    if (push->call.n_keys != 2 + rule->n_slots) {
        say_error_about(context, "BADARG %s has %d keys", rule->name, 2 + rule->n_slots);
        return NULL;
    }
    if (!keys_differ(&push->call) ||
        !whole(&push->call, FENCE, 0, INT64_MAX / 4, &push->fence) ||
        !whole(&push->call, STREAM, 0, INT64_MAX / 4, &stream) ||
        !whole(&push->call, ATTEMPT, 0, INT64_MAX / 4, &push->attempt) ||
        !read_sequence(push) || !read_coding(&push->call, CODING, &push->coding)) {
        return NULL;
    }
    name_fields(push, stream);
    if (!open_hash(&push->meta, context, push->call.keys[0], WRITE)) {
        say_wrong_type(context);
        return NULL;
    }
    const char *why = refusal(push);
    push->dtype = dtype_of(&push->meta);
    if (!*why && !push->dtype) {
        say_error(context, "BADPUSH the shard does not say which type its numbers have");
    } else if ((*why || read_step(push)) && open_handed(&push->handed, &push->call, PAYLOAD)) {
        return why;
    }
    close_hash(&push->meta);
    return NULL;
}

void close_push(Push *push) {
    close_handed(&push->handed);
    close_hash(&push->meta);
}

const char *leave(Push *push, int finite) {
    const Hash *meta = &push->meta;
    int64_t span = push->sequence - push->first + 1;
    push->last = push->sequence;
    if (finite) {
        push->clock += span;
    } else {
        put_whole(meta, "refused", get_whole(meta, "refused", 0) + span);
    }
    put_whole(meta, "clock", push->clock);
    put_whole(meta, push->attempt_field, push->attempt);
    put_whole(meta, push->sequence_field, push->last);
    propagate(&push->call, &push->handed);
    return finite ? "APPLIED" : "REFUSED";
}

void say_push(Push *push, const char *answer, Bytes numbers) {
    Context *context = push->call.context;
    encode_bytes(push->coding, &numbers);
    int is_back = hand_back(&push->handed, numbers);
    say_array(context, 4 + is_back);
    say_bytes(context, answer);
    say_integer(context, push->clock);
    say_integer(context, push->last);
    say_array_back(context, is_back, numbers);
}

static int say_announced(Context *context, const char *answer, int64_t clock, int64_t last) {
    say_array(context, 3);
    say_bytes(context, answer);
    say_integer(context, clock);
    return say_integer(context, last);
}

int announce(Context *context, String **argv, int argc) {
    Push push = {0};
    int64_t stream;
    if (!open_call(&push.call, context, argv, argc, 1, 3) ||
        !whole(&push.call, FENCE, 0, INT64_MAX / 4, &push.fence) ||
        !whole(&push.call, 1, 0, INT64_MAX / 4, &stream) ||
        !whole(&push.call, 2, 0, INT64_MAX / 4, &push.attempt)) {
        return OK;
    }
    name_fields(&push, stream);
    if (!open_hash(&push.meta, context, push.call.keys[0], WRITE)) return say_wrong_type(context);
    const char *answer = fenced(&push.meta, push.fence);
    push.clock = get_whole(&push.meta, "clock", 0);
    push.last = get_whole(&push.meta, push.sequence_field, 0);
    if (*answer == 'N') {
        push.clock = push.last = 0;
    } else if (!*answer && push.attempt < get_whole(&push.meta, push.attempt_field, 0)) {
        answer = "FENCED";
    } else if (!*answer) {
        answer = "OK";
        put_whole(&push.meta, push.attempt_field, push.attempt);
        replicate(context);
    }
    close_hash(&push.meta);
    return say_announced(context, answer, push.clock, push.last);
}
