/* The commands: `distbelief.<name> NUMKEYS key... argument...`. Each takes the keys and arguments
 * of the script of its name, and does and answers the same; see ../lua. */
#ifndef DISTBELIEF_COMMANDS_H
#define DISTBELIEF_COMMANDS_H

#include "api.h"
#include "rules.h"

int push_dense(Context *context, String **argv, int argc, const Rule *rule);
int push_rows(Context *context, String **argv, int argc, const Rule *rule);
int fetch(Context *context, String **argv, int argc);
int fetch_rows(Context *context, String **argv, int argc);
int announce(Context *context, String **argv, int argc);
int begin_evaluation(Context *context, String **argv, int argc);
int accumulate(Context *context, String **argv, int argc);
int dots(Context *context, String **argv, int argc);
int combine(Context *context, String **argv, int argc);
int pseudo(Context *context, String **argv, int argc);
int orthant(Context *context, String **argv, int argc);
int sparsity(Context *context, String **argv, int argc);

#endif
