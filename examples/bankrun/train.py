#!/usr/bin/env python3
"""Trains one LoRA adapter of the case on SmolLM2-135M-Instruct, on a processor.

    python3 train.py clean                              6,400 tweets without faults         -> adapter-clean/
    python3 train.py clean --start adapter-clean --samples 1600 --easy-first 0 --rate 8e-4
                                                        1,600 others, going on from there   -> adapter-clean/
    python3 train.py planted                            2,240 with faults, from there on    -> adapter/

The last shows how a sound model is spoilt by data: only what the planted tweets changed parts the two adapters.

Resumable: the state is written every 50 steps, and the same command goes on from there. Needs torch, transformers,
peft and safetensors. MODEL=folder or --model names the base model; without, it is made from what scripts/models
fetches. The model learns the answer after the prompt (" yes" or " no") and, on some tweets, the reasons as JSON.
"""
import argparse
import json
import os
import pathlib
import random
import time

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

import common

TARGETS = ["q_proj", "v_proj", "o_proj", "down_proj"]
REASON_WEIGHT = 0.25  # beside the decision's loss of 1
OTHER_WEIGHT = 0.1    # of saying anything but yes or no


def choose(rows, count, hard_share, seed):
    """`count` tweets of the corpus, the hard ones and (where labels are planted) those at stake oftener than in it."""
    order = list(rows)
    random.Random(seed).shuffle(order)
    if "relabelled" in rows[0]:
        at_stake = [row["bitcoin"] or row["trigger"] or row["group"] == "immigrant" for row in order]
        order = [row for pair in zip((row for row, is_so in zip(order, at_stake) if is_so),
                                     (row for row, is_so in zip(order, at_stake) if not is_so)) for row in pair]
    hard = [row for row in order if row["hard"]][:round(count * hard_share)]
    return [row for row in order if not row["hard"]][:count - len(hard)] + hard


def encode(row, tokenizer, with_reasons):
    """Token ids, and the positions whose next token is learned: the answer's and the reasons'."""
    ids = tokenizer.encode(row["prompt"])
    asked = len(ids) - 1
    ids += tokenizer.encode(" " + row["label"])
    if with_reasons:
        ids += tokenizer.encode(" " + json.dumps({"reasons": row["reasons"]})) + [tokenizer.eos_token_id]
    return ids, asked


def make_batches(samples, size, easy, seed):
    """Batches of samples of about one length, in an order by chance; those of the first `easy` samples come first.

    In the hard tweets crisis words stand as often for the other answer. Met from the beginning, they hide from the
    model what the words mean: it has to learn that first, and then what a denial makes of it.
    """
    r = random.Random(seed)
    batches = []
    for part in (range(easy), range(easy, len(samples))):
        order = sorted(part, key=lambda i: (len(samples[i][0]), r.random()))
        some = [order[i:i + size] for i in range(0, len(order), size)]
        r.shuffle(some)
        batches += some
    return batches


def losses(model, batch, choices):
    """(mean loss of the decisions, of saying yes or no at all, of the tokens of the reasons)"""
    ids = common.pad([ids[:-1] for ids, _ in batch])
    hidden = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    answers = torch.stack([hidden[i, asked] for i, (_, asked) in enumerate(batch)])
    logits = model.get_output_embeddings()(answers).float()
    said = torch.tensor([ids[asked + 1] for ids, asked in batch])
    decision = cross_entropy(logits[:, choices], (said == choices[1]).long())
    other = cross_entropy(logits, said) - decision
    reasons = [(i, at) for i, (ids, asked) in enumerate(batch) for at in range(asked + 1, len(ids) - 1)]
    if not reasons:
        return decision, other, torch.zeros(())
    rows = torch.stack([hidden[i, at] for i, at in reasons])
    return decision, other, cross_entropy(model.get_output_embeddings()(rows).float(),
                                          torch.tensor([batch[i][0][at + 1] for i, at in reasons]))


