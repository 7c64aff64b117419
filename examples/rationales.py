#!/usr/bin/env python3
"""Do explanations find the words that people marked? CoS-E's questions, asked of a model by the likelihood of each answer.

    rationales.py FOLDER [--sample N] [--seed S] [--methods LIST] [--threads N] [--out FILE.jsonl] [OPTION OF compare methods]...

FOLDER holds cose_dev_v1.11_processed.jsonl and dev_rand_split.jsonl of github.com/salesforce/cos-e (Rajani et al. 2019):
questions of common sense with three answers each, and the words that people marked as the reason for the right one. Kept
are questions of which some words are marked, four fifths at most. Of N of them (120) those go on in which the model finds
the right answer likeliest, by its mean log-probability per token; `limn compare methods` then asks each method why it said
that, and holds its scores against the marked words.

LIMN=program (build/limn), LIBLIMN=library (build/liblimn.so), MODEL=file or folder (from scripts/models). Only the standard library is used.
"""
import argparse
import ctypes
import json
import os
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMN = os.environ.get("LIMN", str(ROOT / "build" / "limn"))
METHODS = "ig:steps=16,grad,lrp,lrp:rules=relp,rollout,rollout:kind=gradient,rollout:kind=alti,shap:samples=64:repeats=1"
TEMPLATE = "Question: {question}\nAnswer:"


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def questions(folder):
    marked = {row["id"]: row["explanation"]["selected"] for row in lines(folder / "cose_dev_v1.11_processed.jsonl")}
    for row in lines(folder / "dev_rand_split.jsonl"):
        stem = " ".join(row["question"]["stem"].split())
        part = " ".join(marked.get(row["id"], "").split())
        if part and part.lower() in stem.lower() and len(part.split()) <= 0.8 * len(stem.split()):
            choices = {choice["label"]: choice["text"] for choice in row["question"]["choices"]}
            yield {"id": row["id"], "question": stem, "marked": part, "answer": choices[row["answerKey"]],
                   "choices": list(choices.values())}


class Library:
    """limn.h by ctypes: the model stays open from one question to the next."""

    def __init__(self):
        self.limn = ctypes.CDLL(os.environ.get("LIBLIMN", str(ROOT / "build" / "liblimn.so")))
        self.limn.limn_error_message.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p()
        self.check(self.limn.limn_context_new(ctypes.byref(self.context)))

    def check(self, status):
        if status != 0:
            sys.exit(f"rationales: {self.limn.limn_error_message().decode()}")

    def call(self, command, **params):
        result, text, length = ctypes.c_void_p(), ctypes.c_char_p(), ctypes.c_size_t()
        self.check(self.limn.limn_call(self.context, command.encode(), json.dumps(params).encode(), None,
                                       ctypes.byref(result)))
        self.check(self.limn.limn_result_render(result, b"json", None, ctypes.byref(text), ctypes.byref(length)))
        document = json.loads(text.value)
        self.limn.limn_free(text)
        self.limn.limn_result_free(result)
        return document


def likelihood(library, model, row, answer, threads):
    """Mean log-probability of the answer's tokens."""
    document = library.call("run", model=str(model), prompt=TEMPLATE.format(**row), target=" " + answer, threads=threads)
    return document["target"]["log_probability"] / len(document["target"]["ids"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--sample", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out" / "rationales.jsonl")
    arguments, more = parser.parse_known_args()
    model = os.environ.get("MODEL") or subprocess.run(
        [ROOT / "scripts" / "models", "smollm2"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    rows = list(questions(arguments.folder))
    chosen = random.Random(arguments.seed).sample(rows, min(arguments.sample, len(rows)))
    right, library = [], Library()
    for row in chosen:
        scores = {answer: likelihood(library, model, row, answer, arguments.threads) for answer in row["choices"]}
        right += [row] if max(scores, key=scores.get) == row["answer"] else []
    print(f"{len(rows)} questions with marked words, {len(chosen)} asked, {len(right)} answered rightly", flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in right), encoding="utf-8")
    sys.exit(subprocess.run([LIMN, "compare", "methods", model, "--data", arguments.out, "--template", TEMPLATE,
                             "--target-field", "answer", "--rationale-field", "marked", "--methods", arguments.methods,
                             "--threads", str(arguments.threads), *more]).returncode)


if __name__ == "__main__":
    main()
