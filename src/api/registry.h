/* The methods and formats of this build, as every context sees them. */
#ifndef LIMN_API_REGISTRY_H
#define LIMN_API_REGISTRY_H

#include "call/registry.h"

extern const Registry registry_of_build;

#endif
