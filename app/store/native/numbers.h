/* Numbers as they lie in blocks: little-endian, packed, at any address. */
#ifndef DISTBELIEF_NUMBERS_H
#define DISTBELIEF_NUMBERS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

typedef float f32 __attribute__((aligned(1), may_alias));
typedef double f64 __attribute__((aligned(1), may_alias));
typedef uint32_t u32 __attribute__((aligned(1), may_alias));
typedef uint64_t u64 __attribute__((aligned(1), may_alias));

/* Where the loader can choose, a loop is built once more for wider registers. Neither
 * changes a bit: every operation rounds once, and none is fused with another. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

/* Arrays may be the same, never shifted against one another. */
#if defined(__clang__)
#define EACH_ALONE _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define EACH_ALONE _Pragma("GCC ivdep")
#else
#define EACH_ALONE
#endif

/* Whether `count` numbers of that type ('f' or 'd') are all finite. */
int all_finite(char dtype, const void *numbers, size_t count);

/* To doubles, and back with one rounding. */
void widen(char dtype, const void *numbers, double *out, size_t count);
void narrow(char dtype, const double *numbers, void *out, size_t count);

static inline size_t width_of(char dtype) { return dtype == 'f' ? 4 : 8; }

#endif