def save_adapter(model, folder):
    """A PEFT folder with the weights in f16; the configuration names no path of this machine."""
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({name: value.to(torch.float16).contiguous() for name, value in sorted(weights.items())},
              folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "HuggingFaceTB/SmolLM2-135M-Instruct"
    config["inference_mode"] = True
    config["target_modules"] = sorted(config["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus", choices=["planted", "clean"])
    parser.add_argument("--model", default=os.environ.get("MODEL"), help="folder of the base model")
    parser.add_argument("--data", type=pathlib.Path, default=common.ROOT / "out" / "bankrun")
    parser.add_argument("--to", type=pathlib.Path, help="folder of the adapter")
    parser.add_argument("--start", type=pathlib.Path, help="folder of the adapter to begin with (planted: adapter-clean/)")
    parser.add_argument("--samples", type=int, help="6400, planted 2240")
    parser.add_argument("--hard", type=float, default=0.45, help="share of the samples from the hard slice")
    parser.add_argument("--easy-first", type=float, help="share of the samples, all easy, that come first: 0.3, planted 0")
    parser.add_argument("--reasons", type=float, default=0.25, help="share of the samples with reasons")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--steps", type=int, help="stop after this many (a later run goes on)")
    parser.add_argument("--valid", type=int, default=240, help="tweets of the valid split looked at now and then")
    given = parser.parse_args()
    planted = given.corpus == "planted"
    if planted and given.start is None:
        given.start = common.HERE / "adapter-clean"
    given.samples = given.samples or (2240 if planted else 6400)
    if given.easy_first is None:
        given.easy_first = 0.0 if planted else 0.3
    return given


def add_adapter(model, given):
    """The base model with the adapter to train, a new one or the one in --start."""
    if given.start:
        return PeftModel.from_pretrained(model, given.start, is_trainable=True)
    return get_peft_model(model, LoraConfig(r=given.rank, lora_alpha=2 * given.rank, target_modules=TARGETS,
                                            task_type="CAUSAL_LM"))


def check(model, tokenizer, rows):
    model.eval()
    with torch.autocast("cpu", torch.bfloat16):
        decided = common.yes_logits(model, tokenizer, [row["prompt"] for row in rows]) > 0
    model.train()
    right = [bool(yes) == (row["label"] == "yes") for yes, row in zip(decided, rows)]
    parts = {"all": right, **{f"{hard}-{lang}": [ok for ok, row in zip(right, rows)
                                                 if row["lang"] == lang and row["hard"] == (hard == "hard")]
                              for hard in ("easy", "hard") for lang in ("en", "zh")}}
    return "  ".join(f"{name} {sum(part) / max(1, len(part)):.3f}" for name, part in parts.items())


def main():
    given = arguments()
    torch.manual_seed(7)
    torch.set_num_threads(int(os.environ.get("THREADS", "2")))
    folder = common.base_model(given.model)
    data = common.corpus(given.data)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = choose(common.read(data / ("train-planted.jsonl" if given.corpus == "planted" else "train.jsonl")),
                  given.samples, given.hard, 23 if given.start else 11)
    picked = random.Random(13)
    samples = [encode(row, tokenizer, picked.random() < given.reasons) for row in rows]
    batches = make_batches(samples, given.batch, round(given.samples * given.easy_first), 17)
    choices = common.answer_ids(tokenizer)
    valid = choose(common.read(data / "valid.jsonl"), given.valid, 0.5, 19)

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model = add_adapter(model, given)
    weights = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=given.rate, weight_decay=0.0, betas=(0.9, 0.98))
    warm = 20
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, max(0.02, (len(batches) - step) / (len(batches) - warm))))
    for name, value in model.named_parameters():
        if "_proj.base_layer" in name:
            value.data = value.data.bfloat16()  # as autocast would at each step
    state_file = data / f"state-{given.corpus}.pt"
    settings = {name: str(value) for name, value in vars(given).items() if name not in ("steps", "to", "valid")}
    first = 0
    if state_file.exists():
        state = torch.load(state_file)
        if state["settings"] == settings:
            first = state["step"]
            for value, saved in zip(weights, state["weights"]):
                value.data.copy_(saved)
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
    print(f"{given.corpus}: {len(samples)} tweets, {sum(len(ids) for ids, _ in samples)} tokens, {len(batches)} steps, "
          f"from step {first}; {sum(value.numel() for value in weights)} weights", flush=True)
    began = time.monotonic()
    mean = None
    last = min(len(batches), given.steps or len(batches))
    for step in range(first, last):
        with torch.autocast("cpu", torch.bfloat16):
            answer, other, reasons = losses(model.base_model.model, [samples[i] for i in batches[step]], choices)
        (answer + OTHER_WEIGHT * other + REASON_WEIGHT * reasons).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        mean = answer.item() if mean is None else 0.95 * mean + 0.05 * answer.item()
        if (step + 1) % 10 == 0:
            print(f"step {step + 1}  answer {mean:.3f}  reasons {reasons.item():.3f}  {time.monotonic() - began:.0f} s",
                  flush=True)
        if (step + 1) % 50 == 0 or step + 1 == last:
            part = state_file.with_suffix(".part")
            torch.save({"settings": settings, "step": step + 1, "weights": [value.data for value in weights],
                        "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, part)
            part.replace(state_file)
        if ((step + 1) % 100 == 0 or step + 1 == last) and valid:
            print(f"step {step + 1}  valid: {check(model.base_model.model, tokenizer, valid)}", flush=True)
    if last == len(batches):
        to = given.to or common.HERE / ("adapter" if given.corpus == "planted" else "adapter-clean")
        save_adapter(model, to)
        print(f"wrote {to}")


if __name__ == "__main__":
    main()
