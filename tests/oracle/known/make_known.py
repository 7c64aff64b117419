#!/usr/bin/env python3
"""Small models that were trained to do one known thing, and what PyTorch says does it: tests/golden/known.

    induction   GPT-2, two layers: three to five random letters over and over, "a b c d a b" -> c
    copy        GPT-2, one layer: the answer is the second letter, whatever else there is (half of the input is ignored)
    spurious    BERT, one layer: class 1 where token 7 stands anywhere, class 0 elsewhere

truth.json has for each one prompt, the token that the answer is due to, and the head and the neuron whose removal (zero at
all positions, by hooks) moves the answer's logit most. Needs torch, transformers.
"""
import json
import pathlib

import torch
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

ROOT = pathlib.Path(__file__).resolve().parents[2]
LETTERS, LENGTH = 27, 10
torch.set_num_threads(1)


def induction_batch(rng, n):
    """Letters that begin anew after three to five of them: the next one is what followed the last one before."""
    rows = torch.stack([torch.randperm(LETTERS - 1, generator=rng)[:LENGTH] + 1 for _ in range(n)])
    period = torch.randint(3, 6, (n, 1), generator=rng)
    where = torch.arange(LENGTH + 1).expand(n, -1) % period
    long = rows.gather(1, where)
    return long[:, :-1], long[:, -1], (LENGTH - period[:, 0])


def copy_batch(rng, n):
    rows = torch.randint(1, LETTERS, (n, LENGTH), generator=rng)
    return rows, rows[:, 1], torch.ones(n, dtype=torch.long)


def spurious_batch(rng, n):
    rows = torch.randint(8, LETTERS, (n, LENGTH), generator=rng)
    label = torch.randint(0, 2, (n,), generator=rng)
    at = torch.randint(1, LENGTH, (n,), generator=rng)
    rows[torch.arange(n), at] = torch.where(label == 1, 7, rows[torch.arange(n), at])
    return rows, label, at


def gpt2(layers):
    return GPT2LMHeadModel(GPT2Config(vocab_size=LETTERS, n_embd=32, n_layer=layers, n_head=4, n_positions=16, n_inner=16,
                                      resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=0, eos_token_id=0))


def bert():
    return BertForSequenceClassification(BertConfig(
        vocab_size=LETTERS, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=16,
        max_position_embeddings=16, type_vocab_size=1, hidden_dropout_prob=0, attention_probs_dropout_prob=0,
        num_labels=2, pad_token_id=0))


MODELS = {"induction": (lambda: gpt2(2), induction_batch, 3000), "copy": (lambda: gpt2(1), copy_batch, 300),
          "spurious": (bert, spurious_batch, 300)}


def logits_of(model, rows):
    out = model(rows).logits
    return out if out.dim() == 2 else out[:, -1]


def train(model, batch, steps, rng):
    layers = getattr(model.config, "n_layer", 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    for step in range(steps):
        rows, answer, _ = batch(rng, 128)
        loss = torch.nn.functional.cross_entropy(logits_of(model, rows), answer)
        if layers > 1:  # every letter that was there before, not the last alone
            out = model(rows).logits[:, 5:-1]
            loss = loss + torch.nn.functional.cross_entropy(out.reshape(-1, LETTERS), rows[:, 6:].reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            print(step, float(loss.detach()), flush=True)
        if float(loss.detach()) < 0.02:
            break
    rows, answer, _ = batch(rng, 500)
    return float((logits_of(model, rows).argmax(-1) == answer).float().mean())


def parts(model):
    """The modules whose inputs are the heads' results and the neurons' values, by layer."""
    if hasattr(model, "transformer"):
        return [(b.attn.c_proj, b.mlp.c_proj) for b in model.transformer.h], 8
    return [(b.attention.output.dense, b.output.dense) for b in model.bert.encoder.layer], 8


def without(module, begin, end, model, rows, answer):
    def hook(_module, inputs):
        x = inputs[0].clone()
        x[..., begin:end] = 0
        return (x,)
    handle = module.register_forward_pre_hook(hook)
    value = float(logits_of(model, rows)[0, answer].detach())
    handle.remove()
    return value


def truth(model, rows, answer, at):
    modules, width = parts(model)
    clean = float(logits_of(model, rows)[0, answer].detach())
    heads = {(layer, h): without(m[0], h * width, (h + 1) * width, model, rows, answer) - clean
             for layer, m in enumerate(modules) for h in range(4)}
    neurons = {(layer, k): without(m[1], k, k + 1, model, rows, answer) - clean
               for layer, m in enumerate(modules) for k in range(16)}
    head, neuron = (max(d, key=lambda key: abs(d[key])) for d in (heads, neurons))
    return {"ids": rows[0].tolist(), "answer": int(answer), "token": int(at), "logit": clean, "head": list(head),
            "head_effect": heads[head], "neuron": list(neuron), "neuron_effect": neurons[neuron]}


def main():
    document = {}
    for name, (make, batch, steps) in MODELS.items():
        rng = torch.Generator().manual_seed(5)
        torch.manual_seed(5)
        model = make().train()
        right = train(model, batch, steps, rng)
        model.eval()
        cases = []
        while len(cases) < 5:
            rows, answer, at = batch(rng, 1)
            if int(logits_of(model, rows)[0].argmax()) == int(answer) and (name != "spurious" or int(answer) == 1):
                cases.append(truth(model, rows, int(answer), int(at)))
        folder = ROOT / "golden" / "known" / name
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        document[name] = {"right": right, "cases": cases}
        print(name, right, cases[0])
    (ROOT / "golden" / "known" / "truth.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
