#include "method/methods.h"

#define METHOD(group, variable) extern const Method variable;
#include "method/methods.def"
#undef METHOD

static const MethodEntry entries[] = {
#define METHOD(group, variable) {&variable, GROUP_##group},
#include "method/methods.def"
#undef METHOD
};
const MethodTable method_table = {entries, sizeof entries / sizeof entries[0]};
