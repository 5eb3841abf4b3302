/* First values of blocks that nobody has touched; twin: app/layout/draws.py. */
#ifndef DISTBELIEF_DRAWS_H
#define DISTBELIEF_DRAWS_H

#include <stdint.h>

enum { PRIME = 67108859, N_DRAW_KEYS = 4 };

static inline uint64_t cubed(uint64_t x) {
    x %= PRIME;
    return x * x % PRIME * x % PRIME;
}

/* The draw of a number's index (below 2^53): even in [-1, 1). */
static inline double drawn(const int64_t *keys, uint64_t index) {
    uint64_t high = index / PRIME;
    uint64_t mixed = cubed(index - high * PRIME + (uint64_t)keys[0]);
    mixed = cubed(mixed + high + (uint64_t)keys[1]);
    mixed = cubed(cubed(mixed + (uint64_t)keys[2]) + (uint64_t)keys[3]);
    return (double)(mixed * 2) / PRIME - 1;
}

#endif
