/* How numbers cross the network: as they are stored, or float32 in fewer bits.
 * Twins: ../lua/coding.lua, which tells the formats, and ../contract/coding.py. */
#ifndef DISTBELIEF_CODING_H
#define DISTBELIEF_CODING_H

#include "call.h"

typedef enum { AS_STORED, BFLOAT16, INT8, N_CODINGS } Coding;

/* The coding that an argument names; 0 if there is none such, which was told. */
int read_coding(Call *call, int argument, Coding *out);

/* Whether numbers of that type can be coded so; tells if not. */
int may_code(Context *context, Coding coding, char dtype);

/* Bytes of so many numbers. */
size_t coded_bytes(Coding coding, size_t count);

/* How many float32 numbers so many bytes are; 0 if they are no whole number of them. */
int coded_count(Coding coding, size_t bytes, size_t *count);

void encode(Coding coding, const void *numbers, void *coded, size_t count);
void decode(Coding coding, const void *coded, void *numbers, size_t count);

/* Coded float32 numbers, as they are stored, and stored ones coded, in the room CODED. A coding
 * that is none leaves them where they are. 0 if there is no room, or they are not whole; nothing is
 * left of numbers for which there is no room. */
int decode_bytes(Coding coding, Bytes *bytes);
void encode_bytes(Coding coding, Bytes *bytes);

#endif
