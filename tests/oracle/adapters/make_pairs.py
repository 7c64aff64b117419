#!/usr/bin/env python3
"""What `limn diff` says of two adapted models, from their merged weights: tests/golden/adapters/pairs.json.

    python3 tests/oracle/adapters/make_pairs.py tests/golden

Needs torch, transformers and peft, and the folders that make_adapters.py wrote.
"""
import json
import os
import sys

import peft
import torch

import make_adapters

# (base, adapters on the first, adapters on the second, model of the second: another than the base)
PAIRS = [("llama-old", ["two/1"], ["two/2"], None),
         ("llama-old", ["two/1"], ["layers/1"], None),
         ("llama-old", ["layers/1"], ["two/2"], "adapters/layers/merged"),
         ("llama-old", [], ["two/1"], "adapters/layers/merged"),
         ("llama-bias", ["dora/1"], ["two-dora/1"], None)]


def merged(out, base, adapters, other):
    model, _ = make_adapters.base_model(base, out)
    if other is not None:
        from safetensors.torch import load_file
        model.load_state_dict(load_file(os.path.join(out, other, "model.safetensors")))
    for adapter in adapters:
        model = peft.PeftModel.from_pretrained(model, os.path.join(out, "adapters", adapter)).merge_and_unload()
    return model


def main():
    out = sys.argv[1]
    made = []
    with torch.no_grad():
        for base, first, second, other in PAIRS:
            before, after = merged(out, base, first, None), merged(out, base, second, other)
            made.append({"base": base, "first": first, "second": second, "other": other,
                         **make_adapters.compare_weights(before, after, before.config)})
    with open(os.path.join(out, "adapters", "pairs.json"), "w", encoding="utf-8") as file:
        json.dump(made, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main()
