#!/usr/bin/env python3
"""Weighted rollouts by plain formulas on Hugging Face models, and flows by networkx: tests/golden/attention/kinds.json.

    python3 make_kinds.py [--smollm2 FOLDER]

gradient  R of Chefer et al., by autograd at the attentions; value  rollout of attention times norms of W_O v;
alti      R of ALTI, and ALTI-Logit's scores; flow  networkx's maximum flows from the answer's row.
`mutants` have one mistake each, which the tests must see miss.
"""
import argparse
import json

import networkx
import torch

import models
from make_ablate import rounded
from make_lens import Streams, back, out_weight, through
from make_rollout import rollout


class Attentions(Streams):
    def attentions(self):
        """Kept with their gradients."""
        out = self.model(self.ids, output_attentions=True)
        for a in out.attentions:
            a.retain_grad()
        return out

    def written(self, layer, what=None):
        """W_O v of each row and head [T, H, D]; with `what` as in Hooked."""
        if what is not None:
            return super().written(layer, what)
        v = self.v(layer)
        weight = out_weight(self, layer)
        return torch.einsum("thk,dhk->thd", v, weight.reshape(weight.shape[0], self.heads, -1))


def objective(hooked, logits):
    if models.is_classifier(hooked.model):
        return logits[0, hooked.target]
    return logits[0, hooked.row].log_softmax(-1)[hooked.target]


def chefer(hooked, positive=True):
    out = hooked.attentions()
    objective(hooked, out.logits).backward()
    n = hooked.n
    r = torch.eye(n, dtype=torch.float64)
    for a in out.attentions:
        cam = a.grad[0] * a.detach()[0]
        cam = (cam.clamp_min(0) if positive else cam.abs()).mean(0)
        r = r + cam @ r
    return r


def value_weighted(hooked, attentions, residual=1.0, norms=True):
    eye = torch.eye(hooked.n, dtype=torch.float64)
    r = eye
    for layer, a in enumerate(attentions):
        size = hooked.written(layer).norm(dim=-1).T  # [H, T]
        mixed = (a[0] * (size[:, None, :] if norms else 1)).mean(0)
        mixed = mixed / mixed.sum(-1, keepdim=True) + residual * eye
        r = mixed / mixed.sum(-1, keepdim=True) @ r
    return r


def moved(hooked, layer, a, i):
    """What row i got from each row, [T, D], its own stream in its own, through the norm behind it."""
    block = hooked.layers[layer]
    x = torch.einsum("ht,thd->td", a[0, :, i], hooked.written(layer))
    own = hooked.streams[layer][i]
    if hasattr(block, "attention"):  # the norm behind the sum
        norm = block.attention.output.LayerNorm
        before = hooked.kept(norm, "input")[i]
        x[i] += own
        return through(norm, before, x), norm(before)
    if hasattr(block, "post_feedforward_layernorm"):  # behind what attention writes
        x = through(block.post_attention_layernorm, hooked.kept(block.self_attn, "output")[i], x)
    x[i] += own
    return x, own + hooked.kept(hooked.written(layer, "attn"), "output")[i]


def alti_layer(hooked, layer, a, sign=1.0):
    rows = []
    for i in range(hooked.n):
        parts, y = moved(hooked, layer, a, i)
        row = (sign * (y.abs().sum() - (y[None] - parts).abs().sum(-1))).clamp_min(0)
        if not models.is_encoder(hooked.model):
            row[i + 1:] = 0
        rows.append(row / row.sum())
    return torch.stack(rows)


def stream_gradients(hooked):
    """The logit's gradient along the stream at what attention writes, of each layer, and before the first layer."""
    model, row = hooked.model, hooked.row
    final = hooked.streams[-1][row]
    if not models.is_encoder(model):
        inner = getattr(model, "transformer", None) or model.model
        g = back(inner.ln_f if hasattr(inner, "ln_f") else inner.norm, final,
                 model.get_output_embeddings().weight.detach()[hooked.target])
        out = []
        for block in hooked.layers:
            post = hasattr(block, "post_feedforward_layernorm")
            out.append(back(block.post_attention_layernorm, hooked.kept(block.self_attn, "output")[row], g)
                       if post else g)
        return out, g
    if models.is_classifier(model):
        pooler = model.bert.pooler.dense
        g = pooler.weight.T @ (model.classifier.weight[hooked.target] * (1 - torch.tanh(pooler(final)) ** 2))
    else:
        transform = model.cls.predictions.transform
        pre = transform.dense(final).detach().requires_grad_()
        active = transform.transform_act_fn(pre)
        norm = back(transform.LayerNorm, active.detach(), model.cls.predictions.decoder.weight[hooked.target].detach())
        g = transform.dense.weight.T @ (norm * torch.autograd.grad(active.sum(), pre)[0])
    g, out = g.detach(), []
    for block in reversed(hooked.layers):
        g = back(block.output.LayerNorm, hooked.kept(block.output.LayerNorm, "input")[row], g)
        g = back(block.attention.output.LayerNorm, hooked.kept(block.attention.output.LayerNorm, "input")[row], g)
        out.append(g)
    return out[::-1], g


def alti(hooked, attentions):
    n, row = hooked.n, hooked.row
    gradients, first = stream_gradients(hooked)
    r = torch.eye(n, dtype=torch.float64)
    scores = torch.zeros(n, dtype=torch.float64)
    scores[row] = first @ hooked.streams[0][row]
    for layer, a in enumerate(attentions):
        share = torch.einsum("ht,thd,d->t", a[0, :, row], hooked.written(layer), gradients[layer])
        scores = scores + share @ r
        r = alti_layer(hooked, layer, a) @ r
    return r, scores


def flows(hooked, attentions, residual=1.0):
    n = hooked.n
    graph = networkx.DiGraph()
    for layer, a in enumerate(attentions):
        mixed = a[0].mean(0) + residual * torch.eye(n, dtype=torch.float64)
        mixed = mixed / mixed.sum(-1, keepdim=True)
        for i in range(n):
            for j in range(n):
                if mixed[i, j] > 0:
                    graph.add_edge((layer + 1, i), (layer, j), capacity=mixed[i, j].item())
    source = (len(attentions), hooked.row)
    return [networkx.maximum_flow_value(graph, source, (0, t)) if graph.has_node((0, t)) else 0.0 for t in range(n)]


def entry(model, ids, brief=False):
    hooked = Attentions(model, ids)
    with torch.no_grad():
        attentions = hooked.model(hooked.ids, output_attentions=True).attentions
    document = {"ids": ids, "at": hooked.row, "target": hooked.target, "gradient": chefer(hooked).tolist(),
                "flow": flows(hooked, attentions)}
    with torch.no_grad():
        document["value"] = value_weighted(hooked, attentions).tolist()
    r, scores = alti(hooked, attentions)
    document["alti"], document["scores"] = r.tolist(), scores.tolist()
    if not brief:
        mixed = rollout(attentions, 1.0)
        document["mutants"] = {"gradient": chefer(hooked, positive=False).tolist(),
                               "value": value_weighted(hooked, attentions, norms=False).tolist(),
                               "alti": mixed.tolist(), "flow": [mixed[hooked.row].tolist()]}
    return rounded(document)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--smollm2")
    options = parser.parse_args()
    path = models.GOLDEN / "attention" / "kinds.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    for case in models.CASES:
        document[case] = entry(models.load(case), models.IDS)
    if options.smollm2:  # The capital of France is
        document["smollm2"] = entry(models.load(options.smollm2), [504, 3575, 282, 4649, 314], brief=True)
    models.write("kinds.json", document)


if __name__ == "__main__":
    main()
