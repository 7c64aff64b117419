#!/usr/bin/env python3
"""Attention rollout in plain PyTorch on Hugging Face models: tests/golden/attention/rollout.json.

    python3 make_rollout.py [--minilm FOLDER] [--smollm2 FOLDER]

The listing is the usual one: mean over heads, the residual added, rows divided by their sums, layers multiplied with
later ones on the left. `mutants` are listings with one mistake each, which the tests must see miss. --minilm is the
folder of all-MiniLM-L6-v2, --smollm2 what oracle/models/smollm2_folder.py writes; without them their entries stay.
"""
import argparse
import json

import torch

import models


def rollout(attentions, residual, mutant=None):
    n = attentions[0].shape[-1]
    eye = torch.eye(n, dtype=attentions[0].dtype)
    out = eye
    for layer in attentions:
        mixed = layer[0].max(0).values if mutant == "largest head" else layer[0].mean(0)
        mixed = mixed + (0 if mutant == "no residual" else residual) * eye
        mixed = mixed / (mixed.sum(0, keepdim=True) if mutant == "columns" else mixed.sum(-1, keepdim=True))
        out = out @ mixed if mutant == "layers reversed" else mixed @ out
    return out


MUTANTS = ["largest head", "no residual", "columns", "layers reversed"]


def entry(model, ids):
    with torch.no_grad():
        attentions = model(torch.tensor([ids]), output_attentions=True).attentions
    row = models.answer_row(model, len(ids))
    return {"ids": ids, "at": row, "classes": getattr(model.config, "num_labels", 0) if models.is_classifier(model) else 0,
            "rollout": {str(r): models.rounded(rollout(attentions, r)) for r in (1, 0.1)},
            "mutants": {m: models.rounded(rollout(attentions, 1, m)) for m in MUTANTS}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minilm")
    parser.add_argument("--smollm2")
    options = parser.parse_args()
    path = models.GOLDEN / "attention" / "rollout.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    for case in models.CASES:
        document[case] = entry(models.load(case), models.IDS)
    if options.minilm:  # [CLS] income is insufficient for this loan [SEP]
        document["minilm"] = entry(models.load(options.minilm), [101, 3318, 2003, 13990, 2005, 2023, 5414, 102])
    if options.smollm2:  # The capital of France is
        document["smollm2"] = entry(models.load(options.smollm2), [504, 3575, 282, 4649, 314])
    models.write("rollout.json", document)


if __name__ == "__main__":
    main()
