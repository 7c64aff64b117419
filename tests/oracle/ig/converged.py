#!/usr/bin/env python3
"""Integrated gradients of SmolLM2 in true float64, refined until they no longer move.

    python3 tests/oracle/ig/converged.py SMOLLM2_HF_FOLDER [--out tests/golden/ig/smollm2_reference.json]

F(a) = log p(target | baseline + a (x - baseline)) over the raw embedding rows (hook_embed), a from 0 to 1, the
target the arg-max token at a = 1, the baseline the padding token's embedding at every position (in SmolLM2 it is
the end-of-text token of the chat format, id 2), positions fixed, no token held out. [0, 1] starts as 16 panels,
each integrated by Simpson's rule (ends and middle); a panel's gap is |integral of dF/da - difference of F|; the worst
panels are halved until the gaps sum to at most 0.01 |F(1) - F(0)| and no token moves by more than 0.2% of the largest
over the last quarter of the nodes (opposite errors of two tokens cancel in a gap). The attribution of a token is the integral of
gradient . (x - baseline) over its row. (Trapezoid panels come to the same numbers with several times the nodes.)
Converged prompts are kept, and with --state so are the nodes of the others: the script can be stopped, started again
and given more time.
"""
import argparse
import json
import pathlib
import time

import torch
from llama64 import Llama64
from prompts import PROMPTS
from transformers import AutoTokenizer


