#!/usr/bin/env python3
"""A random Llama of a given size as two Hugging Face folders, NAME-bf16 and NAME-f32, with the same values.

    python3 bench/peers/llama_shape.py 100m|1b CACHE_FOLDER

Weights are normal with the deviation 1/sqrt(inputs), gains between 0.5 and 1.5, so that attention is far from
uniform and logits are of the size real ones have. float32 holds the bfloat16 values exactly. Existing folders stay.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file

SHAPES = {
    "100m": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12,
             "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 32000, "tie_word_embeddings": False,
             "rope_theta": 10000.0},
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
           "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256, "tie_word_embeddings": True,
           "rope_theta": 500000.0},
}


def tensors(shape):
    width, inner = shape["hidden_size"], shape["intermediate_size"]
    query = shape["num_attention_heads"] * shape["head_dim"]
    key = shape["num_key_value_heads"] * shape["head_dim"]
    yield "model.embed_tokens.weight", (shape["vocab_size"], width)
    for layer in range(shape["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (width,)
        yield prefix + "self_attn.q_proj.weight", (query, width)
        yield prefix + "self_attn.k_proj.weight", (key, width)
        yield prefix + "self_attn.v_proj.weight", (key, width)
        yield prefix + "self_attn.o_proj.weight", (width, query)
        yield prefix + "post_attention_layernorm.weight", (width,)
        yield prefix + "mlp.gate_proj.weight", (inner, width)
        yield prefix + "mlp.up_proj.weight", (inner, width)
        yield prefix + "mlp.down_proj.weight", (width, inner)
    yield "model.norm.weight", (width,)
    if not shape["tie_word_embeddings"]:
        yield "lm_head.weight", (shape["vocab_size"], width)


def main():
    name, cache = sys.argv[1], pathlib.Path(sys.argv[2])
    shape = SHAPES[name]
    folders = {dtype: cache / f"llama-{name}-{dtype}" for dtype in ("bf16", "f32")}
    if all((folder / "config.json").exists() for folder in folders.values()):
        return
    torch.manual_seed(1)
    weights = {}
    for tensor, size in tensors(shape):
        if len(size) == 1:
            value = torch.rand(size) + 0.5
        else:
            value = torch.randn(size) / size[1] ** 0.5
        weights[tensor] = value.to(torch.bfloat16)
    for dtype, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        stored = weights if dtype == "bf16" else {k: v.float() for k, v in weights.items()}
        save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
        config = dict(shape, architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu",
                      max_position_embeddings=8192, rms_norm_eps=1e-5, attention_bias=False, mlp_bias=False,
                      bos_token_id=1, eos_token_id=2, torch_dtype={"bf16": "bfloat16", "f32": "float32"}[dtype])
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")  # last: marks the folder complete


if __name__ == "__main__":
    main()
