#!/usr/bin/env python3
"""A GPT-2 whose two working heads are built by hand: tests/golden/attention/induction/ (config.json, weights in bf16).

    python3 make_induction.py

Head 0.1 looks back one position and writes which token stands there; head 1.2 looks for rows that follow a token like the
current one and copies what stands there: [A B ... A] goes on with B. All other heads and both MLPs are small noise. The
script checks that the model says B for random prompts, and that it does not without either head.
"""
import json

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

import models

VOCABULARY, POSITIONS, WIDTH, HEADS = 12, 16, 64, 4
TOKEN, POSITION, BEFORE, OUT = 0, 16, 32, 48  # where each part of the stream begins
SHARP, NOISE = 1.5, 0.01


def build():
    torch.manual_seed(5)
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=POSITIONS, n_embd=WIDTH, n_layer=2, n_head=HEADS, n_inner=8,
                        tie_word_embeddings=False, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    for name, tensor in model.named_parameters():
        norm = ".ln_" in name
        tensor.data = torch.ones_like(tensor) if norm and name.endswith("weight") else (
            torch.zeros_like(tensor) if tensor.dim() == 1 else NOISE * torch.randn_like(tensor))
    transformer = model.transformer
    eye = torch.eye(WIDTH)
    transformer.wte.weight.data = eye[TOKEN:TOKEN + VOCABULARY].clone()
    transformer.wpe.weight.data = eye[POSITION:POSITION + POSITIONS].clone()
    model.lm_head.weight.data = 3 * eye[OUT:OUT + VOCABULARY].clone()
    head(transformer.h[0].attn, 1, query=[(POSITION + p, p - 1) for p in range(1, POSITIONS)],
         key=[(POSITION + p, p) for p in range(POSITIONS)], value=TOKEN, out=BEFORE, gain=1.0)
    head(transformer.h[1].attn, 2, query=[(TOKEN + t, t) for t in range(VOCABULARY)],
         key=[(BEFORE + t, t) for t in range(VOCABULARY)], value=TOKEN, out=OUT, gain=2.0)
    return model


def head(attention, number, query, key, value, out, gain):
    """query and key: (place in the stream, place in the head)."""
    k = WIDTH // HEADS
    weight = attention.c_attn.weight.data  # [D, 3 D]
    begin = number * k
    for part in range(3):
        weight[:, part * WIDTH + begin:part * WIDTH + begin + k] = 0
    for place, inner in query:
        weight[place, begin + inner] = SHARP
    for place, inner in key:
        weight[place, WIDTH + begin + inner] = SHARP
    for t in range(VOCABULARY):
        weight[value + t, 2 * WIDTH + begin + t] = 1.0
    attention.c_proj.weight.data[begin:begin + k] = 0
    for t in range(VOCABULARY):
        attention.c_proj.weight.data[begin + t, out + t] = gain


def answer(model, ids, without=None):
    handle = None
    if without is not None:
        layer, number = without
        k = WIDTH // HEADS

        def hook(module, inputs):
            z = inputs[0].clone()
            z[..., number * k:(number + 1) * k] = 0
            return (z,)
        handle = model.transformer.h[layer].attn.c_proj.register_forward_pre_hook(hook)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, -1]
    if handle is not None:
        handle.remove()
    return int(logits.argmax()), logits.softmax(-1)


def main():
    model = build().to(torch.bfloat16).float().eval()
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        ids = torch.randperm(VOCABULARY, generator=generator)[:9].tolist()
        at = int(torch.randint(1, 8, (1,), generator=generator))  # the first row looks at itself
        prompt, expected = ids + [ids[at]], ids[at + 1]
        said, p = answer(model, prompt)
        assert said == expected and p[expected] > 0.9, (prompt, expected, p)
        for lost in ((0, 1), (1, 2)):
            assert answer(model, prompt, lost)[1][expected] < 0.5
    folder = models.GOLDEN / "attention" / "induction"
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": VOCABULARY, "n_embd": WIDTH,
              "n_layer": 2, "n_head": HEADS, "n_positions": POSITIONS, "n_inner": 8, "tie_word_embeddings": False,
              "bos_token_id": 0, "eos_token_id": 0}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


if __name__ == "__main__":
    main()
