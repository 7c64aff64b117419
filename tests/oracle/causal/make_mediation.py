#!/usr/bin/env python3
"""Causal mediation by hooks on Hugging Face's modules, as goldens for `limn mediate`.

    python3 tests/oracle/causal/make_mediation.py [--out tests/golden/causal]

For each model of tests/golden below: P0, P1 of each draw of noise on two tokens' embeddings, and P2 with one layer's MLP,
attention (all positions) or output (the last noised position) restored to its value in the run without noise; windows and
"every MLP from one layer on" for the first model. Noise is drawn here and written beside (mediation-MODEL.safetensors), so
that both sides add the same numbers. Wants torch, transformers and safetensors.
"""
import argparse
import contextlib
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

ROOT = pathlib.Path(__file__).resolve().parents[3]
IDS = [7, 12, 17, 22, 8, 13, 18, 23, 9]
KEYS = [3, 4]
TARGET, SAMPLES, AT = 11, 3, 6  # AT: where a masked model is read
# what writes to the stream: the MLP, attention, and the whole layer
CASES = {
    "gpt2": lambda m: [(b.mlp, b.attn, b) for b in m.transformer.h],
    "llama-old": lambda m: [(b.mlp, b.self_attn, b) for b in m.model.layers],
    "neox": lambda m: [(b.mlp, b.attention, b) for b in m.gpt_neox.layers],
    "gemma2": lambda m: [(b.post_feedforward_layernorm, b.post_attention_layernorm, b) for b in m.model.layers],
    "mixtral": lambda m: [(b.mlp if hasattr(b, "mlp") else b.block_sparse_moe, b.self_attn, b) for b in m.model.layers],
    "bert-mlm": lambda m: [(b.output.dense, b.attention.output.dense, b) for b in m.bert.encoder.layer],
}


def first(output):
    return output[0] if isinstance(output, tuple) else output


def with_first(output, value):
    return (value, *output[1:]) if isinstance(output, tuple) else value


@contextlib.contextmanager
def hooks(pairs):
    handles = [module.register_forward_hook(function) for module, function in pairs]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def keep(store, key):
    def hook(module, inputs, output):
        store[key] = first(output).clone()
    return hook


def restore(value, rows):
    def hook(module, inputs, output):
        changed = first(output).clone()
        changed[:, rows] = value[:, rows]
        return with_first(output, changed)
    return hook


class Oracle:
    def __init__(self, folder, name):
        masked = name.startswith("bert")
        kind = AutoModelForMaskedLM if masked else AutoModelForCausalLM
        self.model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        self.layers = CASES[name](self.model)
        self.row = AT if masked else len(IDS) - 1
        # Gemma scales what the table gives, in its embedding module or (older versions) behind it; limn's hook_embed is
        # the scaled value
        self.embedding = self.model.get_input_embeddings()
        self.scale = self.model.config.hidden_size ** 0.5 if name.startswith("gemma") else 1.0
        self.behind = 1.0 if hasattr(self.embedding, "embed_scale") else self.scale
        self.store = {}
        with hooks([(part, keep(self.store, (site, layer)))
                    for layer, parts in enumerate(self.layers) for site, part in enumerate(parts)]):
            self.p0 = self.probability([])

    def probability(self, pairs):
        with torch.no_grad(), hooks(pairs):
            logits = self.model(torch.tensor([IDS]), use_cache=False).logits
        return torch.softmax(logits[0, self.row].double(), -1)[TARGET].item()

    def noised(self, noise):
        def hook(module, inputs, output):
            changed = output.clone()
            changed[0, KEYS] += noise / self.behind
            return changed
        return (self.embedding, hook)

    def restored(self, noise, site, layers, rows):
        return self.probability([self.noised(noise)] +
                                [(self.layers[l][site], restore(self.store[(site, l)], rows)) for l in layers])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden/causal")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    made = {"ids": IDS, "keys": KEYS, "target": TARGET, "at": AT, "models": {}}
    every = slice(0, len(IDS))
    last = slice(KEYS[-1], KEYS[-1] + 1)
    for name in CASES:
        torch.manual_seed(len(name))
        oracle = Oracle(ROOT / "tests/golden" / name, name)
        width = oracle.embedding.weight.shape[1]
        size = 3 * oracle.embedding.weight.std(unbiased=False).item() * oracle.scale
        noise = size * torch.randn(SAMPLES, len(KEYS), width)
        save_file({"noise": noise}, out / f"mediation-{name}.safetensors")
        n = len(oracle.layers)
        one = {"deviation": size / 3, "p0": oracle.p0, "p1": [oracle.probability([oracle.noised(x)]) for x in noise]}
        one["p2"] = [[[oracle.restored(x, site, [layer], last if site == 2 else every) for layer in range(n)]
                      for site in range(3)] for x in noise]
        one["onward"] = [[oracle.restored(x, 0, range(layer, n), every) for layer in range(n)] for x in noise]
        one["window"] = [[oracle.restored(x, 0, range(max(0, layer - 1), layer + 1), every) for layer in range(n)]
                         for x in noise]
        made["models"][name] = one
    (out / "mediation.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
