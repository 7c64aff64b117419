/* The table of methods. */
#ifndef LIMN_METHOD_METHODS_H
#define LIMN_METHOD_METHODS_H

#include "call/registry.h"

extern const MethodTable method_table;

#endif
