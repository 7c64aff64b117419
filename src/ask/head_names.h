/* Attention heads as people name them: "5.3" is head 3 of layer 5, "5.*" (or "5") all of layer 5, "*.3" head 3 of every
 * layer; several with commas. */
#ifndef LIMN_ASK_HEAD_NAMES_H
#define LIMN_ASK_HEAD_NAMES_H

#include "call/method.h"

typedef struct HeadName {
    int32_t layer, head;
} HeadName;

/* Each once, by layer and head, in the arena. A layer or head that the model lacks is LIMN_NOT_FOUND. */
limn_status head_names_read(HeadName **heads, int32_t *n, MethodCall *call, const Model *model, const char *option,
                            const ParamTexts *names);

#endif
