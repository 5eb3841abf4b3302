#include "numbers.h"

#include <string.h>

/* By their bits: this loop has no order that a compiler would have to keep. */
WIDE static int finite_f(const u32 *bits, size_t count) {
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) bad |= (bits[i] & 0x7f800000u) == 0x7f800000u;
    return !bad;
}

WIDE static int finite_d(const u64 *bits, size_t count) {
    uint64_t bad = 0;
    const uint64_t top = 0x7ff0000000000000u;
    for (size_t i = 0; i < count; i++) bad |= (bits[i] & top) == top;
    return !bad;
}

int all_finite(char dtype, const void *numbers, size_t count) {
    return dtype == 'f' ? finite_f(numbers, count) : finite_d(numbers, count);
}

WIDE static void widen_f(const f32 *numbers, double *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = numbers[i];
}

void widen(char dtype, const void *numbers, double *out, size_t count) {
    if (dtype == 'f') {
        widen_f(numbers, out, count);
    } else {
        memcpy(out, numbers, count * sizeof(double));
    }
}

WIDE static void narrow_f(const double *numbers, f32 *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = (float)numbers[i];
}

void narrow(char dtype, const double *numbers, void *out, size_t count) {
    if (dtype == 'f') {
        narrow_f(numbers, out, count);
    } else {
        memcpy(out, numbers, count * sizeof(double));
    }
}
