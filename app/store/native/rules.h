/* Update rules: pure functions of arrays, which know no server. */
#ifndef DISTBELIEF_RULES_H
#define DISTBELIEF_RULES_H

#include <stddef.h>

/* EACH_RULE(X): X(adagrad) and so on; it also reads the files in app/optimizers/rules, which are
 * empty until rules.c defines how to read them. The build writes it (see sources.py). */
#include "each_rule.h"

enum { MOST_SLOTS = 2, MOST_VALUES = 1 + MOST_SLOTS, MOST_ARGUMENTS = 4 };

/* One step: the rate after its decay, the pushes applied before it, and what the rule takes
 * beside the rate, in the order of its script. `base_rate` is the rate before its decay. */
typedef struct {
    double rate, base_rate, clock, arguments[MOST_ARGUMENTS];
} Step;

typedef struct {
    const char *name;
    int n_slots, n_arguments;
    /* New values (parameters, then slots) from old ones, number by number; new may be old.
     * In double, of floats and of doubles, and in float. */
    void (*apply_f)(const Step *, size_t, const void *, const void *const *, void *const *);
    void (*apply_d)(const Step *, size_t, const void *, const void *const *, void *const *);
    void (*apply_s)(const Step *, size_t, const void *, const void *const *, void *const *);
    /* What slots begin with beside new parameters, where that is not zero. */
    void (*begin)(const Step *, size_t, const double *parameters, double *const *slots);
} Rule;

#define X(rule) extern const Rule rule;
EACH_RULE(X)
#undef X

static inline void apply(const Rule *rule, char dtype, const Step *step, size_t count,
                         const void *gradient, const void *const *old, void *const *new) {
    (dtype == 'f' ? rule->apply_f : rule->apply_d)(step, count, gradient, old, new);
}

#endif
