#!/usr/bin/env python3
"""Writes tests/golden/gguf/{qwen2-yarn,gemma3-linear}.gguf: random models whose rotary positions GGUF metadata scales,
laid out as converters do (tensor names by the `gguf` package's own map), and beside each the logits of the Hugging Face
model that it came from.

    python3 make_scaled.py [--out tests/golden/gguf] [CASE ...]     (needs `gguf`, `torch`, `transformers`)
"""
import argparse
import os
import sys

import gguf
import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "models"))
from make_random import random_weights  # noqa: E402

BASE = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 0.02, "tie_word_embeddings": False,
        "pad_token_id": None, "bos_token_id": 1, "eos_token_id": 2}
GEMMA = {**BASE, "head_dim": 12, "query_pre_attn_scalar": 12, "tie_word_embeddings": True, "sliding_window": 4}
CASES = {
    "qwen2-yarn": {**BASE, "model_type": "qwen2", "max_position_embeddings": 6, "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 2000.0, "factor": 4.0, "original_max_position_embeddings": 6}},
    # the layer without a window is the only one whose rotary positions are scaled
    "gemma3-linear": {**GEMMA, "model_type": "gemma3_text", "num_hidden_layers": 6, "rope_theta": 500.0,
                      "rope_local_base_freq": 1e4, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
}


def write_metadata(writer, name, config):
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_rope_freq_base(rope["rope_theta"])
    if name == "gemma3":
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        writer.add_sliding_window(config.sliding_window)
    writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
    writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])


def write(path, name, model):
    writer = gguf.GGUFWriter(path, name)
    write_metadata(writer, name, model.config)
    names = gguf.get_tensor_name_map({v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}[name],
                                     model.config.num_hidden_layers)
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        value = tensor.float().numpy()
        if name == "gemma3" and key.endswith("norm.weight"):
            value = value + 1
        stem, dot, ending = key.rpartition(".")
        writer.add_tensor(names.get_name(stem) + dot + ending, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.path.join(here, "..", "..", "golden", "gguf"))
    parser.add_argument("cases", nargs="*", default=list(CASES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.cases:
        settings = dict(CASES[name])
        config = transformers.AutoConfig.for_model(**settings)
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        random_weights(model, 4000 + list(CASES).index(name), name.startswith("gemma"))
        model.tie_weights()
        write(os.path.join(options.out, name + ".gguf"), name.partition("-")[0], model)
        sequences = [[1, 17, 42, 5, 60, 33, 17], [2, 8, 55, 1]]
        with torch.no_grad():
            logits = torch.cat([model(torch.tensor([ids])).logits[0] for ids in sequences])
        print(name, "largest logit", float(logits.abs().max()))
        lengths = [len(ids) for ids in sequences]
        target = os.path.join(options.out, name + ".safetensors")
        save_file({"ids": np.array(sum(sequences, []), dtype=np.int32), "lengths": np.array(lengths, dtype=np.int32),
                   "outputs": np.arange(sum(lengths), dtype=np.int32), "logits": logits.numpy()}, target)
        os.chmod(target, 0o644)


if __name__ == "__main__":
    main()
