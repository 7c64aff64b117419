#!/usr/bin/env python3
"""How many steps Captum's fixed rules need on SmolLM2: largest token error against the converged reference.

    python3 bench/peers/captum_error.py SMOLLM2_HF_FOLDER [--prompts 6] [--out bench/peers/captum_error.json]

Reads tests/golden/ig/smollm2_reference.json. The nodes and weights are Captum's own for each rule and number of
steps; the gradients are float32, evaluated once per node, so that one grid of 4,097 nodes serves the trapezoid,
left, right and middle rules of 2^k steps. bench/run reads the result to choose the setting it then times with
Captum itself. Prompts already in the file are kept.
"""
import argparse
import json
import pathlib

import torch
from captum.attr._utils.approximation_methods import approximation_parameters
from transformers import LlamaForCausalLM

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GRID = 4096
GAUSS_STEPS = [64, 128, 256, 512, 1024]


def slopes(model, ids, target, baseline, alphas):
    """gradient . (x - baseline) for each token: [N, T], float32 model."""
    table = model.get_input_embeddings().weight
    x = table[torch.tensor(ids)]
    difference = x - table[baseline]
    result = []
    for part in torch.tensor(alphas).split(max(1, 320 // len(ids))):
        points = (table[baseline] + part[:, None, None] * difference).requires_grad_(True)
        logits = model(inputs_embeds=points, use_cache=False, logits_to_keep=1).logits[:, -1]
        gradient, = torch.autograd.grad(logits.log_softmax(-1)[:, target].sum(), points)
        result.append((gradient * difference).sum(-1))
    return torch.cat(result).double()


def search(model, entry, baseline):
    reference = torch.tensor(entry["attributions"], dtype=torch.float64)
    found = {}

    def add(rule, steps, attributions):
        error = float((attributions - reference).abs().max() / reference.abs().max())
        found.setdefault(rule, []).append([steps, error])

    def weighted(values, rule, steps):
        weights = torch.tensor(approximation_parameters(rule)[0](steps), dtype=torch.float64)
        return weights @ values

    grid = slopes(model, entry["ids"], entry["target"], baseline, torch.linspace(0, 1, GRID + 1).tolist())
    steps = 32
    while steps <= GRID:
        stride = GRID // steps
        add("riemann_trapezoid", steps + 1, weighted(grid[::stride], "riemann_trapezoid", steps + 1))
        add("riemann_left", steps, weighted(grid[:-1:stride], "riemann_left", steps))
        add("riemann_right", steps, weighted(grid[stride::stride], "riemann_right", steps))
        if stride > 1:
            add("riemann_middle", steps, weighted(grid[stride // 2::stride], "riemann_middle", steps))
        steps *= 2
    for steps in GAUSS_STEPS:
        alphas = approximation_parameters("gausslegendre")[1](steps)
        values = slopes(model, entry["ids"], entry["target"], baseline, alphas)
        add("gausslegendre", steps, weighted(values, "gausslegendre", steps))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--prompts", type=int, default=3)
    parser.add_argument("--out", default=str(ROOT / "bench/peers/captum_error.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    reference = json.loads((ROOT / "tests/golden/ig/smollm2_reference.json").read_text())
    model = LlamaForCausalLM.from_pretrained(options.folder, dtype=torch.float32).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    path = pathlib.Path(options.out)
    document = json.loads(path.read_text()) if path.exists() else {"baseline_id": reference["baseline_id"], "prompts": {}}
    for entry in reference["prompts"][:options.prompts]:
        if entry["text"] in document["prompts"]:
            continue
        document["prompts"][entry["text"]] = search(model, entry, reference["baseline_id"])
        path.write_text(json.dumps(document, ensure_ascii=False, indent=None, separators=(",", ":")) + "\n")
        for rule, rows in document["prompts"][entry["text"]].items():
            print(entry["text"][:30], rule, " ".join(f"{n}:{e:.3f}" for n, e in rows), flush=True)


if __name__ == "__main__":
    main()
