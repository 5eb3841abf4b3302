/* Nesterov's momentum; twins: nesterov.lua and nesterov.py. See app/store/native/rules.c. */
#ifdef REAL
KERNEL(nesterov) {
    const REAL *w = old[0], *velocity = old[1];
    REAL *w_ = new[0], *velocity_ = new[1];
    const WORK rate = s->rate, momentum = s->arguments[0];
    EACH_ALONE
    for (size_t i = 0; i < n; i++) {
        WORK gradient = g[i];
        WORK v = momentum * velocity[i] + gradient;
        velocity_[i] = (REAL)v;
        w_[i] = (REAL)(w[i] - rate * (momentum * v + gradient));
    }
}
#endif

#ifdef RULE
RULE(nesterov, 1, 1, NULL)
#endif
