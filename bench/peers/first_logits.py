#!/usr/bin/env python3
"""From process start to the first logits: open a Hugging Face folder, one forward, the last row's arg-max.

    python3 bench/peers/first_logits.py FOLDER DTYPE ID,ID,...
"""
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", os.environ.get("LIMN_BENCH_THREADS", "2"))

import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
folder, dtype, ids = sys.argv[1:4]
model = AutoModelForCausalLM.from_pretrained(folder, dtype={"f32": torch.float32, "bf16": torch.bfloat16}[dtype])
with torch.inference_mode():
    logits = model(input_ids=torch.tensor([[int(i) for i in ids.split(",")]]), use_cache=False,
                   logits_to_keep=1).logits[0, -1].float()
print(int(logits.argmax()), float(logits.max()))
