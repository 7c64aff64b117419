#include "call/registry.h"

#include <string.h>

static const char *const titles[] = {
#define GROUP(name, title) title,
#include "call/groups.def"
#undef GROUP
};

const char *group_title(MethodGroup group) {
    return titles[group];
}

const Method *registry_find(const Registry *registry, const char *name) {
    for (size_t i = 0; i < registry->methods->n; i++) {
        if (strcmp(registry->methods->items[i].method->command.name, name) == 0) {
            return registry->methods->items[i].method;
        }
    }
    return NULL;
}
