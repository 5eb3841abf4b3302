/* Adam, with decoupled weight decay; twins: adam.lua and adam.py. See app/store/native/rules.c. */
#ifdef REAL
KERNEL(adam) {
    const REAL *w = old[0], *first = old[1], *second = old[2];
    REAL *w_ = new[0], *first_ = new[1], *second_ = new[2];
    const WORK beta1 = s->arguments[0], beta2 = s->arguments[1], epsilon = s->arguments[2];
    const WORK fresh1 = 1 - s->arguments[0], fresh2 = 1 - s->arguments[1];
    const WORK step = s->rate / (1 - power(s->arguments[0], s->clock + 1));
    const WORK root = sqrt(1 - power(s->arguments[1], s->clock + 1));
    const WORK kept = 1 - s->rate * s->arguments[3];
    EACH_ALONE
    for (size_t i = 0; i < n; i++) {
        WORK gradient = g[i];
        WORK m = beta1 * first[i] + fresh1 * gradient;
        WORK v = beta2 * second[i] + fresh2 * gradient * gradient;
        first_[i] = (REAL)m;
        second_[i] = (REAL)v;
        w_[i] = (REAL)(w[i] * kept - step * m / (ROOT(v) / root + epsilon));
    }
}
#endif

#ifdef RULE
RULE(adam, 2, 4, NULL)
#endif
