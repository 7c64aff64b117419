#!/usr/bin/env python3
"""Attribution patching as goldens for `limn causal-grad`: tests/golden/causal/causal_grad.json.

Models of tests/golden, in float64, by the walk of oracle/models and PyTorch's own autograd: values at every site of a base
and a source prompt, one backward pass, differences times gradients. AtP* (2403.00745): the softmax of queries and keys
taken exactly, and one backward pass for each layer with what it writes detached. --steps: midpoints between the two
prompts' streams before the first layer. Needs torch, transformers, safetensors.
"""
import json
import math
import pathlib
import sys

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "oracle" / "models"))
from families import FORWARD, Sites  # noqa: E402
from make_random import CASES, load  # noqa: E402

CLEAN, CORRUPT, LONGER = [5, 7, 11, 3, 9, 24], [5, 7, 30, 3, 18, 24], [5, 7, 30, 41, 8, 3, 9, 24]
# Where the answer is read; the first row too, of a model whose first row sees more than itself.
MODELS = (("llama3", 5), ("gpt2", 5), ("bert-mlm", 2), ("bert-mlm", 0), ("gemma2", 5), ("mixtral", 5), ("falcon-rw", 5))
TARGET, STEPS = 13, 4
FAMILIES = ("resid", "mlp", "head", "query", "key", "value", "neuron")
torch.set_num_threads(1)


def run(model, spec, ids, edits=None):
    tokens = torch.tensor(ids)
    Sites.edits = {"hook_embed": lambda value: value.detach().requires_grad_(), **(edits or {})}
    sites, _, logits = FORWARD[spec["config"]["model_type"]](model, tokens, torch.ones(len(ids), dtype=torch.bool),
                                                            torch.zeros_like(tokens))
    Sites.edits = {}
    return sites, logits


def names(sites, layer):
    p = f"blocks.{layer}."
    turned = p + "attn.hook_rot_q" in sites
    posts = [n for n in ("mlp.hook_post", "mlp.experts.hook_post", "mlp.shared_expert.hook_post") if p + n in sites]
    return {"resid": p + "hook_resid_pre", "mlp": p + "hook_mlp_out", "head": p + "attn.hook_z",
            "query": p + ("attn.hook_rot_q" if turned else "attn.hook_q"),
            "key": p + ("attn.hook_rot_k" if turned else "attn.hook_k"), "value": p + "attn.hook_v",
            "neuron": [p + n for n in posts]}


def value(sites, name):
    return sites[name].detach()


def gradient(sites, name):
    return torch.zeros_like(sites[name]) if sites[name].grad is None else sites[name].grad


def score(config, q, k, head):
    """Scores of one head, uncapped and unmasked, alibi included (Falcon's)."""
    if config["model_type"] == "gemma2":
        s = q @ k.T / math.sqrt(config["query_pre_attn_scalar"])
        cap = config["attn_logit_softcapping"]
        return cap * torch.tanh(s / cap)
    return q @ k.T / math.sqrt(q.shape[-1])


def exact(config, sites, layer, delta, families):
    """Effects of a layer's queries and keys by the difference of softmaxes."""
    n = names(sites, layer)
    q, k, v, z = (value(sites, n[f]) for f in ("query", "key", "value", "head"))
    known = value(sites, f"blocks.{layer}.attn.hook_attn_scores")
    pattern = value(sites, f"blocks.{layer}.attn.hook_pattern")
    groups, heads = q.shape[1] // k.shape[1], q.shape[1]
    of_z = gradient(sites, n["head"])
    query, key = torch.zeros(heads), torch.zeros(k.shape[1])
    for h in range(heads):
        g = h // groups
        own = score(config, q[:, h], k[:, g], h)
        extra = known[h] - own  # what else is added: alibi, and -inf where nothing is seen
        assert torch.allclose((own + extra).softmax(-1), pattern[h], atol=1e-9)
        of_pattern = of_z[:, h] @ v[:, g].T
        other_q = (score(config, q[:, h] + delta[n["query"]][:, h], k[:, g], h) + extra).softmax(-1)
        other_k = (score(config, q[:, h], k[:, g] + delta[n["key"]][:, g], h) + extra).softmax(-1)
        query[h] = ((other_q - pattern[h]) * of_pattern).sum()
        key[g] += ((other_k - pattern[h]) * of_pattern).sum()
    families["query"][layer], families["key"][layer] = query, key


