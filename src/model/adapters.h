/* LoRA branches beside a model's own weights, whatever its family: the finished graph is rewritten, so no architecture
 * file knows of adapters. Private to model/. */
#ifndef LIMN_MODEL_ADAPTERS_H
#define LIMN_MODEL_ADAPTERS_H

#include "model/arch.h"

/* Opens what the options name, before anything is loaded. */
limn_status adapters_open(Build *build);

/* Adds to the unsealed graph, for each module an adapter has a branch for, x A^T B^T (scaled, DoRA's gain after the
 * sum); sites "<site>_lora", "<site>_lora2" ... name the branches of the first, second ... adapter ("lm_head_lora"
 * where the sum has no name). Tensors that stand in the place of the model's own are bound instead of them. */
limn_status adapters_apply(Build *build);

#endif
