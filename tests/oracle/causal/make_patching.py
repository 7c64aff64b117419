#!/usr/bin/env python3
"""TransformerLens' own patching helpers on the golden GPT-2, as goldens for `limn patch`.

    python3 tests/oracle/causal/make_patching.py [--out tests/golden/causal]

Writes patching.json: for each site the matrix [layers, positions] or [layers, heads] of the patched run's difference of
logits, as transformer_lens.patching gives it, the clean run patched into the corrupt one, and back (corrupt into clean).
The weights are those of tests/golden/gpt2, unprocessed (no folding, no centring). Wants torch, transformers and
transformer-lens.
"""
import argparse
import json
import pathlib

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig, patching
from transformer_lens.pretrained.weight_conversions.gpt2 import convert_gpt2_weights
from transformers import GPT2LMHeadModel

ROOT = pathlib.Path(__file__).resolve().parents[3]
CLEAN = [7, 12, 17, 22, 8, 13, 18, 23, 9]
CORRUPT = [7, 12, 17, 22, 30, 13, 18, 31, 9]
TARGET = 11
HELPERS = {
    "resid_pre": patching.get_act_patch_resid_pre,
    "resid_mid": patching.get_act_patch_resid_mid,
    "attn_out": patching.get_act_patch_attn_out,
    "mlp_out": patching.get_act_patch_mlp_out,
    "q": patching.get_act_patch_attn_head_q_all_pos,
    "k": patching.get_act_patch_attn_head_k_all_pos,
    "v": patching.get_act_patch_attn_head_v_all_pos,
    "z": patching.get_act_patch_attn_head_out_all_pos,
}


def hooked(folder):
    source = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    c = source.config
    config = HookedTransformerConfig(
        n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, d_head=c.n_embd // c.n_head, n_heads=c.n_head,
        d_mlp=4 * c.n_embd, d_vocab=c.vocab_size, act_fn="gelu_new", eps=c.layer_norm_epsilon, normalization_type="LN")
    model = HookedTransformer(config)
    model.load_state_dict(convert_gpt2_weights(source, config), strict=False)
    ids = torch.tensor([CLEAN])
    with torch.no_grad():
        error = (model(ids) - source(ids).logits).abs().max().item()
    assert error < 1e-4, f"the two models differ by {error}"
    return model.eval()


def difference_from(contrast):
    return lambda logits: logits[0, -1, TARGET] - logits[0, -1, contrast]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden/causal")
    out = parser.parse_args().out
    model = hooked(ROOT / "tests/golden/gpt2")
    clean, corrupt = torch.tensor([CLEAN]), torch.tensor([CORRUPT])
    made = {"model": "gpt2", "clean": CLEAN, "corrupt": CORRUPT, "target": TARGET, "sites": {}}
    with torch.no_grad():
        clean_logits, clean_cache = model.run_with_cache(clean)
        corrupt_logits, corrupt_cache = model.run_with_cache(corrupt)
        order = corrupt_logits[0, -1].argsort(descending=True).tolist()
        made["contrast"] = next(token for token in order if token != TARGET)
        difference = difference_from(made["contrast"])
        made["clean_value"] = difference(clean_logits).item()
        made["corrupt_value"] = difference(corrupt_logits).item()
        for site, helper in HELPERS.items():
            made["sites"][site] = {
                "denoising": helper(model, corrupt, clean_cache, difference).tolist(),
                "noising": helper(model, clean, corrupt_cache, difference).tolist(),
            }
    out.mkdir(parents=True, exist_ok=True)
    (out / "patching.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
