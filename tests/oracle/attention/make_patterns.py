#!/usr/bin/env python3
"""Patterns and head figures in plain PyTorch on Hugging Face models: tests/golden/attention/patterns.json.

    python3 make_patterns.py [--minilm FOLDER] [--smollm2 FOLDER]

`mutants` are figures with one mistake each, which the tests must see miss.
"""
import argparse
import json

import torch

import models


def figures(attentions, ids, shift=1, before=1):
    """[L, H] each."""
    all_layers = torch.stack([a[0] for a in attentions])  # [L, H, T, S]
    n = len(ids)
    entropy = -(all_layers * all_layers.clamp_min(1e-300).log()).sum(-1).mean(-1)
    previous = torch.stack([all_layers[:, :, t, t - before] for t in range(before, n)]).mean(0)
    first = all_layers[:, :, 1:, 0].mean(-1)
    rows = []
    for t in range(n):
        places = [s for s in range(t - 1) if ids[s] == ids[t]]
        if places:
            rows.append(sum(all_layers[:, :, t, s + shift] for s in places))
    return {"entropy": entropy, "previous": previous, "first": first,
            "induction": torch.stack(rows).mean(0) if rows else None}


def entry(model, ids):
    with torch.no_grad():
        attentions = model(torch.tensor([ids]), output_attentions=True).attentions
    layers, heads = len(attentions), attentions[0].shape[1]
    right = figures(attentions, ids)
    wrong = figures(attentions, ids, shift=0, before=2)
    return {"ids": ids, "layer": layers - 1, "head": heads - 2,
            "pattern": models.rounded(attentions[-1][0, heads - 2]),
            "figures": {k: models.rounded(v) for k, v in right.items() if v is not None},
            "mutants": {k: models.rounded(wrong[k]) for k in ("previous", "induction") if wrong[k] is not None},
            "other head": models.rounded(attentions[-1][0, heads - 1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minilm")
    parser.add_argument("--smollm2")
    options = parser.parse_args()
    path = models.GOLDEN / "attention" / "patterns.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    for case in models.CASES:
        document[case] = entry(models.load(case), models.IDS)
    if options.minilm:  # [CLS] to be or not to be [SEP]
        document["minilm"] = entry(models.load(options.minilm), [101, 2000, 2022, 2030, 2025, 2000, 2022, 102])
    if options.smollm2:  # The capital of France is the capital of
        document["smollm2"] = entry(models.load(options.smollm2), [504, 3575, 282, 4649, 314, 260, 3575, 282])
    models.write("patterns.json", document)


if __name__ == "__main__":
    main()