def effects(config, sites, delta, star=False):
    layers = config["num_hidden_layers"] if "num_hidden_layers" in config else config["n_layer"]
    out = {f: [] for f in FAMILIES}
    for layer in range(layers):
        n = names(sites, layer)
        for f in ("resid", "mlp"):
            out[f].append((delta[n[f]] * gradient(sites, n[f])).sum(-1))
        for f in ("head", "query", "key", "value"):
            out[f].append((delta[n[f]] * gradient(sites, n[f])).sum((0, 2)))
        out["neuron"].append(torch.cat([(delta[s] * gradient(sites, s)).sum(0).flatten() for s in n["neuron"]]))
        if star:
            exact(config, sites, layer, delta, out)
    return {f: torch.stack(v) for f, v in out.items()}


def metric(logits, row):
    return logits[row, TARGET]


def differences(base, source, pairs, constant=None):
    """Source less base at every site; rows without a counterpart: 0."""
    out = {}
    for name in base:
        b = value(base, name)
        if b.dim() == 0 or b.dtype.is_floating_point is False:
            continue
        d = torch.zeros_like(b)
        if source is None:
            d = (b.mean(0, keepdim=True) if constant == "mean" else torch.zeros_like(b[:1])) - b
        elif any(s in name for s in ("scores", "pattern")):
            continue
        else:
            s = value(source, name)
            for i, j in pairs:
                d[i] = s[j] - b[i]
        out[name] = d
    return out


def estimate(model, spec, ids, delta, row, edits=None, star=False):
    sites, logits = run(model, spec, ids, edits)
    metric(logits, row).backward()
    return effects(spec["config"], sites, delta, star)


def star(model, spec, ids, delta, row):
    config = spec["config"]
    layers = config["num_hidden_layers"] if "num_hidden_layers" in config else config["n_layer"]
    total = None
    for dropped in range(layers):
        edits = {f"blocks.{dropped}.{n}": lambda v: v.detach() for n in ("hook_attn_out", "hook_mlp_out")}
        one = estimate(model, spec, ids, delta, row, edits, star=True)
        for f, v in one.items():
            v = v.abs() / (layers if f == "resid" else layers - 1)
            if f != "resid":
                v[dropped] = 0
            total = total or {}
            total[f] = total[f] + v if f in total else v
    return total


def along(model, spec, ids, delta, row):
    total = None
    for k in range(STEPS):
        part = (k + 0.5) / STEPS
        edits = {"blocks.0.hook_resid_pre": lambda v, part=part: v + part * delta["blocks.0.hook_resid_pre"]}
        one = estimate(model, spec, ids, delta, row, edits)
        total = {f: v / STEPS + (total[f] if total else 0) for f, v in one.items()}
    return total


def rounded(found):
    return {f: [[float(f"{x:.7g}") for x in row] for row in v.tolist()] for f, v in found.items()}


def main():
    cases = []
    for name, row in MODELS:
        spec = CASES[name]
        spec["config"].setdefault("attn_logit_softcapping", 50.0)
        model = load(str(ROOT / "golden" / name), spec).double().requires_grad_(False)
        spec["config"]["attn_logit_softcapping"] = getattr(model.config, "attn_logit_softcapping", None)
        spec["config"]["query_pre_attn_scalar"] = getattr(model.config, "query_pre_attn_scalar", None)
        clean, _ = run(model, spec, CLEAN)
        corrupt, _ = run(model, spec, CORRUPT)
        same = [(i, i) for i in range(len(CLEAN))]
        delta = differences(corrupt, clean, same)
        case = {"model": name, "row": row, "atp": rounded(estimate(model, spec, CORRUPT, delta, row)),
                "atp-star": rounded(star(model, spec, CORRUPT, delta, row)),
                "steps": rounded(along(model, spec, CORRUPT, delta, row)),
                "zero": rounded(estimate(model, spec, CLEAN, differences(clean, None, None, "zero"), row)),
                "mean": rounded(estimate(model, spec, CLEAN, differences(clean, None, None, "mean"), row))}
        if name == "gpt2":  # two tokens alike before, three behind: the corrupt prompt's rows 2 to 4 have no counterpart
            longer, _ = run(model, spec, LONGER)
            pairs = [(0, 0), (1, 1), (5, 3), (6, 4), (7, 5)]
            case["longer"] = rounded(estimate(model, spec, LONGER, differences(longer, clean, pairs), len(LONGER) - 1))
        cases.append(case)
        print(name, {f: len(v[0]) for f, v in case["atp"].items()})
    document = {"clean": CLEAN, "corrupt": CORRUPT, "longer": LONGER, "target": TARGET,
                "steps": STEPS, "cases": cases}
    path = ROOT / "golden" / "causal" / "causal_grad.json"
    path.write_text(json.dumps(document, separators=(",", ":")).replace('},"', '},\n"') + "\n")
    print(path.stat().st_size)


if __name__ == "__main__":
    main()
