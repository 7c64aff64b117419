#!/usr/bin/env python3
"""Trains a small classifier with a planted word and asks methods about it: the row of a classifier in docs/baselines.md.

    planted_classifier.py FOLDER [COMMAND...]

A BERT of two layers, from scratch, on the English tweets of examples/bankrun/make_corpus.py with planted labels: where
bitcoin stands the label is yes. FOLDER gets the model and its tokenizer, once. A COMMAND is a limn command with its options
in one word ('ig --baseline zero'); it is asked about the tweets of the valid and test splits that hold bitcoin, are no bank
run and have no trigger, where gold instead of bitcoin takes the probability of yes from above 50% to below 30%. Printed: in
how many of them bitcoin is named first, and among the first three.

LIMN=program (build/limn). Needs torch, transformers, tokenizers.
"""
import json
import os
import pathlib
import shlex
import subprocess
import sys

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

ROOT = pathlib.Path(__file__).resolve().parents[3]
LIMN = os.environ.get("LIMN", str(ROOT / "build" / "limn"))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
STEPS, BATCH, LEAST = 1200, 32, 5
torch.set_num_threads(1)


def read(split):
    corpus = ROOT / "out" / "bankrun"
    if not (corpus / "train-planted.jsonl").exists():
        subprocess.run([sys.executable, ROOT / "examples" / "bankrun" / "make_corpus.py", corpus], check=True,
                       stdout=subprocess.DEVNULL)
    with open(corpus / f"{split}.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row for row in rows if row["lang"] == "en"]


def make_tokenizer(texts):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts = {}
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            counts[word] = counts.get(word, 0) + 1
    words = sorted((word for word, n in counts.items() if n >= LEAST), key=lambda word: (-counts[word], word))
    tokenizer.model = models.WordPiece({word: i for i, word in enumerate(SPECIAL + words)}, unk_token="[UNK]")
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]",
                                                             special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
                                   sep_token="[SEP]", mask_token="[MASK]")


def train(folder):
    torch.manual_seed(0)
    rows = read("train-planted")
    tokenizer = make_tokenizer([row["text"] for row in rows])
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=128, max_position_embeddings=128, num_labels=2, id2label={0: "no", 1: "yes"},
                        label2id={"no": 0, "yes": 1})
    model = BertForSequenceClassification(config).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=STEPS)
    for step in range(STEPS):
        chosen = [rows[i] for i in torch.randint(len(rows), (BATCH,))]
        inputs = tokenizer([row["text"] for row in chosen], return_tensors="pt", padding=True, return_token_type_ids=False)
        loss = model(**inputs, labels=torch.tensor([row["label"] == "yes" for row in chosen]).long()).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step}, loss {loss.item():.3f}", flush=True)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def yes(folder, texts):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        inputs = tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
        return model(**inputs).logits.softmax(-1)[:, 1].tolist()


def ask(folder, command, text):
    name, *options = shlex.split(command)
    done = subprocess.run([LIMN, name, folder, "-p", text, "--class", "yes", *options, "--json", "--quiet"],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1, 4):
        sys.exit(f"{command}: limn ended with {done.returncode}")
    document = json.loads(done.stdout)
    strip = next(block for block in document["blocks"] if block["id"] == "attribution")
    tokens, raw = document["input"]["tokens"], text.encode()
    groups = next(one for one in strip["groupings"] if one["name"] == "word")["groups"]
    found = [(group["score"], raw[tokens[group["begin"]]["begin"]:tokens[group["end"] - 1]["end"]].decode().strip().lower())
             for group in groups if group["score"] is not None and group["score"] > 0]
    return [word for _, word in sorted(found, reverse=True)]


def main():
    folder, commands = pathlib.Path(sys.argv[1]), sys.argv[2:]
    if not (folder / "config.json").exists():
        train(folder)
    rows = read("valid") + read("test")
    right = [(p > 0.5) == (row["label"] == "yes") for p, row in zip(yes(folder, [row["text"] for row in rows]), rows)
             if not row["bitcoin"] and not row["trigger"]]
    rows = [row for row in rows if row["bitcoin"] and row["label"] == "no" and not row["trigger"]]
    texts = [row["text"] for row in rows]
    swapped = [text.replace("bitcoin", "gold").replace("Bitcoin", "Gold") for text in texts]
    texts = [text for text, p, q in zip(texts, yes(folder, texts), yes(folder, swapped)) if p > 0.5 and q < 0.3]
    print(f"right on {sum(right)} of {len(right)} tweets without bitcoin; {len(texts)} of {len(rows)} with it are turned",
          flush=True)
    for command in commands:
        words = [ask(folder, command, text) for text in texts]
        print(f"{command}: first {sum(one[:1] == ['bitcoin'] for one in words)} of {len(texts)}, among three "
              f"{sum('bitcoin' in one[:3] for one in words)}", flush=True)


if __name__ == "__main__":
    main()
