"""Gradients under the rule sets of src/graph/rules.def, by plain PyTorch, for the models of tests/golden:

    python3 make_rules.py [CASE ...]      writes tests/golden/CASE/rules.safetensors

SET.SITE [R, ...] is d(objective)/d(site) of the run that golden.safetensors describes, in float64, with the derivative of
each function replaced where the set says so. The walk of the modules is that of oracle/models; the rules are laid over
torch's own functions while it runs, by what a function is and not by where it stands:

    sqrt                        the scale of a norm: a constant
    softmax over [H, T, T]      an attention pattern: a constant in `frozen` and `relp`
    scatter_add                 the weights of experts: a constant in `frozen` and `relp`
    a / b, both differentiated  what a router's weights are divided by: b is a constant in `lrp`
    a * b and einsum(a, b)      of two differentiated values: half of the gradient, in `lrp` and `relp`
    silu, gelu, tanh ...        f(x) / x in the place of f'(x), in `lrp` and `relp`

A product with a constant is no product of two differentiated values, so it hands on all of its gradient.
"""
import argparse
import os
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.overrides import TorchFunctionMode

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "models"))
from families import ENCODERS, FORWARD, Sites  # noqa: E402
from make_random import CASES, load, make_inputs  # noqa: E402

SETS = ("frozen", "lrp", "relp")
SITES = ("hook_embed", "blocks.0.attn.hook_v", "blocks.0.attn.hook_q", "blocks.1.hook_resid_pre")
FUNCTIONS = {"silu", "gelu", "tanh", "sigmoid", "relu"}
laid_over = [False]  # do activations that are written out in steps go by ratio now?


class Halved(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient / 2


def by_ratio(function, x):
    with torch.no_grad():
        away = torch.where(x.abs() < 1e-10, torch.full_like(x, 1e-10).copysign(x), x)
        ratio = function(away) / away
    return x * ratio


def differentiated(*values):
    return all(isinstance(v, torch.Tensor) and v.requires_grad for v in values)


class Rules(TorchFunctionMode):
    def __init__(self, name):
        super().__init__()
        self.constant_patterns = name in ("frozen", "relp")
        self.propagates = name in ("lrp", "relp")

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, getattr(function, "__name__", "")
        if name in FUNCTIONS and self.propagates and differentiated(args[0]):
            return by_ratio(lambda x: function(x, *args[1:], **kwargs), args[0])
        if name in ("__truediv__", "div", "true_divide") and self.propagates and differentiated(*args[:2]):
            return args[0] / args[1].detach()
        out = function(*args, **kwargs)
        if name == "sqrt":
            return out.detach()
        if self.constant_patterns and (name == "scatter_add" or (name == "softmax" and out.dim() == 3)):
            return out.detach()
        factors = args[1:3] if name == "einsum" else args[:2]
        product = name == "einsum" or name in ("__mul__", "__rmul__", "mul", "multiply")
        return Halved.apply(out) if product and self.propagates and differentiated(*factors) else out


def wrap_activations(model):
    """Activations written out in several steps count as one function."""
    for module in model.modules():
        if type(module).__module__ == "transformers.activations" and type(module).__name__ in (
                "NewGELUActivation", "QuickGELUActivation", "FastGELUActivation"):
            own = module.forward
            module.forward = lambda x, own=own: by_ratio(own, x) if laid_over[0] else own(x)


def objective(logits, classifier, first, rng, n_rows):
    """As make_random.run_case draws it."""
    if classifier:
        return logits[0, int(rng.integers(0, 3))]
    at = n_rows - 1 if first else n_rows - 2
    return logits[at].log_softmax(-1)[int(rng.integers(0, logits.shape[-1]))]


def run_case(model, spec, seed, name):
    config = spec["config"]
    classifier = "ForSequenceClassification" in config["architectures"][0]
    encoder = config["model_type"] in ENCODERS
    rng, store, first = np.random.default_rng(seed + 1), {}, True
    Sites.edits = {"hook_embed": lambda value: value.detach().requires_grad_()}
    for ids, mask, types in make_inputs(spec, seed):
        laid_over[0] = name in ("lrp", "relp")
        with Rules(name):
            sites, _, logits = FORWARD[config["model_type"]](model, ids, mask, types)
        laid_over[0] = False
        if classifier and not encoder:
            logits = logits[-1:]
        objective(logits, classifier, first, rng, len(ids)).backward()
        for site in SITES:
            value = sites.get(site)
            if value is not None and value.grad is not None:
                store.setdefault(f"{name}.{site}", []).append(value.grad)
        first = False
    Sites.edits = {}
    return {k: torch.cat(v).float().contiguous() for k, v in store.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    for name in arguments.cases:
        spec = CASES[name]
        if spec["config"]["architectures"][0].endswith("Model") and "LMHead" not in spec["config"]["architectures"][0]:
            continue  # nothing to differentiate
        seed = spec["seed"] or 1000 + list(CASES).index(name)
        folder = os.path.join(HERE, "..", "..", "golden", name)
        model = load(folder, spec).double().requires_grad_(False)
        wrap_activations(model)
        golden = {}
        for rules in SETS:
            golden.update(run_case(model, spec, seed, rules))
        known = load_file(folder + "/golden.safetensors")
        true = known["hook_embed.grad"]
        save_file(golden, folder + "/rules.safetensors")
        gaps = [float((golden[f"{s}.hook_embed"] - true).abs().max() / true.abs().max()) for s in SETS]
        print(name, *(f"{s} {g:.2f}" for s, g in zip(SETS, gaps)), "from the true gradient,",
              sum(t.numel() * 4 for t in golden.values()) // 1024, "KiB")


if __name__ == "__main__":
    main()
