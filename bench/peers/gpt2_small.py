#!/usr/bin/env python3
"""A random model in GPT-2 small's shape (12 layers, 768 wide, 12 heads, 50,257 tokens) as a float32 folder.

    python3 bench/peers/gpt2_small.py CACHE_FOLDER

The folder is CACHE_FOLDER/gpt2-small-f32; an existing one stays. Matrices are normal with the deviation 1/sqrt(inputs), as
in llama_shape.py.
"""
import pathlib
import sys

import torch
from transformers import GPT2Config, GPT2LMHeadModel


def main():
    folder = pathlib.Path(sys.argv[1]) / "gpt2-small-f32"
    if (folder / "config.json").exists():
        return
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config()).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1:
                value.normal_(0, value.shape[0 if "c_" in name else -1] ** -0.5)
            elif name.endswith("bias"):
                value.normal_(0, 0.02)
    model.save_pretrained(folder)


if __name__ == "__main__":
    main()
