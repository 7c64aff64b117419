/* Direct shares: what a part writes towards the logits along the stream alone. A backward pass with RULES_FROZEN (norms
 * keep their scales) and these edits lets nothing flow back into what attention and MLPs read, so that value times
 * gradient of what a part wrote is its share of the logit. */
#ifndef LIMN_MEASURE_DIRECT_H
#define LIMN_MEASURE_DIRECT_H

#include "call/method.h"

/* Stops at everything that sublayers read, in every family; in the call's arena. */
limn_status direct_stops(Edit **edits, int32_t *n, MethodCall *call, const Model *model);

/* The logits before a soft cap: linear in what the head reads. */
NodeId direct_logits(const Model *model);

#endif
