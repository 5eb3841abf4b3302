#define _POSIX_C_SOURCE 200809L
#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hashes.h"

/* What a call hands over, behind its own arguments. */
enum { FILE_NAME, OFFSET, BYTES, ROOM, N_HANDED };
enum { WORD = 32, LONGEST_NAME = 64, LONGEST_BOOT = 40 };

static const int64_t MOST_OFFSET = (int64_t)1 << 48;

/* The folder, who owns it, and which boot of which machine this is. */
static int folder = -1;
static uid_t owner;
static char folder_name[4096], boot[LONGEST_BOOT];

/* Hosts may share a folder over a network; no two of them share this. */
static int read_boot(void) {
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? -1 : read(file, boot, sizeof boot - 1);
    if (file >= 0) close(file);
    boot[n > 0 ? n : 0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    return *boot != '\0';
}

/* Why nothing can be shared on this machine; NULL if it can. To write beyond a limit of a file's
 * size would end the server. */
static const char *unfit(void) {
    struct rlimit largest;
    if (!read_boot()) return "this system does not tell one boot from another";
    if (getrlimit(RLIMIT_FSIZE, &largest) == 0 && largest.rlim_cur == RLIM_INFINITY) return NULL;
    return "the size of files is limited (RLIMIT_FSIZE)";
}

/* Why a folder cannot be used; NULL if it is open. */
static const char *open_folder(const char *path) {
    struct stat status;
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fstat(folder, &status) != 0) return strerror(errno);
    if (status.st_mode & S_IWOTH) return "everybody may write there";
    owner = status.st_uid;
    return NULL;
}

int allow_folder(Context *context, String **argv, int argc) {
    if (argc == 0) return 1;
    if (argc != 2 || !same_bytes(bytes_of(argv[0]), (Bytes){"shared", 6})) {
        log_line(context, "warning", "the module takes no arguments but: shared FOLDER");
        return 0;
    }
    Bytes path = bytes_of(argv[1]);
    if (path.length >= sizeof folder_name) return 0;
    memcpy(folder_name, path.at, path.length);
    const char *why = open_folder(folder_name), *otherwise = unfit();
    if (why) log_line(context, "warning", "%s is no folder to share: %s", folder_name, why);
    if (otherwise) log_line(context, "warning", "arrays are not shared: %s", otherwise);
    if (otherwise && folder >= 0) {
        close(folder);
        folder = -1;
    }
    return !why;
}

static int not_shared(Context *context, const char *why) {
    say_error_about(context, "NOTSHARED %s", why);
    return 0;
}

static int is_name(Bytes name) {
    if (name.length == 0 || name.length > LONGEST_NAME) return 0;
    for (size_t i = 0; i < name.length; i++) {
        char c = name.at[i];
        if (!(c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))) return 0;
    }
    return 1;
}

/* A file of the folder's owner that has no other name; its size. -1 if it was told why not. A name
 * may be that of a pipe or a device, which must not make the server wait. */
static int open_file(Context *context, Bytes name, int64_t *size) {
    struct stat status;
    char text[LONGEST_NAME + 1] = "";
    if (folder < 0 || !is_name(name)) {
        not_shared(context, folder < 0 ? "no folder was allowed here" : "this is no name of a file");
        return -1;
    }
    memcpy(text, name.at, name.length);
    int file = openat(folder, text, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0) {
        not_shared(context, strerror(errno));
        return -1;
    }
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1 &&
        status.st_uid == owner) {
        *size = status.st_size;
        return file;
    }
    close(file);
    not_shared(context, "it is no plain file of the folder's owner under one name");
    return -1;
}

/* Whether all of it was read. */
static int read_all(int file, char *to, size_t bytes, int64_t offset) {
    while (bytes > 0) {
        ssize_t n = pread(file, to, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return 0;
        to += n;
        bytes -= (size_t)n;
        offset += n;
    }
    return 1;
}

static int write_all(int file, const char *from, size_t bytes, int64_t offset) {
    while (bytes > 0) {
        ssize_t n = pwrite(file, from, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return 0;
        from += n;
        bytes -= (size_t)n;
        offset += n;
    }
    return 1;
}

int shared(Context *context, String **argv, int argc) {
    int64_t size;
    char word[WORD];
    if (argc < 2) {
        if (folder < 0) return not_shared(context, "no folder was allowed here");
        say_array(context, 2);
        say_bytes(context, folder_name);
        return say_bytes(context, boot);
    }
    int file = open_file(context, bytes_of(argv[1]), &size);
    if (file < 0) return OK;
    int whole_word = read_all(file, word, sizeof word, 0);
    close(file);
    if (!whole_word) return not_shared(context, "the file ends early");
    return say_text(context, word, sizeof word);
}

int open_handed(Handed *handed, Call *call, int argument) {
    int64_t size, most = (int64_t)MOST_BYTES;
    *handed = (Handed){.file = -1, .argument = argument};
    if (call->n_arguments == call->n_own) return 1;
    if (call->n_arguments != call->n_own + N_HANDED) {
        say_error_about(call->context, "BADARG %d arguments, or %d with a file's", call->n_own,
                        call->n_own + N_HANDED);
        return 0;
    }
    if (!whole(call, call->n_own + OFFSET, 0, MOST_OFFSET, &handed->offset) ||
        !whole(call, call->n_own + BYTES, 0, most, &handed->bytes) ||
        !whole(call, call->n_own + ROOM, 0, most, &handed->room)) {
        return 0;
    }
    int file = open_file(call->context, bytes_of(call->arguments[call->n_own + FILE_NAME]), &size);
    if (file < 0) return 0;
    int64_t longer = handed->bytes > handed->room ? handed->bytes : handed->room;
    if (size - handed->offset < longer) {
        close(file);
        return not_shared(call->context, "the file ends early");
    }
    handed->file = file;
    return 1;
}

void close_handed(Handed *handed) {
    if (handed->file >= 0) close(handed->file);
    handed->file = -1;
}

int read_handed(Handed *handed, Call *call, Bytes *array) {
    if (handed->file < 0) {
        *array = bytes_of(call->arguments[handed->argument]);
        return 1;
    }
    size_t bytes = (size_t)handed->bytes;
    char *to = room(HANDED, bytes);
    if (!to || !read_all(handed->file, to, bytes, handed->offset)) {
        return not_shared(call->context, "the file ends early");
    }
    *array = handed->array = (Bytes){to, bytes};
    return 1;
}

int hand_back(const Handed *handed, Bytes array) {
    return handed->file >= 0 && array.length > 0 && array.length <= (size_t)handed->room &&
           write_all(handed->file, array.at, array.length, handed->offset);
}

void say_array_back(Context *context, int is_back, Bytes array) {
    if (is_back) {
        say_text(context, "", 0);
        say_integer(context, (long long)array.length);
    } else {
        say_text(context, array.at, array.length);
    }
}

void propagate(Call *call, const Handed *handed) {
    if (handed->file < 0) {
        replicate(call->context);
        return;
    }
    String **argv = call->keys - 2, **behind = call->arguments + handed->argument + 1;
    replicate_as(call->context, bytes_of(argv[0]).at, "vbv", (void *)(argv + 1),
                 (size_t)(1 + call->n_keys + handed->argument), handed->array.at,
                 handed->array.length, (void *)behind,
                 (size_t)(call->n_own - handed->argument - 1));
}
