#!/usr/bin/env python3
"""Random weights in the shape of a Llama model, for measuring speed: streamed to disk, the same on every machine.

    python3 make_llama_shape.py 100M|1B f32|bf16 OUT
"""
import argparse
import json
import os

import numpy as np

SHAPES = {
    "100M": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12,
             "num_key_value_heads": 4, "vocab_size": 32000, "tie_word_embeddings": True},
    "1B": {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
           "num_key_value_heads": 4, "vocab_size": 32000, "tie_word_embeddings": False},
}


def tensors(shape):
    """Names and shapes, in the order they are written."""
    d, f = shape["hidden_size"], shape["intermediate_size"]
    keys = d // shape["num_attention_heads"] * shape["num_key_value_heads"]
    yield "model.embed_tokens.weight", (shape["vocab_size"], d)
    for i in range(shape["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", (d,)
        yield layer + "post_attention_layernorm.weight", (d,)
        for name, out, width in (("self_attn.q_proj", d, d), ("self_attn.k_proj", keys, d),
                                 ("self_attn.v_proj", keys, d), ("self_attn.o_proj", d, d), ("mlp.gate_proj", f, d),
                                 ("mlp.up_proj", f, d), ("mlp.down_proj", d, f)):
            yield f"{layer}{name}.weight", (out, width)
    yield "model.norm.weight", (d,)
    if not shape["tie_word_embeddings"]:
        yield "lm_head.weight", (shape["vocab_size"], d)


def to_bf16(values):
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def values(shape, generator):
    if len(shape) == 1:
        return 1 + 0.1 * generator.standard_normal(shape, dtype=np.float32)
    return generator.standard_normal(shape, dtype=np.float32) * np.float32(shape[1] ** -0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("dtype", choices=["f32", "bf16"])
    parser.add_argument("out")
    options = parser.parse_args()
    shape, size = SHAPES[options.shape], 4 if options.dtype == "f32" else 2
    os.makedirs(options.out, exist_ok=True)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
              "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "bos_token_id": 1,
              "eos_token_id": 2, "torch_dtype": "float32" if size == 4 else "bfloat16", **shape}
    with open(os.path.join(options.out, "config.json"), "w") as file:
        json.dump(config, file, indent=1)
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, dims in tensors(shape):
        end = offset + int(np.prod(dims)) * size
        header[name] = {"dtype": "F32" if size == 4 else "BF16", "shape": list(dims), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64 + 56)  # tensors begin at a multiple of 64
    path = os.path.join(options.out, "model.safetensors")
    with open(path + ".part", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for number, (_, dims) in enumerate(tensors(shape)):
            data = values(dims, np.random.Generator(np.random.SFC64(number)))
            file.write((data if size == 4 else to_bf16(data)).tobytes())
    os.rename(path + ".part", path)


if __name__ == "__main__":
    main()
