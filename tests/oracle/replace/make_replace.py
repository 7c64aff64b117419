#!/usr/bin/env python3
"""Makes tests/golden/replace/effects.json: what `limn replace` must find, by plain passes of transformers.

Each word of a prompt is exchanged for every line of a list and the lead of the answer read from a full pass of its own:
nothing is cached, shared or batched. The model is tests/golden/llama-old; its tokens are those of make_letters_model in
tests/method/calls.c: " " is 0, "a" to "z" are 1 to 26, "bc" is 27. Needs torch, transformers, scipy.
"""
import json
import math
import pathlib

import numpy as np
import scipy.stats as st
import torch
from transformers import LlamaForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES = "fig hut jam kilo mop nut pond quiz row sun vine wolf yard zip".split()
CASES = [{"prompt": "a cab for a dad", "target": "e", "contrast": "i"},
         {"prompt": "a cab for a dad", "target": "e", "contrast": None},
         {"prompt": "big bcc dog", "target": "el", "contrast": "io"},
         {"prompt": "big bcc dog", "target": "el", "contrast": None}]


def encode(text):
    ids, at = [], 0
    while at < len(text):
        if text[at:at + 2] == "bc":
            ids.append(27)
            at += 2
        else:
            ids.append(0 if text[at] == " " else ord(text[at]) - ord("a") + 1)
            at += 1
    return ids


@torch.no_grad()
def log_p(model, prompt, answer):
    ids, tail = encode(prompt), encode(answer)
    logits = model(torch.tensor([ids + tail[:-1]])).logits[0].double()
    rows = logits[len(ids) - 1:].log_softmax(-1)
    return float(sum(rows[k, token] for k, token in enumerate(tail)))


def lead(model, prompt, case):
    target = log_p(model, prompt, case["target"])
    if case["contrast"] is not None:
        return target - log_p(model, prompt, case["contrast"])
    return target - math.log(-math.expm1(target))


def main():
    model = LlamaForCausalLM.from_pretrained(ROOT / "golden" / "llama-old", dtype=torch.float32).eval()
    out = []
    for case in CASES:
        words = case["prompt"].split(" ")
        clean = lead(model, case["prompt"], case)
        effects = []
        for place in range(len(words)):
            moved = [clean - lead(model, " ".join(words[:place] + [line] + words[place + 1:]), case) for line in LINES]
            level = 1 - 0.05 / len(words)
            half = st.t.ppf(0.5 + level / 2, len(moved) - 1) * st.sem(moved)
            p = min(1.0, len(words) * st.ttest_1samp(moved, 0.0).pvalue)
            effects.append({"word": words[place], "effect": float(np.mean(moved)), "low": float(np.mean(moved) - half),
                            "high": float(np.mean(moved) + half), "p": float(p), "n": len(moved)})
        out.append({**case, "lead": clean, "effects": effects})
    target = ROOT / "golden" / "replace" / "effects.json"
    target.write_text(json.dumps({"lines": LINES, "cases": out}) + "\n")


if __name__ == "__main__":
    main()
