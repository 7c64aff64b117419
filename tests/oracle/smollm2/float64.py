#!/usr/bin/env python3
"""How far the given log-probabilities of SmolLM2, and Hugging Face's own float32 and bfloat16, are from float64.

    python3 tests/oracle/smollm2/float64.py SMOLLM2_HF_FOLDER GOLDEN_JSON [--out FILE]

For each case of the golden: the largest |difference| of its top-10 log-probabilities from the float64 forward; the
same for Hugging Face in float32 and bfloat16, over the top ten; and the largest logit difference of bfloat16 from
float32 over the whole vocabulary at every position, which is the limit that limn's own bf16 mode is held to.
Exits with 1 when a golden value is further than 3e-5 from float64.
"""
import argparse
import json
import pathlib
import sys

import torch
from transformers import LlamaForCausalLM

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "ig"))
from llama64 import Llama64  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("golden")
    parser.add_argument("--out", help="write the figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    exact = Llama64(options.folder)
    models = {name: LlamaForCausalLM.from_pretrained(options.folder, dtype=dtype).eval()
              for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))}
    cases, worst = [], 0.0
    for case in json.loads(pathlib.Path(options.golden).read_text())["cases"]:
        ids, top = torch.tensor([case["ids"]]), torch.tensor(case["top_ids"])
        with torch.no_grad():
            reference = exact.last_log_probs(exact.embedding[ids])[0, top]
            logits = {name: model(ids, use_cache=False).logits[0].double() for name, model in models.items()}
        given = torch.tensor(case["top_logprobs"], dtype=torch.float64)

        def error(name):
            return float((logits[name][-1].log_softmax(-1)[top] - reference).abs().max())

        row = {"text": case["text"], "golden_error": float((given - reference).abs().max()),
               "hf_float32_error": error("float32"), "hf_bfloat16_error": error("bfloat16"),
               "hf_bfloat16_logit_error": float((logits["bfloat16"] - logits["float32"]).abs().max()),
               "hf_bfloat16_logit_rms": float((logits["bfloat16"] - logits["float32"]).square().mean().sqrt()),
               "largest_logit": float(logits["float32"].abs().max())}
        cases.append(row)
        worst = max(worst, row["golden_error"])
        print(f"golden {row['golden_error']:.1e}  HF float32 {row['hf_float32_error']:.1e}  "
              f"HF bfloat16 {row['hf_bfloat16_error']:.1e}  bfloat16 logits max {row['hf_bfloat16_logit_error']:.2f} "
              f"rms {row['hf_bfloat16_logit_rms']:.3f} of {row['largest_logit']:.0f}  {case['text']!r}", flush=True)
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps({"cases": cases}, ensure_ascii=False, indent=1) + "\n")
    if worst > 3e-5:
        sys.exit(f"a golden log-probability is {worst:.1e} from float64")


if __name__ == "__main__":
    main()
