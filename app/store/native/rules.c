#include "rules.h"

#include <string.h>

#include "numbers.h"

/* By squaring, as the twins do: pow() of C libraries differs in the last bit. */
static double power(double base, double exponent) {
    double result = 1;
    for (int64_t left = (int64_t)exponent; left > 0; left /= 2) {
        if (left % 2) result = result * base;
        base = base * base;
    }
    return result;
}

/* A rule's file in app/optimizers/rules is read three times for its KERNEL, once for each type that
 * is stored (REAL) and computed in (WORK), and a last time for its RULE. */
#define KERNEL(rule)                                                                      \
    WIDE static void NAME(rule)(const Step *s, size_t n, const REAL *g, const REAL *const *old, \
                                REAL *const *new)
#define WORK double
#define ROOT sqrt
#define REAL f32
#define NAME(rule) rule##_f
#include "each_rule.h"
#undef REAL
#undef NAME
#define REAL f64
#define NAME(rule) rule##_d
#include "each_rule.h"
#undef WORK
#undef ROOT
#undef REAL
#undef NAME
#define WORK float
#define ROOT sqrtf
#define REAL f32
#define NAME(rule) rule##_s
#include "each_rule.h"
#undef REAL

/* A kernel with the types that a table of rules needs. */
#define UNTYPED(rule, suffix, REAL)                                                        \
    static void rule##_any_##suffix(const Step *s, size_t n, const void *g,                \
                                    const void *const *old, void *const *new) {            \
        rule##_##suffix(s, n, g, (const REAL *const *)old, (REAL *const *)new);            \
    }
/* A rule by its name, how many slots it has, how many numbers it takes beside the rate and its
 * decay, and what its slots begin with (NULL: zeros). */
#define RULE(rule, n_slots, n_arguments, begin)                                            \
    UNTYPED(rule, f, f32)                                                                  \
    UNTYPED(rule, d, f64)                                                                  \
    UNTYPED(rule, s, f32)                                                                  \
    _Static_assert(n_slots <= MOST_SLOTS && n_arguments <= MOST_ARGUMENTS, "see rules.h"); \
    const Rule rule = {#rule,        n_slots,      n_arguments, rule##_any_f,              \
                       rule##_any_d, rule##_any_s, begin};
#include "each_rule.h"

static const Rule *const RULES[] = {
#define X(rule) &rule,
    EACH_RULE(X)
#undef X
};

/* A replica's step on its own copy, in place. `values` are the parameters and the slots.
 * A copy is short-lived: it is computed in its own type, not in double as a shard is.
 * Returns 1, 0 if a result is not finite (it is written all the same), -1 for a rule or a
 * type that there is not. */
__attribute__((visibility("default"))) int distbelief_step(
    const char *name, char dtype, size_t count, const void *gradient, void *const *values,
    double rate, double clock, const double *arguments) {
    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) {
        const Rule *rule = RULES[i];
        if (strcmp(rule->name, name) != 0 || (dtype != 'f' && dtype != 'd')) continue;
        Step step = {.rate = rate, .base_rate = rate, .clock = clock};
        memcpy(step.arguments, arguments, (size_t)rule->n_arguments * sizeof(double));
        const void *old[MOST_VALUES];
        int finite = 1;
        for (int k = 0; k <= rule->n_slots; k++) old[k] = values[k];
        (dtype == 'f' ? rule->apply_s : rule->apply_d)(&step, count, gradient, old, values);
        for (int k = 0; k <= rule->n_slots; k++) {
            finite = finite && all_finite(dtype, values[k], count);
        }
        return finite;
    }
    return -1;
}
