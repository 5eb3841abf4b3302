/* FTRL-Proximal; twins: ftrl.lua and ftrl.py. See app/store/native/rules.c. */
#ifdef REAL
KERNEL(ftrl) {
    const REAL *w = old[0], *squares = old[1], *sums = old[2];
    REAL *w_ = new[0], *squares_ = new[1], *sums_ = new[2];
    const WORK rate = s->rate;
    const WORK beta = s->arguments[0], l1 = s->arguments[1], l2 = s->arguments[2];
    EACH_ALONE
    for (size_t i = 0; i < n; i++) {
        WORK gradient = g[i], squared = squares[i];
        WORK more = squared + gradient * gradient;
        WORK root = ROOT(more);
        WORK z = sums[i] + gradient - (root - ROOT(squared)) / rate * w[i];
        squares_[i] = (REAL)more;
        sums_[i] = (REAL)z;
        WORK divisor = (beta + root) / rate + l2;
        WORK up = -(z - l1) / divisor, down = -(z + l1) / divisor;
        w_[i] = (REAL)(z > l1 ? up : z < -l1 ? down : 0);
    }
}
#endif

#ifdef RULE
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

RULE(ftrl, 2, 3, begin_ftrl)
#endif
