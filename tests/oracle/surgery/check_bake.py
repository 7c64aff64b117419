#!/usr/bin/env python3
"""Does transformers open a baked folder with the logits that limn gives the model with its edits?

    limn surgery MODEL DATA ... --adapter DIR --set EDIT --bake BAKED
    limn run MODEL --adapter DIR --set EDIT --ids 1,2,3 --values LOGITS.safetensors
    python check_bake.py BAKED LOGITS.safetensors 1,2,3
"""
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def main():
    folder, values, ids = sys.argv[1], sys.argv[2], [int(x) for x in sys.argv[3].split(",")]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0]
    ours = load_file(values)["logits"]
    worst = (theirs - ours).abs().max().item() / max(1.0, theirs.abs().max().item())
    print(f"{len(ids)} tokens: largest difference {worst:.2e} of the largest logit, expected at most 5e-05")
    sys.exit(0 if worst <= 5e-5 else 1)


if __name__ == "__main__":
    main()
