#!/usr/bin/env python3
"""Whether `limn predict` decides as transformers (and PEFT) do: each choice by teacher forcing, one record at a time.

    python3 tests/oracle/predict/agreement.py MODEL_FOLDER DATA.jsonl --limn build/limn [--field prompt]
        [--choices ' yes,no'] [--adapter PEFT_FOLDER] [--limit N] [--write GOLDEN.json]

Needs torch, transformers and, for --adapter, peft. Prints the largest difference of a probability and of a
log-probability, and how many decisions differ; ends with 1 when a decision differs whose probabilities are further
than the tolerance apart, or a probability differs by more than 1e-3. --write keeps prompts and log-probabilities of
the reference for tests/method/test_predict.c.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

TOLERANCE = 1e-3


def score(model, tokenizer, prompt, choice):
    before = tokenizer(prompt).input_ids
    after = tokenizer(prompt + choice).input_ids
    assert after[:len(before)] == before and len(after) > len(before), f"{choice!r} joins with {prompt!r}"
    logits = model(torch.tensor([after])).logits[0, len(before) - 1:-1].double().log_softmax(-1)
    return logits.gather(1, torch.tensor(after[len(before):])[:, None]).sum().item()


def reference(options, prompts):
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    if options.adapter:
        import peft
        model = peft.PeftModel.from_pretrained(model, options.adapter)
    model.eval()
    with torch.inference_mode():
        return [[score(model, tokenizer, prompt, choice) for choice in options.choices] for prompt in prompts]


def limn(options, data):
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "out.jsonl"
        choices = [word for choice in options.choices for word in ("--choices", choice)]
        command = [options.limn, "predict", options.model, str(data), "--prompt-field", options.field, *choices,
                   "-o", str(out), "--threads", "1"]
        command += ["--limit", str(options.limit)] if options.limit else []
        command += ["--adapter", options.adapter] if options.adapter else []
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"limn ended with {done.returncode}: {done.stderr}\n{done.stdout[-600:]}")
        lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return [[line["log_probabilities"][choice.strip()] for choice in options.choices] for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--limn", default="build/limn")
    parser.add_argument("--field", default="prompt")
    parser.add_argument("--choices", default=" yes, no", type=lambda text: text.split(","))
    parser.add_argument("--adapter")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with open(options.data, encoding="utf-8") as file:
        prompts = [json.loads(line)[options.field] for line in file][:options.limit]
    theirs = torch.tensor(reference(options, prompts), dtype=torch.float64)
    if options.write:
        golden = {"choices": options.choices, "prompts": prompts,
                  "log_probabilities": [[round(x, 7) for x in row] for row in theirs.tolist()]}
        pathlib.Path(options.write).write_text(json.dumps(golden, ensure_ascii=False, indent=0) + "\n",
                                               encoding="utf-8")
    ours = torch.tensor(limn(options, options.data), dtype=torch.float64)
    if ours.shape != theirs.shape:
        sys.exit(f"{len(ours)} predictions for {len(theirs)} prompts")
    p, q = ours.softmax(1), theirs.softmax(1)
    top = q.topk(2, dim=1).values
    other = ours.argmax(1) != theirs.argmax(1)
    wrong = int((other & (top[:, 0] - top[:, 1] > 2 * TOLERANCE)).sum())
    worst = (p - q).abs().max().item()
    print(f"{len(ours)} records, {len(options.choices)} choices: largest difference of a probability {worst:.1e}, of a "
          f"log-probability {(ours - theirs).abs().max().item():.1e}; {int(other.sum())} decisions differ")
    sys.exit(1 if wrong > 0 or worst > TOLERANCE else 0)


if __name__ == "__main__":
    main()
