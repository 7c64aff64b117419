#!/usr/bin/env python3
"""How lm-evaluation-harness scores choices that join the last token of their prompt.

    python3 tests/oracle/predict/harness.py MODEL.gguf tests/golden/predict/smollm2-borders.json

Needs torch, transformers, gguf and lm_eval (0.4.13 wrote the golden). Writes prompts, choices and log-likelihoods of its
language model `hf`; every prompt has a choice that joins it.
"""
import json
import os
import sys

import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

CHOICES = [" Paris", "Paris", "wers the", " Rome, Italy"]
PROMPTS = ["The capital of France is ", "Question: Which city is the capital of France?\nAnswer: ",
           "Is this a bank run? Answer with one word:  ", "The capital of France is Par", "the ans"]


def main():
    path, golden = sys.argv[1:]
    folder, name = os.path.split(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, device="cpu")
    kept, rows, joined = [], [], []
    for prompt in PROMPTS:
        before = harness.tok_encode(prompt)
        joins = [harness.tok_encode(prompt + choice)[:len(before)] != before for choice in CHOICES]
        requests = [Instance("loglikelihood", {}, (prompt, choice), 0) for choice in CHOICES]
        kept.append(prompt)
        joined.append(any(joins))
        rows.append([value for value, _ in harness.loglikelihood(requests)])
    assert any(joined), "no choice joins a prompt"
    with open(golden, "w", encoding="utf-8") as out:
        json.dump({"prompts": kept, "choices": CHOICES, "joined": joined, "log_probabilities": rows}, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
