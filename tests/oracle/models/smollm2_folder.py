#!/usr/bin/env python3
"""Saves a Llama GGUF file as an ordinary Hugging Face folder of the same weights in f32, tokenizer included.

    python3 smollm2_folder.py SmolLM2-135M-Instruct.Q4_1.gguf OUT
"""
import argparse
import os

import torch
import transformers


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gguf")
    parser.add_argument("out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder, name = os.path.split(os.path.abspath(options.gguf))
    stored = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    # a fresh model of the same configuration has no trace of the quantisation it came from
    config = stored.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(stored.state_dict())
    model.tie_weights()
    model.save_pretrained(options.out)
    transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(options.out)


if __name__ == "__main__":
    main()
