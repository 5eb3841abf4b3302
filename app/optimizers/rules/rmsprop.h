/* RMSProp; twins: rmsprop.lua and rmsprop.py. See app/store/native/rules.c. */
#ifdef REAL
KERNEL(rmsprop) {
    const REAL *w = old[0], *squares = old[1];
    REAL *w_ = new[0], *squares_ = new[1];
    const WORK rate = s->rate, smoothing = s->arguments[0], epsilon = s->arguments[1];
    const WORK fresh = 1 - s->arguments[0];
    EACH_ALONE
    for (size_t i = 0; i < n; i++) {
        WORK gradient = g[i];
        WORK mean = smoothing * squares[i] + fresh * gradient * gradient;
        squares_[i] = (REAL)mean;
        w_[i] = (REAL)(w[i] - rate * gradient / (ROOT(mean) + epsilon));
    }
}
#endif

#ifdef RULE
RULE(rmsprop, 1, 2, NULL)
#endif
