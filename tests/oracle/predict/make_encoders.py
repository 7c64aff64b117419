#!/usr/bin/env python3
"""Makes tests/golden/predict/encoders.json, bert/ and roberta/: what transformers answers at the mask and in classes.

    python3 tests/oracle/predict/make_encoders.py [--limn build/limn]

The models are random ones of tests/golden, which have no words; here they get small vocabularies of their own. Needs
torch, transformers, tokenizers. --limn also runs `limn predict` on the same and prints the largest difference of a
log-probability; it ends with 1 when one is above 1e-4.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import tokenizers
import torch
import transformers

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "golden"
OUT = GOLDEN / "predict"
TOLERANCE = 1e-4
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] is it a bank run ? . , no yes maybe the money gone from my ##s ##ing".split()
BERT_PROMPTS = ["Is it a bank run? [MASK].", "[MASK], the money is gone from my bank.", "a [MASK] run",
                "it is running, it is running, is it a bank? [MASK]", "[MASK]"]
ROBERTA_PROMPTS = ["is it a bank run? <mask>.", "<mask> no", "a<mask>b", "run run run run <mask>"]
CASES = [("bert-mlm", "bert", BERT_PROMPTS, ["yes", "No", "maybe"]),
         ("bert-classifier", "bert", [prompt.replace("[MASK]", "yes") for prompt in BERT_PROMPTS], None),
         ("roberta-mlm", "roberta", ROBERTA_PROMPTS, [" y", "n", " m"]),
         ("roberta-classifier", "roberta", [prompt.replace("<mask>", " m") for prompt in ROBERTA_PROMPTS], None)]


def make_bert(folder):
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}) + "\n")


def make_roberta(folder):
    folder.mkdir(exist_ok=True)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "\u0120", *"abcdefghijklmnopqrstuvwxyz?.,"]
    pieces += ["\u0120y", "\u0120n", "\u0120m"]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(
        vocab={piece: i for i, piece in enumerate(pieces)},
        merges=[("\u0120", "y"), ("\u0120", "n"), ("\u0120", "m")]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.add_special_tokens([*pieces[:4], tokenizers.AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>",
         "sep_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}) + "\n")


def score(model, tokenizer, prompt, choices):
    ids = tokenizer(prompt).input_ids
    logits = model(torch.tensor([ids])).logits[0].double()
    if choices is None:
        return logits.log_softmax(-1).tolist()
    assert ids.count(tokenizer.mask_token_id) == 1, prompt
    found = [tokenizer(choice, add_special_tokens=False).input_ids for choice in choices]
    assert all(len(one) == 1 for one in found), found
    logits = logits[ids.index(tokenizer.mask_token_id)].log_softmax(-1)
    return [logits[one[0]].item() for one in found]


def limn(program, folder, prompts, choices, names):
    data, out = folder / "data.jsonl", folder / "out.jsonl"
    data.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    command = [program, "predict", str(folder), str(data), "--prompt-field", "prompt", "-o", str(out)]
    done = subprocess.run(command + [word for choice in choices or [] for word in ("--choices", choice)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"limn ended with {done.returncode}: {done.stderr}\n{done.stdout[-600:]}")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    return [[line["log_probabilities"][name] for name in names] for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limn")
    options = parser.parse_args()
    make_bert(OUT / "bert")
    make_roberta(OUT / "roberta")
    golden, worst = [], 0
    for name, words, prompts, choices in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            for file in [*(GOLDEN / name).glob("*"), *(OUT / words).glob("*")]:
                shutil.copy(file, folder)
            kind = (transformers.AutoModelForMaskedLM if choices
                    else transformers.AutoModelForSequenceClassification)
            model = kind.from_pretrained(folder, dtype=torch.float32).eval()
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            with torch.inference_mode():
                theirs = [score(model, tokenizer, prompt, choices) for prompt in prompts]
            names = [c.strip() for c in choices] if choices else list(model.config.id2label.values())
            if options.limn:
                ours = limn(options.limn, folder, prompts, choices, names)
                gap = max(abs(a - b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True))
                print(f"{name}: {len(prompts)} prompts, largest difference of a log-probability {gap:.1e}")
                worst = max(worst, gap)
        golden.append({"model": name, "words": words, "prompts": prompts, "choices": choices, "names": names,
                       "log_probabilities": [[round(x, 7) for x in row] for row in theirs]})
    (OUT / "encoders.json").write_text("[\n" + ",\n".join(map(json.dumps, golden)) + "\n]\n")
    sys.exit(1 if worst > TOLERANCE else 0)


if __name__ == "__main__":
    main()
