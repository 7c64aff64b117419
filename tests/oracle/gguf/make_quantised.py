#!/usr/bin/env python3
"""Writes tests/golden/gguf/quantised.gguf and quantised.safetensors: a random Llama whose matrices are quantised in
every kind, and the logits that the reference computes from the same file.

    python3 make_quantised.py [--out tests/golden/gguf]      (needs `gguf`, `torch`, `transformers`)

ids, lengths, outputs, logits as in tests/oracle/models/make_random.py. The kinds that the reference cannot write are random blocks whose scales make the values about
as large as a trained model's.
"""
import argparse
import os
import shutil
import tempfile

import gguf
import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

from make_blocks import HALVES

D, HEADS, KV_HEADS, K, F, V, CONTEXT = 256, 2, 1, 32, 64, 61, 64
KINDS = [{"attn_q": "Q4_K", "attn_k": "Q5_K", "attn_v": "Q6_K", "attn_output": "Q5_0", "ffn_gate": "Q3_K",
          "ffn_up": "Q2_K", "ffn_down": "Q5_1"},
         {"attn_q": "Q6_K", "attn_k": "Q4_K", "attn_v": "Q3_K", "attn_output": "Q8_0", "ffn_gate": "Q5_K",
          "ffn_up": "Q4_K", "ffn_down": "Q4_1"}]
SHAPES = {"attn_q": (HEADS * K, D), "attn_k": (KV_HEADS * K, D), "attn_v": (KV_HEADS * K, D),
          "attn_output": (D, HEADS * K), "ffn_gate": (F, D), "ffn_up": (F, D), "ffn_down": (D, F)}


def random_blocks(kind, shape, deviation, random):
    """Random bytes; the scales set so that the values have about this deviation and no mean."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (shape[0] * shape[1] // elements, size), dtype=np.uint8)

    def put(values):
        for at, value in zip(HALVES[kind.name], values):
            blocks[:, at:at + 2] = np.frombuffer(np.float16(value).tobytes(), dtype=np.uint8)
    put((1, 0))
    mean = float(gguf.dequantize(blocks, kind).mean())
    put((0, 1))
    offset = float(gguf.dequantize(blocks, kind).mean())
    ratio = -mean / offset if offset != 0 else 0
    put((1, ratio))
    scale = deviation / float(gguf.dequantize(blocks, kind).std())
    put((scale, scale * ratio))
    return blocks.reshape(shape[0], -1)


def add(writer, name, kind, shape, deviation, random):
    kind = gguf.GGMLQuantizationType[kind]
    try:
        data = gguf.quantize((random.normal(size=shape) * deviation).astype(np.float32), kind)
    except NotImplementedError:
        data = random_blocks(kind, shape, deviation, random)
    writer.add_tensor(name + ".weight", data, raw_dtype=kind)


def write(path, random):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(len(KINDS))
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(D)
    writer.add_feed_forward_length(F)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(K)
    writer.add_value_length(K)
    writer.add_rope_dimension_count(K)
    writer.add_layer_norm_rms_eps(0.01)
    writer.add_rope_freq_base(500.0)
    writer.add_vocab_size(V)
    add(writer, "token_embd", "Q6_K", (V, D), 0.35, random)
    add(writer, "output", "Q5_K", (V, D), 1 / D ** 0.5, random)
    for layer, kinds in enumerate(KINDS):
        for name, kind in kinds.items():
            query = name in ("attn_q", "attn_k")
            add(writer, f"blk.{layer}.{name}", kind, SHAPES[name], (1.6 if query else 0.9) / SHAPES[name][1] ** 0.5,
                random)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", (1 + 0.3 * random.normal(size=D)).astype(np.float32))
    writer.add_tensor("output_norm.weight", (1 + 0.3 * random.normal(size=D)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--out", default=os.path.join(here, "..", "..", "golden", "gguf"))
    out = parser.parse_args().out
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write(os.path.join(folder, "quantised.gguf"), np.random.default_rng(11))
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file="quantised.gguf", dtype=torch.float32,
                                                                  attn_implementation="eager")
        ids = torch.tensor([[1, 17, 42, 5, 60, 33, 17, 2, 8, 55, 1]])
        with torch.no_grad():
            logits = model(ids).logits[0]
        print("logits", tuple(logits.shape), "largest", float(logits.abs().max()))
        shutil.copy(os.path.join(folder, "quantised.gguf"), out)
    rows = ids.shape[1]
    save_file({"ids": ids[0].numpy().astype(np.int32), "lengths": np.array([rows], dtype=np.int32),
               "outputs": np.arange(rows, dtype=np.int32), "logits": logits.numpy()},
              os.path.join(out, "quantised.safetensors"))
    os.chmod(os.path.join(out, "quantised.safetensors"), 0o644)


if __name__ == "__main__":
    main()
