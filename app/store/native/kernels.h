/* The update rules on an array of numbers; read by rules.c once for each type that is stored
 * (REAL) and computed in (WORK), which defines these, ROOT and NAME. Twins:
 * ../lua/push_<rule>.lua, app/optimizers. */

WIDE static void NAME(sgd)(const Step *s, size_t n, const REAL *g, const REAL *const *old,
                           REAL *const *new) {
    const REAL *w = old[0];
    REAL *w_ = new[0];
    const WORK rate = s->rate;
    EACH_ALONE
    for (size_t i = 0; i < n; i++) w_[i] = (REAL)(w[i] - rate * g[i]);
}

WIDE static void NAME(adagrad)(const Step *s, size_t n, const REAL *g, const REAL *const *old,
                               REAL *const *new) {
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

WIDE static void NAME(momentum)(const Step *s, size_t n, const REAL *g, const REAL *const *old,
                                REAL *const *new) {
    const REAL *w = old[0], *velocity = old[1];
    REAL *w_ = new[0], *velocity_ = new[1];
    const WORK rate = s->rate, momentum = s->arguments[0];
    EACH_ALONE
    for (size_t i = 0; i < n; i++) {
        WORK v = momentum * velocity[i] + g[i];
        velocity_[i] = (REAL)v;
        w_[i] = (REAL)(w[i] - rate * v);
    }
}

WIDE static void NAME(rmsprop)(const Step *s, size_t n, const REAL *g, const REAL *const *old,
                               REAL *const *new) {
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

WIDE static void NAME(adam)(const Step *s, size_t n, const REAL *g, const REAL *const *old,
                            REAL *const *new) {
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

WIDE static void NAME(ftrl)(const Step *s, size_t n, const REAL *g, const REAL *const *old,
                            REAL *const *new) {
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
