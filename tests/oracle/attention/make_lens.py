#!/usr/bin/env python3
"""Logit lens and direct logit attribution by plain formulas on Hugging Face models: tests/golden/attention/lens.json.

    python3 make_lens.py [--smollm2 FOLDER]

`lens` [layers + 1, positions]: the target's log-probability when the stream behind each layer is given to the last norm
and the head (classifiers: the answer's row alone). Direct shares of the logit: norms keep the scales of the run as it
is. With `contrast` the same of the difference to another token. `mutants` have one mistake each.
"""
import argparse
import json

import torch

import models
from make_ablate import Hooked, rounded

NEURONS = 8


class Streams(Hooked):
    def __init__(self, model, ids):
        super().__init__(model, ids)
        self.streams = [self.kept(self.layers[0], "input")] + [self.kept(block, "output") for block in self.layers]

    def head(self, x, normed=True):
        model = self.model
        if models.is_classifier(model):
            return model.classifier(model.bert.pooler(x[None]))[0][None]
        if models.is_encoder(model):
            return model.cls(x[None])[0]
        inner = getattr(model, "transformer", None) or model.model
        norm = inner.ln_f if hasattr(inner, "ln_f") else inner.norm
        logits = model.lm_head(norm(x) if normed else x)
        cap = getattr(model.config, "final_logit_softcapping", None)
        return torch.tanh(logits / cap) * cap if cap else logits

    def kept(self, module, end):
        store = {}
        if end == "input":
            handle = module.register_forward_pre_hook(lambda m, i: store.update(x=i[0].detach()))
        else:
            handle = module.register_forward_hook(
                lambda m, i, o: store.update(x=(o[0] if isinstance(o, tuple) else o).detach()))
        with torch.no_grad():
            self.value()
        handle.remove()
        return store["x"].reshape(self.n, -1)


def gain_of(norm):
    plus = 1.0 if "Gemma" in type(norm).__name__ else 0.0
    return norm.weight.detach() + plus


def through(norm, x, v):
    """v through a norm whose scale is that of x; no bias."""
    if hasattr(norm, "bias") and norm.bias is not None:
        scale = (x.var(-1, unbiased=False) + (norm.eps if hasattr(norm, "eps") else 0)).sqrt()
        return gain_of(norm) * (v - v.mean(-1, keepdim=True)) / scale
    eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0))
    return gain_of(norm) * v / (x.pow(2).mean(-1) + eps).sqrt()


def back(norm, x, g):
    """The same of a gradient: the transposed map."""
    if hasattr(norm, "bias") and norm.bias is not None:
        scale = (x.var(-1, unbiased=False) + norm.eps).sqrt()
        v = gain_of(norm) * g / scale
        return v - v.mean(-1, keepdim=True)
    return through(norm, x, g)


def out_weight(hooked, layer):
    weight = hooked.z(layer).weight.detach()
    return weight.T if "Conv1D" in type(hooked.z(layer)).__name__ else weight  # [D, H K]


def mlp_weight(hooked, layer):
    module = hooked.post(layer)
    return None if module is None else (
        module.weight.detach().T if "Conv1D" in type(module).__name__ else module.weight.detach())


def shares_at(hooked, layer, g_attn, g_mlp, out):
    """Shares of a layer from the gradients at what attention and MLP write (before norms of their own)."""
    row = hooked.row
    z = hooked.kept(hooked.z(layer), "input")[row].reshape(hooked.heads, -1)
    weight = out_weight(hooked, layer).reshape(len(g_attn), hooked.heads, -1)
    out["direct.heads"].append([(g_attn @ weight[:, h] @ z[h]).item() for h in range(hooked.heads)])
    if mlp_weight(hooked, layer) is not None:
        post = hooked.kept(hooked.post(layer), "input")[row]
        for k, share in enumerate(((g_mlp @ mlp_weight(hooked, layer)) * post).tolist()):
            out["neurons"].append({"layer": layer, "index": k, "share": share})


