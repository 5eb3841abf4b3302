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

#define WORK double
#define ROOT sqrt
#define REAL f32
#define NAME(rule) rule##_f
#include "kernels.h"
#undef REAL
#undef NAME
#define REAL f64
#define NAME(rule) rule##_d
#include "kernels.h"
#undef WORK
#undef ROOT
#undef REAL
#undef NAME
#define WORK float
#define ROOT sqrtf
#define REAL f32
#define NAME(rule) rule##_s
#include "kernels.h"

/* The kernels with the types that a table of rules needs. */
#define UNTYPED(rule, suffix, REAL)                                                        \
    static void rule##_any_##suffix(const Step *s, size_t n, const void *g,                \
                                    const void *const *old, void *const *new) {            \
        rule##_##suffix(s, n, g, (const REAL *const *)old, (REAL *const *)new);            \
    }
#define ALL(rule) UNTYPED(rule, f, f32) UNTYPED(rule, d, f64) UNTYPED(rule, s, f32)
EACH_RULE(ALL)

static void begin_adagrad(const Step *s, size_t n, const double *w, double *const *slots) {
    (void)w;
    for (size_t i = 0; i < n; i++) slots[0][i] = s->arguments[1];
}

static void begin_ftrl(const Step *s, size_t n, const double *w, double *const *slots) {
    const double l1 = s->arguments[1];
    const double divisor = s->arguments[0] / s->base_rate + s->arguments[2];
    for (size_t i = 0; i < n; i++) {
        if (w[i] > 0) {
            slots[1][i] = -w[i] * divisor - l1;
        } else if (w[i] < 0) {
            slots[1][i] = -w[i] * divisor + l1;
        }
    }
}

#define RULE(rule, n_slots, n_arguments, begin) \
    const Rule rule = {#rule, n_slots, n_arguments, rule##_any_f, rule##_any_d, rule##_any_s, begin};
RULE(sgd, 0, 0, NULL)
RULE(adagrad, 1, 2, begin_adagrad)
RULE(momentum, 1, 1, NULL)
RULE(rmsprop, 1, 2, NULL)
RULE(adam, 2, 4, NULL)
RULE(ftrl, 2, 3, begin_ftrl)

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
