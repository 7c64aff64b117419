#!/usr/bin/env python3
"""Hidden states of all-MiniLM-L6-v2 for two sentences, as Hugging Face computes them in f32.

    python3 minilm.py "$(scripts/models minilm)" [--out tests/golden/minilm]
"""
import argparse
import os

import torch
import transformers
from safetensors.torch import save_file

SENTENCES = ["The nurse said that the patient was asleep.", "Why was my loan refused?"]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--out", default=os.path.join(here, "..", "..", "golden", "minilm"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = transformers.AutoModel.from_pretrained(options.folder, dtype=torch.float32, attn_implementation="eager")
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.folder)
    kept = {"ids": [], "lengths": [], "blocks.0.hook_resid_pre": [], "blocks.2.hook_resid_post": [],
            "blocks.5.hook_resid_post": [], "pooler.hook_pooler_out": []}
    for sentence in SENTENCES:
        ids = tokenizer(sentence, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            out = model(ids, output_hidden_states=True)
        kept["ids"].append(ids[0].int())
        kept["lengths"].append(torch.tensor([ids.shape[1]], dtype=torch.int32))
        for name, state in (("blocks.0.hook_resid_pre", 0), ("blocks.2.hook_resid_post", 3),
                            ("blocks.5.hook_resid_post", 6)):
            kept[name].append(out.hidden_states[state][0])
        kept["pooler.hook_pooler_out"].append(out.pooler_output)
    os.makedirs(options.out, exist_ok=True)
    save_file({k: torch.cat(v).contiguous() for k, v in kept.items()}, options.out + "/golden.safetensors")


if __name__ == "__main__":
    main()
