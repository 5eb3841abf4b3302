#include "call.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_ERROR = 256 };

void tell_keys(Context *context, String **argv, int argc, int access) {
    long long n_keys;
    if (argc < 2 || string_integer(argv[1], &n_keys) != OK) return;
    if (n_keys > MOST_KEYS || n_keys > argc - 2) return;
    for (int i = 0; i < n_keys; i++) key_at(context, 2 + i, access);
}

int open_call(Call *call, Context *context, String **argv, int argc, int least_keys,
              int least_arguments) {
    long long n_keys = -1;
    if (argc < 2 || string_integer(argv[1], &n_keys) != OK || n_keys < least_keys ||
        n_keys > MOST_KEYS || n_keys > argc - 2 || argc - 2 - n_keys < least_arguments) {
        say_error_about(context, "BADARG %d keys and %d arguments are the least", least_keys,
                        least_arguments);
        return 0;
    }
    *call = (Call){
        .context = context,
        .keys = argv + 2,
        .n_keys = (int)n_keys,
        .arguments = argv + 2 + n_keys,
        .n_arguments = argc - 2 - (int)n_keys,
        .n_own = least_arguments,
    };
    return 1;
}

int keys_differ(Call *call) {
    for (int i = 1; i < call->n_keys; i++) {
        for (int j = 0; j < i; j++) {
            if (!same_bytes(bytes_of(call->keys[i]), bytes_of(call->keys[j]))) continue;
            say_error_about(call->context, "BADARG key %d is key %d once more", i + 1, j + 1);
            return 0;
        }
    }
    return 1;
}

Bytes bytes_of(const String *string) {
    Bytes bytes;
    bytes.at = string_text(string, &bytes.length);
    return bytes;
}

int same_bytes(Bytes a, Bytes b) {
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

int whole(Call *call, int argument, int64_t least, int64_t most, int64_t *out) {
    long long number;
    if (string_integer(call->arguments[argument], &number) != OK || number < least ||
        number > most) {
        say_error_about(call->context, "BADARG argument %d must be a whole number from %lld to %lld",
                        argument + 1, (long long)least, (long long)most);
        return 0;
    }
    *out = number;
    return 1;
}

int real(Call *call, int argument, double *out) {
    Bytes text = bytes_of(call->arguments[argument]);
    if (same_bytes(text, (Bytes){"nan", 3})) {
        *out = NAN; /* refused where it would be written, as scripts do; a server parses none */
    } else if (string_number(call->arguments[argument], out) != OK) {
        say_error_about(call->context, "BADARG argument %d must be a number", argument + 1);
        return 0;
    }
    return 1;
}

int next_whole(Bytes *text, char separator, int64_t *out) {
    size_t i = 0;
    int64_t number = 0;
    if (text->length == 0) return 0;
    for (; i < text->length && text->at[i] >= '0' && text->at[i] <= '9'; i++) {
        number = 10 * number + (text->at[i] - '0');
        if (number >= MOST_EXACT) return -1;
    }
    if (i == 0) return -1;
    if (i < text->length) {
        if (text->at[i] != separator || i + 1 == text->length) return -1;
        i++;
    }
    text->at += i;
    text->length -= i;
    *out = number;
    return 1;
}

int say_error_about(Context *context, const char *format, ...) {
    char text[LONGEST_ERROR];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return say_error(context, text);
}

int say_bytes(Context *context, const char *text) {
    return say_text(context, text, strlen(text));
}

int say_wrong_type(Context *context) {
    return say_error(context,
                     "WRONGTYPE Operation against a key holding the wrong kind of value");
}
