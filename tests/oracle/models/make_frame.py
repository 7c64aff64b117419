#!/usr/bin/env python3
"""What TransformerLens says about the cases of make_random.py: a check of the site values, and its processed frame.

    python3 make_frame.py [--golden tests/golden] [CASE ...]

First every site that TransformerLens gives without processing is compared with golden.safetensors. Then its
compatibility mode folds norms and value biases and centres what writes to the residual stream; the site values and
logits of that frame are written to frame.safetensors beside it, in the layout of golden.safetensors. A frame may
only move all logits of a row alike; where TransformerLens's does more (GPT-NeoX) nothing is written.
"""
import argparse
import os
import tempfile

import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformer_lens.model_bridge import TransformerBridge

torch.set_num_threads(1)


def stand_in_tokenizer(folder):
    """The bridge wants a tokenizer; nothing here is ever tokenised."""
    vocabulary = {f"t{i}": i for i in range(61)}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="t0"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=model, unk_token="t0", bos_token="t1", eos_token="t2",
                                         pad_token="t2").save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


def is_pattern(name, value):
    """The bridge of OPT gives patterns by the name of the scores."""
    return name.endswith("attn_scores") and torch.allclose(value.sum(-1), torch.ones(()))


def sites_of(bridge, golden):
    """Values of all rows by site name, scores and patterns [T, H, columns]."""
    values, begin, width = {}, 0, int(golden["lengths"].max())
    for length in golden["lengths"].tolist():
        with torch.no_grad():
            logits, cache = bridge.run_with_cache(golden["ids"][begin:begin + length].long()[None])
        found = {name: cache[name][0] if cache[name].dim() > 2 else cache[name] for name in golden if name in cache}
        found = {name: value for name, value in found.items() if not is_pattern(name, value)}
        found["logits"] = logits[0]
        for name, value in found.items():
            if "_norm." in name or name.endswith("_normed"):  # norms on heads: given as [H, T, K]
                value = value.transpose(0, 1)
            if name.endswith(("attn_scores", "pattern")):
                filler = float("-inf") if name.endswith("attn_scores") else 0.0
                padded = torch.full((length, value.shape[0], width), filler)
                padded[..., :length] = value.transpose(0, 1)
                if name.endswith("attn_scores"):
                    padded[padded < -1e30] = float("-inf")
                value = padded
            values.setdefault(name, []).append(value.float())
        begin += length
    return {name: torch.cat(parts).contiguous() for name, parts in values.items()}


def distance(found, expected):
    finite = torch.isfinite(expected)
    assert torch.equal(finite, torch.isfinite(found))
    return float((found[finite] - expected[finite]).abs().max() / expected[finite].abs().max())


def check(folder, name, tokenizer):
    golden = load_file(folder + "/golden.safetensors")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                              attn_implementation="eager")
    bridge = TransformerBridge.boot_transformers(folder, hf_model=model, tokenizer=tokenizer,
                                                 dtype=torch.float32)
    raw = sites_of(bridge, golden)
    worst = max((distance(raw[site], golden[site]), site) for site in raw if raw[site].shape == golden[site].shape)
    print(f"{name}: {len(raw)} sites without processing, worst {worst}; not given: "
          f"{[s for s in golden if 'hook' in s and not s.endswith('.grad') and s not in raw]}; other shapes: "
          f"{[s for s in raw if raw[s].shape != golden[s].shape]}")
    assert worst[0] < 1e-4, worst
    bridge.enable_compatibility_mode(disable_warnings=True)
    frame = sites_of(bridge, golden)
    moved = [s for s in frame if frame[s].shape == golden[s].shape and distance(frame[s], golden[s]) > 1e-3]
    print(f"{name}: processing moves {len(moved)}: {moved}")
    own, kept = (v["logits"].log_softmax(-1) for v in (golden, frame))
    if (own - kept).abs().max() > 1e-3:
        print(f"{name}: processing changes what the model says by {(own - kept).abs().max():.2g}: not written")
        return
    save_file(frame, folder + "/frame.safetensors")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--golden", default=os.path.join(here, "..", "..", "golden"))
    parser.add_argument("cases", nargs="*", default=["gpt2", "llama3", "llama-bias", "opt", "falcon-7b", "mistral",
                                                     "qwen2-window", "gemma2", "qwen3", "gemma3"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        tokenizer = stand_in_tokenizer(place)
        for name in options.cases:
            check(os.path.join(options.golden, name), name, tokenizer)


if __name__ == "__main__":
    main()
