"""What train.py and evaluate.py share: where the base model lies, prompts as tokens, decisions in batches."""
import json
import os
import pathlib
import subprocess
import sys

import torch

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ANSWERS = (" no", " yes")


def base_model(given):
    """The folder of SmolLM2-135M-Instruct: the one given, or made from what scripts/models fetches."""
    if given:
        return pathlib.Path(given)
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "limn" / "bench"
    if not (cache / "smollm2-f32" / "tokenizer.json").exists():
        file = subprocess.run([ROOT / "scripts" / "models", "smollm2"], check=True, text=True, stdout=subprocess.PIPE)
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, ROOT / "bench" / "peers" / "smollm2_folder.py", file.stdout.strip(), cache],
                       check=True)
    return cache / "smollm2-f32"


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def corpus(folder):
    """The folder of the corpus, written first where it is missing."""
    if not (folder / "pairs.jsonl").exists():
        subprocess.run([sys.executable, HERE / "make_corpus.py", folder], check=True)
    return folder


def answer_ids(tokenizer):
    ids = [tokenizer.encode(answer) for answer in ANSWERS]
    assert all(len(one) == 1 for one in ids), "the answers must be one token each"
    return torch.tensor([one[0] for one in ids])


def pad(rows):
    """[B, longest] token ids, padded at the right, where a causal model does not look from the left."""
    out = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for i, row in enumerate(rows):
        out[i, :len(row)] = torch.tensor(row)
    return out


def yes_logits(model, tokenizer, prompts, batch=32):
    """[n] log-probability of " yes" less that of " no" right after each prompt, in float32."""
    ids = [tokenizer.encode(prompt) for prompt in prompts]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    no, yes = answer_ids(tokenizer)
    out = torch.zeros(len(ids))
    with torch.no_grad():
        for start in range(0, len(order), batch):
            part = order[start:start + batch]
            hidden = model.get_decoder()(input_ids=pad([ids[i] for i in part]), use_cache=False).last_hidden_state
            last = hidden[torch.arange(len(part)), torch.tensor([len(ids[i]) - 1 for i in part])]
            weights = model.get_output_embeddings().weight
            out[part] = (last @ (weights[yes] - weights[no])).float()
    return out
