/* Delayed Nesterov; twins: delayed_nesterov.lua and delayed_nesterov.py. See
 * app/store/native/rules.c. */
#ifdef REAL
KERNEL(delayed_nesterov) {
    const REAL *w = old[0], *velocity = old[1], *sums = old[2];
    REAL *w_ = new[0], *velocity_ = new[1], *sums_ = new[2];
    const WORK rate = s->rate, momentum = s->arguments[0];
    const double arrived = s->clock + 1, arrivals = s->arguments[1];
    const int last = arrived - floor(arrived / arrivals) * arrivals == 0; /* as Lua's % */
    if (!last) {
        EACH_ALONE
        for (size_t i = 0; i < n; i++) {
            WORK gradient = g[i];
            sums_[i] = (REAL)(sums[i] + gradient);
            velocity_[i] = velocity[i];
            w_[i] = (REAL)(w[i] - rate * gradient);
        }
        return;
    }
    EACH_ALONE
    for (size_t i = 0; i < n; i++) {
        WORK gradient = g[i];
        WORK v = momentum * velocity[i] + (sums[i] + gradient);
        velocity_[i] = (REAL)v;
        sums_[i] = 0;
        w_[i] = (REAL)(w[i] - rate * (momentum * v + gradient));
    }
}
#endif

#ifdef RULE
RULE(delayed_nesterov, 2, 2, NULL)
#endif
