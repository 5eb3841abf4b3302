/* Plain gradient descent; twins: sgd.lua and sgd.py. See app/store/native/rules.c. */
#ifdef REAL
KERNEL(sgd) {
    const REAL *w = old[0];
    REAL *w_ = new[0];
    const WORK rate = s->rate;
    EACH_ALONE
    for (size_t i = 0; i < n; i++) w_[i] = (REAL)(w[i] - rate * g[i]);
}
#endif

#ifdef RULE
RULE(sgd, 0, 0, NULL)
#endif
