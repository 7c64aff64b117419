#!/usr/bin/env python3
"""Captum's integrated gradients with each of its fixed rules, as goldens for `limn ig --rule ... --steps N`.

    python3 tests/oracle/ig/captum_fixed.py [--smollm2 HF_FOLDER] [--out tests/golden/ig]

Writes tiny_llama/ (a small random Llama as a Hugging Face folder), captum_tiny.json and, with --smollm2,
captum_smollm2.json. Attributions are sums over the embedding width of Captum's own result, F = log p(target) at
the last position, baseline = one token's embedding at every position. Each case holds Captum on Hugging Face in
float32 and on the float64 forward of llama64.py, so that a reader sees how much of a difference is rounding.
The rules' nodes and weights are written out in README.md beside this file.
"""
import argparse
import json
import pathlib

import torch
from captum.attr import IntegratedGradients
from llama64 import Llama64
from transformers import LlamaConfig, LlamaForCausalLM

RULES = ["gausslegendre", "riemann_trapezoid", "riemann_left", "riemann_middle", "riemann_right"]
SMOLLM2_CASES = [  # ids of: capital of France, Mary and John, 1969
    [504, 3575, 282, 4649, 314],
    [2427, 5099, 284, 2322, 3514, 288, 260, 4249, 28, 2322, 4502, 253, 5968, 288],
    [788, 216, 33, 41, 38, 41, 28, 216, 33, 34, 1800],
]


def tiny_model(folder):
    """Weights large enough that attention is far from uniform, gains away from one."""
    torch.manual_seed(20)
    config = LlamaConfig(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
                         num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=64,
                         rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False, bos_token_id=1,
                         eos_token_id=2, pad_token_id=0)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1:
                value.uniform_(0.5, 1.5)
            elif "embed_tokens" in name:
                value.normal_(0, 1)
            else:
                value.normal_(0, 1.3 / value.shape[1] ** 0.5)
    model.save_pretrained(folder)
    return model


def hf_forward(model, target):
    def forward(embedded):
        logits = model(inputs_embeds=embedded, use_cache=False, logits_to_keep=1).logits[:, -1]
        return logits.log_softmax(-1)[:, target]
    return forward


def captum(forward, x, baseline, rule, steps):
    explainer = IntegratedGradients(forward)
    result = explainer.attribute(x[None], baselines=baseline[None], n_steps=steps, method=rule,
                                 internal_batch_size=max(2, 256 // x.shape[0]))
    return result.sum(-1)[0].tolist()


def cases(model, exact, prompts, baseline_id, steps_list):
    embedding = model.get_input_embeddings().weight.detach()
    for ids in prompts:
        index = torch.tensor(ids)
        x, x64 = embedding[index], exact.embedding[index]
        base, base64 = embedding[baseline_id].expand_as(x), exact.embedding[baseline_id].expand_as(x64)
        with torch.no_grad():
            target = int(exact.last_log_probs(x64[None])[0].argmax())
        for rule in RULES:
            for steps in steps_list:
                f32 = captum(hf_forward(model, target), x, base, rule, steps)
                f64 = captum(lambda e: exact.last_log_probs(e)[:, target], x64, base64, rule, steps)
                error = max(abs(a - b) for a, b in zip(f32, f64)) / max(abs(b) for b in f64)
                print(f"T={len(ids)} {rule} {steps}: float32 against float64 {error:.1e}", flush=True)
                yield {"ids": ids, "target": target, "rule": rule, "steps": steps, "float32": f32, "float64": f64}


def write(path, document):
    path.write_text(json.dumps(document, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smollm2", help="Hugging Face folder of SmolLM2 in float32")
    parser.add_argument("--out", default="tests/golden/ig")
    options = parser.parse_args()
    torch.set_num_threads(1)
    out = pathlib.Path(options.out)

    model = tiny_model(out / "tiny_llama")
    generator = torch.Generator().manual_seed(5)
    prompts = [torch.randint(3, 96, (length,), generator=generator).tolist() for length in (3, 7, 12)]
    write(out / "captum_tiny.json", {
        "model": "tiny_llama", "baseline_id": 0,
        "cases": list(cases(model, Llama64(out / "tiny_llama"), prompts, 0, (20, 50)))})

    if options.smollm2:
        model = LlamaForCausalLM.from_pretrained(options.smollm2, dtype=torch.float32).eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        write(out / "captum_smollm2.json", {
            "model": "SmolLM2-135M-Instruct (dequantised Q4_1)", "baseline_id": 2,
            "cases": list(cases(model, Llama64(options.smollm2), SMOLLM2_CASES, 2, (20, 50)))})


if __name__ == "__main__":
    main()
