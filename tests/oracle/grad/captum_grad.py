#!/usr/bin/env python3
"""Captum's InputXGradient, Saliency and NoiseTunnel as goldens for `limn grad`: tests/golden/grad/captum.json.

The model is tests/golden/ig/tiny_llama (made by tests/oracle/ig/captum_fixed.py), F = log p(target) at the last position.
NoiseTunnel is given limn's own noise (base/random.c, row by row as in grad.c), so that both average over the same copies.
Needs torch, transformers, captum.
"""
import json
import math
import pathlib
import sys

import torch
from captum.attr import InputXGradient, NoiseTunnel, Saliency
from transformers import LlamaForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "oracle" / "statistics"))
from make_statistics import Random  # noqa: E402

SEED, SAMPLES, NOISE = 3, 6, 0.1
CASES = [{"ids": [5, 17, 40], "target": 9},
         {"ids": [3, 60, 22, 22, 71, 8, 95], "target": 30},
         {"ids": [90, 14, 4, 33, 52, 7, 81, 66, 19, 24, 3, 11], "target": 77}]


def normal(random):
    radius = math.sqrt(-2.0 * math.log(1.0 - (random.bits() >> 11) * 2.0**-53))
    return radius * math.cos(6.283185307179586 * ((random.bits() >> 11) * 2.0**-53))


def noise_of(sample, rows, width):
    out = []
    for row in range(rows):
        random = Random((SEED * 0x9E3779B97F4A7C15 + sample * 0x100000000 + row) & ((1 << 64) - 1))
        out.append([normal(random) for _ in range(width)])
    return torch.tensor(out, dtype=torch.float64)


def forward_of(model, case):
    def forward(embedded):
        logits = model(inputs_embeds=embedded, use_cache=False, logits_to_keep=1).logits[:, -1]
        return logits.log_softmax(-1)[:, case["target"]]
    return forward


def smooth(forward, x, deviation):
    """NoiseTunnel draws with torch.normal, sample after sample: that is where limn's noise goes in."""
    own, drawn = torch.normal, iter(range(SAMPLES))
    torch.normal = lambda mean, std: (deviation * noise_of(next(drawn), *x.shape[1:])).to(x.dtype)[None]
    try:
        tunnel = NoiseTunnel(Saliency(forward))
        mean = tunnel.attribute(x, nt_type="smoothgrad", nt_samples=SAMPLES, nt_samples_batch_size=1, stdevs=deviation,
                                abs=False)
    finally:
        torch.normal = own
    return (mean * x).sum(-1)[0].tolist()


def main():
    model = LlamaForCausalLM.from_pretrained(ROOT / "golden" / "ig" / "tiny_llama", dtype=torch.float32).eval()
    embedding = model.get_input_embeddings().weight.detach()
    out = []
    for case in CASES:
        x = embedding[torch.tensor(case["ids"])][None].clone().requires_grad_()
        forward = forward_of(model, case)
        deviation = NOISE * float((x.max() - x.min()).detach())
        out.append({**case, "x-input": InputXGradient(forward).attribute(x).sum(-1)[0].tolist(),
                    "norm": Saliency(forward).attribute(x).norm(dim=-1)[0].tolist(),
                    "smoothgrad": smooth(forward, x, deviation)})
    target = ROOT / "golden" / "grad" / "captum.json"
    target.write_text(json.dumps({"seed": SEED, "samples": SAMPLES, "noise": NOISE, "cases": out}) + "\n")


if __name__ == "__main__":
    main()
