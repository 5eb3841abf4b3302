#include "coding.h"

#include <string.h>

#include "hashes.h"
#include "numbers.h"

enum { GROUP = 256, LEVELS = 127 };

typedef uint16_t u16 __attribute__((aligned(1), may_alias));
typedef int8_t i8 __attribute__((may_alias));

static const char *const CODINGS[N_CODINGS] = {"", "bfloat16", "int8"};

int read_coding(Call *call, int argument, Coding *out) {
    Bytes word = bytes_of(call->arguments[argument]);
    for (int i = 0; i < N_CODINGS; i++) {
        *out = (Coding)i;
        if (same_bytes(word, (Bytes){CODINGS[i], strlen(CODINGS[i])})) return 1;
    }
    say_error_about(call->context, "BADARG there is no coding %.*s",
                    (int)(word.length < 40 ? word.length : 40), word.at);
    return 0;
}

int may_code(Context *context, Coding coding, char dtype) {
    if (coding == AS_STORED || dtype == 'f') return 1;
    say_error_about(context, "BADARG %s is for shards of float32", CODINGS[coding]);
    return 0;
}

static size_t groups(size_t count) { return (count + GROUP - 1) / GROUP; }

size_t coded_bytes(Coding coding, size_t count) {
    return coding == BFLOAT16 ? 2 * count : count + 4 * groups(count);
}

int coded_count(Coding coding, size_t bytes, size_t *count) {
    *count = coding == BFLOAT16 ? bytes / 2 : bytes - 4 * ((bytes + GROUP + 3) / (GROUP + 4));
    return coded_bytes(coding, *count) == bytes;
}

WIDE static void to_upper_halves(const u32 *bits, u16 *coded, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t whole = bits[i], rounded = (whole + 0x7fff + ((whole >> 16) & 1)) >> 16;
        /* What is no number stays none: one of its upper bits is set. */
        uint32_t none = (whole >> 16) | ((whole >> 16 & 0x7f) == 0 ? 0x40 : 0);
        coded[i] = (uint16_t)((whole & 0x7fffffff) > 0x7f800000 ? none : rounded);
    }
}

WIDE static void from_upper_halves(const u16 *coded, u32 *bits, size_t count) {
    for (size_t i = 0; i < count; i++) bits[i] = (uint32_t)coded[i] << 16;
}

/* By their bits, whose order without the sign is that of the numbers. */
WIDE static uint32_t largest(const u32 *bits, size_t count) {
    uint32_t top = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t size = bits[i] & 0x7fffffff;
        top = size > top ? size : top;
    }
    return top;
}

/* Added to a double and taken away again, it leaves the nearest whole number, ties to even. */
static const double ROUND = 6755399441055744.0;

WIDE static void to_levels(const f32 *numbers, double inverse, i8 *levels, size_t count) {
    for (size_t i = 0; i < count; i++) {
        double level = numbers[i] * inverse + ROUND - ROUND;
        level = level > LEVELS ? LEVELS : level;
        level = level < -LEVELS ? -LEVELS : level;
        levels[i] = (int8_t)(int32_t)level;
    }
}

WIDE static void from_levels(const i8 *levels, float scale, f32 *numbers, size_t count) {
    for (size_t i = 0; i < count; i++) numbers[i] = (float)levels[i] * scale;
}

static void to_int8(const char *numbers, char *coded, size_t count) {
    char *levels = coded + 4 * groups(count);
    for (size_t first = 0; first < count; first += GROUP, coded += 4) {
        const void *group = numbers + 4 * first;
        size_t n = count - first < GROUP ? count - first : GROUP;
        uint32_t top = largest(group, n), none = 0x7fc00000;
        float scale;
        memcpy(&scale, &top, sizeof scale);
        scale /= LEVELS;
        memcpy(coded, top < 0x7f800000 ? (const void *)&scale : &none, sizeof scale);
        if (top < 0x7f800000 && scale > 0) {
            to_levels(group, 1 / (double)scale, (i8 *)levels + first, n);
        } else {
            memset(levels + first, 0, n);
        }
    }
}

static void from_int8(const char *coded, char *numbers, size_t count) {
    const char *levels = coded + 4 * groups(count);
    for (size_t first = 0; first < count; first += GROUP, coded += 4) {
        float scale;
        memcpy(&scale, coded, sizeof scale);
        from_levels((const i8 *)levels + first, scale, (void *)(numbers + 4 * first),
                    count - first < GROUP ? count - first : GROUP);
    }
}

void encode(Coding coding, const void *numbers, void *coded, size_t count) {
    if (coding == BFLOAT16) {
        to_upper_halves(numbers, coded, count);
    } else {
        to_int8(numbers, coded, count);
    }
}

void decode(Coding coding, const void *coded, void *numbers, size_t count) {
    if (coding == BFLOAT16) {
        from_upper_halves(coded, numbers, count);
    } else {
        from_int8(coded, numbers, count);
    }
}

int decode_bytes(Coding coding, Bytes *bytes) {
    size_t count;
    if (coding == AS_STORED) return 1;
    if (!coded_count(coding, bytes->length, &count)) return 0;
    char *numbers = room(CODED, 4 * count);
    if (!numbers) return 0;
    decode(coding, bytes->at, numbers, count);
    *bytes = (Bytes){numbers, 4 * count};
    return 1;
}

void encode_bytes(Coding coding, Bytes *bytes) {
    if (coding == AS_STORED) return;
    size_t count = bytes->length / 4, length = coded_bytes(coding, count);
    char *coded = room(CODED, length);
    if (coded) encode(coding, bytes->at, coded, count);
    *bytes = (Bytes){coded, coded ? length : 0};
}

/* A worker's own numbers, for whoever loads this as a library: 1, or 0 for a coding that there is
 * not. */
__attribute__((visibility("default"))) int distbelief_encode(const char *name, size_t count,
                                                             const void *numbers, void *coded) {
    for (int i = AS_STORED + 1; i < N_CODINGS; i++) {
        if (strcmp(CODINGS[i], name) != 0) continue;
        encode((Coding)i, numbers, coded, count);
        return 1;
    }
    return 0;
}

__attribute__((visibility("default"))) int distbelief_decode(const char *name, size_t count,
                                                             const void *coded, void *numbers) {
    for (int i = AS_STORED + 1; i < N_CODINGS; i++) {
        if (strcmp(CODINGS[i], name) != 0) continue;
        decode((Coding)i, coded, numbers, count);
        return 1;
    }
    return 0;
}
