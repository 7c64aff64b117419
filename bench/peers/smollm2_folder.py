#!/usr/bin/env python3
"""SmolLM2 from its GGUF file as two ordinary Hugging Face folders, smollm2-f32 and smollm2-bf16.

    python3 bench/peers/smollm2_folder.py FILE.gguf CACHE_FOLDER

The dequantised weights are copied into a fresh model made from the same configuration. The bfloat16 folder holds
them rounded. Existing folders stay.
"""
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    source, cache = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    folders = {torch.float32: cache / "smollm2-f32", torch.bfloat16: cache / "smollm2-bf16"}
    if all((folder / "tokenizer.json").exists() for folder in folders.values()):
        return
    loaded = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    loaded.config.__dict__.pop("quantization_config", None)
    for dtype, folder in folders.items():
        loaded.config.dtype = dtype
        model = type(loaded)(loaded.config).to(dtype)
        model.load_state_dict(loaded.state_dict())
        model.tie_weights()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