def path_values(model, x, baseline, target, alphas, rows_at_once):
    """F [N] and the per-token slopes gradient . (x - baseline) [N, T] at each alpha [N]."""
    difference = x - baseline
    values, slopes = [], []
    for part in alphas.split(max(1, rows_at_once // x.shape[0])):
        points = (baseline + part[:, None, None] * difference).requires_grad_(True)
        log_prob = model.last_log_probs(points)[:, target]
        gradient, = torch.autograd.grad(log_prob.sum(), points)
        values.append(log_prob.detach())
        slopes.append((gradient * difference).sum(-1))
    return torch.cat(values), torch.cat(slopes)


class Panels:
    """Nodes in order of alpha: even ones bound the panels, odd ones are their middles."""

    def __init__(self, evaluate, state=None, count=16):
        self.evaluate = evaluate
        self.state = state
        if state and state.exists():
            self.alphas, self.values, self.slopes = torch.load(state)
        else:
            self.alphas = torch.linspace(0, 1, 2 * count + 1, dtype=torch.float64)
            self.values, self.slopes = evaluate(self.alphas)

    def save(self):
        if self.state:
            torch.save((self.alphas, self.values, self.slopes), self.state)

    def integrals(self):  # [panels, T]
        width = self.alphas[::2].diff()[:, None]
        return width * (self.slopes[:-1:2] + 4 * self.slopes[1::2] + self.slopes[2::2]) / 6

    def gaps(self):  # [panels]
        return (self.integrals().sum(-1) - self.values[::2].diff()).abs()

    def worth(self):  # [panels]: the gap, and how far the two rules differ on any token, which a sum over tokens hides
        width = self.alphas[::2].diff()[:, None]
        plain = width * (self.slopes[:-1:2] + 2 * self.slopes[1::2] + self.slopes[2::2]) / 4
        return self.gaps() + 0.25 * (self.integrals() - plain).abs().max(-1).values

    def halve(self, worst):
        left, middle, right = (self.alphas[2 * worst + i] for i in range(3))
        added = torch.cat([(left + middle) / 2, (middle + right) / 2])
        values, slopes = self.evaluate(added)
        order = torch.cat([self.alphas, added]).argsort()
        self.alphas = torch.cat([self.alphas, added])[order]
        self.values = torch.cat([self.values, values])[order]
        self.slopes = torch.cat([self.slopes, slopes])[order]


def attribute(model, ids, options):
    x = model.embedding[torch.tensor(ids)]
    baseline = model.embedding[options.baseline].expand_as(x)
    with torch.no_grad():
        target = int(model.last_log_probs(x[None])[0].argmax())
    started = time.process_time()
    name = f"{options.baseline}-" + "-".join(str(i) for i in ids) + ".pt"
    state = pathlib.Path(options.state) / name if options.state else None
    panels = Panels(lambda a: path_values(model, x, baseline, target, a, options.rows), state)
    span = abs(float(panels.values[-1] - panels.values[0]))
    trace = []
    mark = 0.32
    looks = [(len(panels.alphas), panels.integrals().sum(0))]  # each with a quarter more nodes than the one before
    while True:
        total = float(panels.gaps().sum()) / span
        now = panels.integrals().sum(0)
        while total <= mark:  # how the attributions stood when the gaps fell below each mark
            trace.append({"gap_at_most": mark, "nodes": len(panels.alphas), "gap": total, "attributions": now})
            mark /= 2
        if len(panels.alphas) >= 1.25 * looks[-1][0]:
            looks.append((len(panels.alphas), now))
        change = float((looks[-1][1] - looks[-2][1]).abs().max() / now.abs().max()) if len(looks) > 1 else 1.0
        converged = total <= options.tolerance and change <= options.change
        if converged or len(panels.alphas) >= options.max_nodes or \
                time.process_time() - started > options.max_seconds:
            break
        panels.halve(panels.worth().argsort(descending=True)[:12])
        if len(panels.alphas) % 120 < 24:
            panels.save()
    panels.save()
    final = panels.integrals().sum(0)
    scale = final.abs().max()
    return {
        "ids": ids, "target": target, "f_input": float(panels.values[-1]), "f_baseline": float(panels.values[0]),
        "attributions": final.tolist(), "relative_gap": total, "nodes": len(panels.alphas),
        "converged": converged, "last_change": change,
        "trace": [{"gap_at_most": t["gap_at_most"], "nodes": t["nodes"], "gap": t["gap"],
                   "largest_error": float((t["attributions"] - final).abs().max() / scale)} for t in trace],
        "seconds": time.process_time() - started,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--out", default="tests/golden/ig/smollm2_reference.json")
    parser.add_argument("--baseline", type=int, help="token id; default: the model's padding token")
    parser.add_argument("--tolerance", type=float, default=0.01,
                        help="sum of absolute panel gaps over |F(1) - F(0)|")
    parser.add_argument("--change", type=float, default=0.002,
                        help="largest change of a token, of the largest, over the last quarter of the nodes")
    parser.add_argument("--max-nodes", type=int, default=2500)
    parser.add_argument("--max-seconds", type=float, default=600, help="of processor time, per prompt")
    parser.add_argument("--state", help="folder for unfinished nodes")
    parser.add_argument("--rows", type=int, default=192, help="token rows per batch")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    model = Llama64(options.folder)
    tokenizer = AutoTokenizer.from_pretrained(options.folder)
    if options.baseline is None:
        options.baseline = model.pad_id if model.pad_id is not None else model.eos_id
    path = pathlib.Path(options.out)
    kept = json.loads(path.read_text())["prompts"] if path.exists() else []
    done = {entry["text"]: entry for entry in kept if entry["converged"]}
    ids = {text: tokenizer(text, add_special_tokens=False).input_ids for text in PROMPTS}
    for text in sorted(PROMPTS, key=lambda t: len(ids[t])):
        if text in done:
            continue
        entry = {"text": text}
        entry.update(attribute(model, ids[text], options))
        done[text] = entry
        document = {
            "model": "SmolLM2-135M-Instruct (dequantised Q4_1), float64 throughout",
            "objective": "log-probability of the arg-max next token", "site": "hook_embed",
            "baseline_id": options.baseline, "tolerance": options.tolerance,
            "prompts": [done[t] for t in PROMPTS if t in done],
        }
        part = path.with_suffix(".part")
        part.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
        part.replace(path)
        print(f"{len(entry['ids']):3d} tokens {entry['nodes']:5d} nodes gap {entry['relative_gap']:.4f} "
              f"change {entry['last_change']:.1e} {entry['seconds']:6.1f} s  {text!r}", flush=True)


if __name__ == "__main__":
    main()