def direct_decoder(hooked, u):
    model, row = hooked.model, hooked.row
    inner = getattr(model, "transformer", None) or model.model
    norm = inner.ln_f if hasattr(inner, "ln_f") else inner.norm
    final = hooked.streams[-1][row]
    g = back(norm, final, u)
    out = {"direct.layers": [], "direct.heads": [], "neurons": [], "embedding": None}
    if hasattr(inner, "wte"):
        out["embedding"] = (g @ inner.wte.weight[hooked.ids[0, row]]).item()
    else:
        out["embedding"] = (g @ hooked.streams[0][row]).item()
    for l, block in enumerate(hooked.layers):
        attn, mlp = (hooked.kept(hooked.written(l, w), "output")[row] for w in ("attn", "mlp"))
        out["direct.layers"].append([(g @ attn).item(), (g @ mlp).item()])
        g_attn = g_mlp = g
        if hasattr(block, "post_feedforward_layernorm"):
            g_attn = back(block.post_attention_layernorm, hooked.kept(block.self_attn, "output")[row], g)
            g_mlp = back(block.post_feedforward_layernorm, hooked.kept(block.mlp, "output")[row], g)
        shares_at(hooked, l, g_attn, g_mlp, out)
    return out


def direct_encoder(hooked, output):
    model, row = hooked.model, hooked.row
    final = hooked.streams[-1][row]
    if models.is_classifier(model):
        pooler = model.bert.pooler.dense
        pre = pooler(final)
        g = pooler.weight.T @ (model.classifier.weight[output] * (1 - torch.tanh(pre) ** 2))
    else:
        transform = model.cls.predictions.transform
        pre = transform.dense(final).detach().requires_grad_()
        active = transform.transform_act_fn(pre)
        norm = back(transform.LayerNorm, active.detach(), model.cls.predictions.decoder.weight[output].detach())
        slope, = torch.autograd.grad(active.sum(), pre)
        g = transform.dense.weight.T @ (norm * slope)
    g = g.detach()
    layers, out = [None] * len(hooked.layers), {"direct.layers": [], "direct.heads": [], "neurons": []}
    for l in reversed(range(len(hooked.layers))):
        block = hooked.layers[l]
        g_mlp = back(block.output.LayerNorm, hooked.kept(block.output.LayerNorm, "input")[row], g)
        g_attn = back(block.attention.output.LayerNorm, hooked.kept(block.attention.output.LayerNorm, "input")[row], g_mlp)
        layers[l], g = (g_attn, g_mlp), g_attn
    for l, (g_attn, g_mlp) in enumerate(layers):
        attn, mlp = (hooked.kept(hooked.written(l, w), "output")[row] for w in ("attn", "mlp"))
        out["direct.layers"].append([(g_attn @ attn).item(), (g_mlp @ mlp).item()])
        shares_at(hooked, l, g_attn, g_mlp, out)
    embeddings = model.bert.embeddings
    x = hooked.kept(embeddings.LayerNorm, "input")[row]
    out["embedding"] = (back(embeddings.LayerNorm, x, g) @ embeddings.word_embeddings.weight[hooked.ids[0, row]]).item()
    return out


def grid(hooked, target, contrast=None, normed=True):
    rows = []
    for stream in hooked.streams:
        with torch.no_grad():
            log_p = hooked.head(stream, normed).log_softmax(-1)
        rows.append((log_p[:, target] - (log_p[:, contrast] if contrast is not None else 0)).tolist())
    return rows


def entry(model, ids, brief=False):
    hooked = Streams(model, ids)
    target, encoder = hooked.target, models.is_encoder(model)
    document = {"ids": ids, "at": hooked.row, "target": target, "lens": grid(hooked, target)}
    if not encoder:
        unembedding = model.get_output_embeddings().weight.detach()
        document.update(direct_decoder(hooked, unembedding[target]))
        document["contrast"] = {"id": models.CONTRAST, "lens": grid(hooked, target, models.CONTRAST), **{
            k: v for k, v in direct_decoder(hooked, unembedding[target] - unembedding[models.CONTRAST]).items()
            if k.startswith("direct")}}
        document["mutants"] = {"lens": grid(hooked, target, normed=False)}
    else:
        document.update(direct_encoder(hooked, target))
        document["mutants"] = {"lens": [row[1:] + row[:1] for row in document["lens"]]} if len(document["lens"][0]) > 1 else {}
    document["mutants"]["direct.heads"] = [row[1:] + row[:1] for row in document["direct.heads"]]
    document["neurons"] = sorted(document["neurons"], key=lambda n: -abs(n["share"]))[:NEURONS]
    if brief:
        for key in ("contrast", "mutants"):
            document.pop(key)
    return document


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--smollm2")
    options = parser.parse_args()
    path = models.GOLDEN / "attention" / "lens.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    for case in models.CASES:
        document[case] = rounded(entry(models.load(case), models.IDS))
    if options.smollm2:  # The capital of France is
        document["smollm2"] = rounded(entry(models.load(options.smollm2), [504, 3575, 282, 4649, 314], brief=True))
    models.write("lens.json", document)


if __name__ == "__main__":
    main()
