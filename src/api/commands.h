/* The commands of commands.def. */
#ifndef LIMN_API_COMMANDS_H
#define LIMN_API_COMMANDS_H

#include "call/method.h"

#define METHOD(group, variable) extern const Method variable;
#include "api/commands.def"
#undef METHOD

#endif
