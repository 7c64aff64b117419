#!/usr/bin/env python3
"""Captum's LIME and KernelSHAP, infidelity and sensitivity as goldens: tests/golden/surrogate/captum.json.

A black box of words with interactions is asked about masks that are drawn here and handed to Captum as its samples:
KernelSHAP with its own weights, LIME with an exponential kernel of the cosine distance between the mask and the whole, and
its lasso. So limn, given the same samples, must come to the same coefficients. Needs torch, captum, scikit-learn.
"""
import json
import pathlib

import numpy as np
import torch
from captum.attr import KernelShap, LimeBase
from captum._utils.models.linear_model import SkLearnLasso
from captum.metrics import infidelity, sensitivity_max

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS, SAMPLES, WIDTH, ALPHA = 7, 60, 1.0, 0.01


def black_box(rng):
    weight, pair = rng.normal(size=WORDS), rng.normal(size=(WORDS, WORDS)) * 0.4

    def f(mask):
        z = np.asarray(mask, dtype=np.float64)
        return float(np.tanh(z @ weight + z @ pair @ z) * 3 + z @ weight)
    return f


def shap(f, masks):
    """KernelShap perturbs by a generator; here it is handed the masks (the empty and the full one come first)."""
    own = KernelShap(lambda x: torch.tensor([f(row) for row in x.numpy()], dtype=torch.float64))
    ready = iter(masks)
    own.perturb_func = lambda *_, **__: torch.tensor([next(ready)], dtype=torch.float64)
    x = torch.ones(1, WORDS, dtype=torch.float64)
    return own.attribute(x, baselines=torch.zeros_like(x), n_samples=len(masks))[0].tolist()


def lime(f, masks):
    def similarity(original, perturbed, interpretable, **_):
        d = 1 - torch.nn.functional.cosine_similarity(original.double().flatten(), perturbed.double().flatten(), dim=0)
        return torch.exp(-(d ** 2) / (2 * WIDTH ** 2))
    ready = iter(masks)
    base = LimeBase(lambda x: torch.tensor([f(row) for row in x.numpy()], dtype=torch.float64),
                    SkLearnLasso(alpha=ALPHA, tol=1e-12, max_iter=1000000), similarity,
                    lambda *_, **__: torch.tensor([next(ready)], dtype=torch.float64), True, lambda sample, *_, **__: sample,
                    None)
    return base.attribute(torch.ones(1, WORDS, dtype=torch.float64), n_samples=len(masks))[0].tolist()


def faithfulness(rng):
    """Perturbations I, explanation a and differences d: Captum's infidelity, plain and normalised."""
    weight = torch.tensor(rng.normal(size=WORDS))
    attribution = torch.tensor(rng.normal(size=(1, WORDS)))
    masks = torch.tensor((rng.random((12, WORDS)) < 0.4).astype(np.float64))
    forward = lambda x: (x * weight).sum(1) + torch.sin((x * weight).sum(1))
    out = {}
    for name, normalise in (("plain", False), ("normalised", True)):
        ready = iter(masks)

        def perturb(x):
            rows = torch.stack([next(ready) for _ in range(len(x))])
            return rows, x - rows
        out[name] = float(infidelity(forward, perturb, torch.ones(1, WORDS, dtype=torch.float64), attribution,
                                     n_perturb_samples=12, normalize=normalise))
    whole = forward(torch.ones(1, WORDS, dtype=torch.float64))
    out["predicted"] = (masks * attribution).sum(1).tolist()
    out["actual"] = (whole - forward(1 - masks)).tolist()
    versions = torch.tensor(rng.normal(size=(3, WORDS)))
    ready = iter(torch.cat([attribution, versions]))
    out["sensitivity"] = float(sensitivity_max(lambda x: (torch.stack([next(ready) for _ in range(len(x))]),),
                                               torch.ones(1, WORDS, dtype=torch.float64), lambda x, *_: x,
                                               n_perturb_samples=3, max_examples_per_batch=1))
    out["scores"], out["versions"] = attribution[0].tolist(), versions.tolist()
    return out


def main():
    cases = []
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        f = black_box(rng)
        masks = [[0.0] * WORDS, [1.0] * WORDS] + (rng.random((SAMPLES - 2, WORDS)) < 0.5).astype(float).tolist()
        cases.append({"masks": masks, "f": [f(m) for m in masks], "shap": shap(f, masks), "lime": lime(f, masks)})
        print(np.round(cases[-1]["shap"], 4), np.round(cases[-1]["lime"], 4))
    document = {"width": WIDTH, "alpha": ALPHA, "cases": cases, "faithfulness": faithfulness(np.random.default_rng(9))}
    path = ROOT / "golden" / "surrogate" / "captum.json"
    path.write_text(json.dumps(document, separators=(",", ":")).replace('},{"masks"', '},\n{"masks"') + "\n")
    print(path.stat().st_size)


if __name__ == "__main__":
    main()
