#include "api.h"

#define X(RESULT, NAME, THEIRS, ARGUMENTS) RESULT(*NAME) ARGUMENTS;
API(X)
#undef X

/* The first word of a context is the function that gives the others by name. */
int load_api(Context *context) {
    int (*get)(const char *, void *) = *(int (**)(const char *, void *))(void *)context;
#define X(RESULT, NAME, THEIRS, ARGUMENTS) \
    if (get("RedisModule_" #THEIRS, (void *)&NAME) != OK) return FAILED;
    API(X)
#undef X
    return OK;
}
