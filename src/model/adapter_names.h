/* One name for each tensor of a model, whatever class or file it was saved from, so that an adapter finds its modules.
 * Private to model/. */
#ifndef LIMN_MODEL_ADAPTER_NAMES_H
#define LIMN_MODEL_ADAPTER_NAMES_H

#include "model/arch.h"

/* Without what stands before the layers, which depends on the class a folder was saved from. Borrowed from `name`. */
const char *adapter_without_prefix(const char *name);

/* The name of a tensor of the model as its Hugging Face module has it: "layers.0.mlp.up_proj.weight"; a GGUF file's by
 * what its family asked build_called for. NULL: no memory. */
char *adapter_tensor_name(Build *build, const char *name);

/* A fused projection of a GGUF file that holds all queries, then all keys, then all values, where the module has them
 * group by group. */
bool adapter_is_grouped(const Build *build, const char *name);

#endif
