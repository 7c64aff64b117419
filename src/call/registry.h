/* What a call can reach by name: the methods and the formats. The tables stand in folders above this one; api/ puts
 * them together and hands them to each context, so that nothing here includes a method or a renderer. */
#ifndef LIMN_CALL_REGISTRY_H
#define LIMN_CALL_REGISTRY_H

#include "base/text_buffer.h"
#include "call/method.h"

/* What people ask, in the order of help. */
typedef enum MethodGroup {
#define GROUP(name, title) GROUP_##name,
#include "call/groups.def"
#undef GROUP
    GROUP_COUNT
} MethodGroup;

typedef struct MethodEntry {
    const Method *method;
    MethodGroup group;
} MethodEntry;

typedef struct MethodTable {
    const MethodEntry *items; /* [n], in the order of help */
    size_t n;
} MethodTable;

struct Registry {
    const MethodTable *methods;
    /* A result in one of the formats, in the language it was made in; NULL: there are no renderers. */
    limn_status (*render)(TextBuffer *out, const Result *result, const char *format);
};

const Method *registry_find(const Registry *registry, const char *name); /* NULL: none */
const char *group_title(MethodGroup group);                              /* "look inside" */

#endif
