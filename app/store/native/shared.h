/* Arrays that a client on this host hands over in a file: the command says where in it.
 *
 * Behind its own arguments a call may have FILE OFFSET BYTES ROOM. Its array is then the BYTES at
 * OFFSET of FILE, not the argument that stands for it, and the array of the answer may be written to
 * OFFSET if it takes no more than ROOM. Files lie in the folder that was allowed when the module was
 * loaded. They are read into memory of the server first: whoever changes one meanwhile changes
 * nothing that was checked, and one that is cut off is a read of fewer bytes. */
#ifndef DISTBELIEF_SHARED_H
#define DISTBELIEF_SHARED_H

#include "call.h"

/* Of a call without one. */
enum { NO_ARRAY = -1 };

typedef struct {
    int file; /* -1: the call hands nothing over */
    int argument; /* that stands for the array */
    int64_t offset, bytes, room;
    Bytes array;
} Handed;

/* Take the folder from the module's arguments, `shared FOLDER`; 0 if it was logged why not. */
int allow_folder(Context *context, String **argv, int argc);

/* distbelief.shared [FILE]: {folder, id of this boot}, and the word that FILE begins with. */
int shared(Context *context, String **argv, int argc);

/* Open what a call hands over, in place of `argument`; 0 if it was told why that cannot be. */
int open_handed(Handed *handed, Call *call, int argument);
void close_handed(Handed *handed);

/* The call's array, from wherever it is; 0 if it was told why it cannot be read. */
int read_handed(Handed *handed, Call *call, Bytes *array);

/* Write the array of the answer to the file, if it may and can be. Then an empty string and the
 * number of bytes stand for it in the answer, which has one element more. */
int hand_back(const Handed *handed, Bytes array);
void say_array_back(Context *context, int is_back, Bytes array);

/* Have the call repeated by replicas and in the append-only file, with its array in it. */
void propagate(Call *call, const Handed *handed);

#endif
