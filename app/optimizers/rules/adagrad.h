/* Adagrad; twins: adagrad.lua and adagrad.py. See app/store/native/rules.c. */
#ifdef REAL
KERNEL(adagrad) {
    const REAL *w = old[0], *acc = old[1];
    REAL *w_ = new[0], *acc_ = new[1];
    const WORK rate = s->rate, epsilon = s->arguments[0];
    EACH_ALONE
    for (size_t i = 0; i < n; i++) {
        WORK gradient = g[i];
        WORK sum = acc[i] + gradient * gradient;
        acc_[i] = (REAL)sum;
        w_[i] = (REAL)(w[i] - rate * gradient / (ROOT(sum) + epsilon));
    }
}
#endif

#ifdef RULE
static void begin_adagrad(const Step *s, size_t n, const double *w, double *const *slots) {
    (void)w;
    for (size_t i = 0; i < n; i++) slots[0][i] = s->arguments[1];
}

RULE(adagrad, 1, 2, begin_adagrad)
#endif
