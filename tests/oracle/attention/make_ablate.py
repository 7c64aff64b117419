#!/usr/bin/env python3
"""Ablations by hooks on Hugging Face models: tests/golden/attention/ablate.json.

    python3 make_ablate.py [--smollm2 FOLDER]

before, effects and estimates of the target's log-probability (a class's logit): heads with zeros, their mean over rows
and a uniform pattern in their place; attention, MLPs, layers, layers at one position, some neurons; pairs and the curve
of the heads. `mutants` are ablations with one mistake each, which the tests must see miss.
"""
import argparse
import json

import torch

import models

NEURONS, PAIRED, CURVE = 12, 3, 4


class Hooked:
    """Where a model's values are: modules of each layer by what they mean."""

    def __init__(self, model, ids):
        self.model, self.ids, self.n = model, torch.tensor([ids]), len(ids)
        self.row = models.answer_row(model, self.n)
        self.layers = models.decoder_layers(model)
        self.heads = model.config.num_attention_heads
        self.target = models.TARGET % model.config.num_labels if models.is_classifier(model) else models.TARGET

    def z(self, layer):
        """The module whose input is the heads' results side by side."""
        block = self.layers[layer]
        if hasattr(block, "attention"):
            return block.attention.output.dense
        return block.attn.c_proj if hasattr(block, "attn") else block.self_attn.o_proj

    def written(self, layer, what):
        """The module whose output goes to the stream."""
        block = self.layers[layer]
        if hasattr(block, "attention"):
            return block.attention.output.dense if what == "attn" else block.output.dense
        if hasattr(block, "post_feedforward_layernorm"):
            return block.post_attention_layernorm if what == "attn" else block.post_feedforward_layernorm
        if what == "attn":
            return block.attn if hasattr(block, "attn") else block.self_attn
        return block.mlp if hasattr(block, "mlp") else block.block_sparse_moe

    def post(self, layer):
        """The module whose input is the MLP's neurons; None: experts."""
        block = self.layers[layer]
        if hasattr(block, "attention"):
            return block.output.dense
        mlp = getattr(block, "mlp", None)
        return getattr(mlp, "c_proj", None) or getattr(mlp, "down_proj", None)

    def v(self, layer):
        """The values of the run as it is, [T, heads, K]."""
        block, kept = self.layers[layer], {}
        if hasattr(block, "attention"):
            module, cut = block.attention.self.value, lambda x: x
        elif hasattr(block, "attn"):
            module, cut = block.attn.c_attn, lambda x: x[..., 2 * x.shape[-1] // 3:]
        else:
            module, cut = block.self_attn.v_proj, lambda x: x
        handle = module.register_forward_hook(lambda m, i, o: kept.update(v=cut(o)[0].detach()))
        self.value()
        handle.remove()
        width = self.width(layer)
        v = kept["v"].reshape(self.n, -1, width)
        return v.repeat_interleave(self.heads // v.shape[1], 1)

    def width(self, layer):
        weight = self.z(layer).weight
        inner = weight.shape[0] if "Conv1D" in type(self.z(layer)).__name__ else weight.shape[1]
        return inner // self.heads

    def value(self):
        logits = self.model(self.ids).logits
        if models.is_classifier(self.model):
            return logits[0, self.target]
        return logits[0, self.row].log_softmax(-1)[self.target]

    def run(self, changes):
        """changes: (module, "input" | "output", function of the value [T, D] that gives the new one)."""
        handles = []
        for module, end, change in changes:
            def before(m, inputs, change=change):
                return (change(inputs[0][0])[None], *inputs[1:])

            def behind(m, inputs, output, change=change):
                first = output[0] if isinstance(output, tuple) else output
                new = change(first.reshape(self.n, -1)).reshape(first.shape)
                return (new, *output[1:]) if isinstance(output, tuple) else new
            handles.append(module.register_forward_pre_hook(before) if end == "input"
                           else module.register_forward_hook(behind))
        with torch.no_grad():
            out = self.value().item()
        for handle in handles:
            handle.remove()
        return out

    def keep(self, module, end):
        """The value of the run as it is, and its gradient."""
        kept = {}

        def take(x):
            kept["x"] = x
            x.retain_grad()
        if end == "input":
            handle = module.register_forward_pre_hook(lambda m, i: take(i[0]))
        else:
            handle = module.register_forward_hook(lambda m, i, o: take(o[0] if isinstance(o, tuple) else o))
        self.model.zero_grad()
        self.value().backward()
        handle.remove()
        return kept["x"].detach().reshape(self.n, -1), kept["x"].grad.reshape(self.n, -1)


def put(begin, end, new, rows=slice(None)):
    def change(x):
        x = x.clone()
        x[rows, begin:end] = new if not torch.is_tensor(new) or new.dim() < 2 else new[rows]
        return x
    return change


def uniform(hooked, layer):
    """Looks at all that the layer may look at."""
    config, n = hooked.model.config, hooked.n
    allowed = torch.ones(n, n, dtype=torch.float64)
    if not models.is_encoder(hooked.model):
        allowed = allowed.tril()
        window = getattr(config, "sliding_window", None)
        kinds = getattr(config, "layer_types", None)
        if window and (kinds is None or kinds[layer] == "sliding_attention"):
            allowed = allowed.triu(-(window - 1))
    return allowed / allowed.sum(-1, keepdim=True)


def head_new(hooked, layer, head, how, z):
    width = hooked.width(layer)
    if how == "zero":
        return 0.0
    if how == "mean":
        return z[:, head * width:(head + 1) * width].mean(0)
    return uniform(hooked, layer) @ hooked.v(layer)[:, head]


def head_changes(hooked, layer, head, how, z, rows=slice(None)):
    width = hooked.width(layer)
    return [(hooked.z(layer), "input",
             put(head * width, (head + 1) * width, head_new(hooked, layer, head, how, z), rows))]


def grid(n_layers, n_columns, cell):
    return [[cell(layer, column) for column in range(n_columns)] for layer in range(n_layers)]


def heads_entry(hooked, before):
    layers, heads = len(hooked.layers), hooked.heads
    values = [hooked.keep(hooked.z(layer), "input") for layer in range(layers)]
    out = {}
    for how in ("zero", "mean", "pattern"):
        def estimate(layer, head, how=how):
            z, gradient = values[layer]
            width = hooked.width(layer)
            part = slice(head * width, (head + 1) * width)
            return ((head_new(hooked, layer, head, how, z) - z[:, part]) * gradient[:, part]).sum().item()
        out[how] = {"effects": grid(layers, heads, lambda l, h, how=how: hooked.run(
            head_changes(hooked, l, h, how, values[l][0])) - before),
                    "estimates": grid(layers, heads, estimate)}
    zero = {(l, h): out["zero"]["effects"][l][h] for l in range(layers) for h in range(heads)}
    by_size = sorted(zero, key=lambda c: (-abs(zero[c]), c))[:PAIRED]

    def both(a, b):
        changes = head_changes(hooked, *by_size[a], "zero", None) + head_changes(hooked, *by_size[b], "zero", None)
        return hooked.run(changes) - before - zero[by_size[a]] - zero[by_size[b]]
    out["pairs"] = [[None if a == b else both(a, b) for b in range(PAIRED)] for a in range(PAIRED)]
    missed = sorted(zero, key=lambda c: (zero[c], c))[:CURVE]
    out["curve"] = [before] + [hooked.run([c for cell in missed[:k] for c in head_changes(hooked, *cell, "zero", None)])
                               for k in range(1, CURVE + 1)]
    out["mutants"] = {
        "another head": grid(layers, heads, lambda l, h: zero[l, (h + 1) % heads]),
        "one row": grid(layers, heads, lambda l, h: hooked.run(
            head_changes(hooked, l, h, "zero", None, slice(2, 3))) - before)}
    return out


def written_entry(hooked, before):
    layers = len(hooked.layers)
    whole = {what: grid(layers, 1, lambda l, _, what=what: hooked.run(
        [(hooked.written(l, what), "output", put(0, None, 0.0))]) - before) for what in ("attn", "mlp")}

    def layer_changes(layer, rows):
        return [(hooked.written(layer, what), "output", put(0, None, 0.0, rows)) for what in ("attn", "mlp")]
    return {**whole,
            "layer": grid(layers, 1, lambda l, _: hooked.run(layer_changes(l, slice(None))) - before),
            "position": grid(layers, hooked.n, lambda l, t: hooked.run(layer_changes(l, slice(t, t + 1))) - before)}


def neurons_entry(hooked, before):
    """Those that gradient times value calls strongest, with both figures."""
    found = []
    for layer in range(len(hooked.layers)):
        if hooked.post(layer) is None:
            return None
        value, gradient = hooked.keep(hooked.post(layer), "input")
        found += [(layer, k, e) for k, e in enumerate((-value * gradient).sum(0).tolist())]
    found = sorted(found, key=lambda f: -abs(f[2]))[:NEURONS]
    return [{"layer": l, "index": k, "estimate": e, "effect": hooked.run(
        [(hooked.post(l), "input", put(k, k + 1, 0.0))]) - before} for l, k, e in found]


def entry(model, ids, brief=False):
    hooked = Hooked(model, ids)
    before = hooked.run([])
    document = {"ids": ids, "at": hooked.row, "target": hooked.target, "before": before}
    if brief:
        z = [None] * len(hooked.layers)
        document["zero"] = {"effects": grid(len(hooked.layers), hooked.heads, lambda l, h: hooked.run(
            head_changes(hooked, l, h, "zero", z[l])) - before)}
        return document
    document.update(heads_entry(hooked, before))
    document.update(written_entry(hooked, before))
    document["neurons"] = neurons_entry(hooked, before)
    return document


def rounded(value):
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.8g}") if isinstance(value, float) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--smollm2")
    options = parser.parse_args()
    path = models.GOLDEN / "attention" / "ablate.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    for case in models.CASES:
        document[case] = rounded(entry(models.load(case), models.IDS))
    if options.smollm2:  # The capital of France is
        document["smollm2"] = rounded(entry(models.load(options.smollm2), [504, 3575, 282, 4649, 314], brief=True))
    models.write("ablate.json", document)


if __name__ == "__main__":
    main()
