#!/usr/bin/env python3
"""Which modules PEFT chooses, with which rank and alpha: tests/golden/adapters/selection.json.

    python3 make_selection.py [--out FILE]
"""
import argparse
import json
import os

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = [f"model.layers.{i}.{m}" for i in (0, 1, 12) for m in (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")] + [
    "model.embed_tokens", "lm_head", "model.norm", "transformer.h.3.attn.c_attn", "h.3.attn.c_attn", "h.3.mlp.c_proj",
    "model.language_model.layers.2.mlp.experts.7.up_proj", "model.layers.2.mlp.experts.11.down_proj", "q_proj",
    "encoder.layer.1.attention.self.query", "bert.encoder.layer.11.output.dense", "classifier.dense", "score",
    "model.decoder.layers.4.fc1", "my_q_proj", "model.layers.0.self_attn.q_proj.inner", "model.layers.x.q_proj"]
CONFIGS = [
    {"target_modules": ["q_proj", "up_proj"]},
    {"target_modules": ["self_attn.q_proj", "lm_head", "model.norm"]},
    {"target_modules": ["model.layers.1.mlp.up_proj", "h.3.attn.c_attn"]},
    {"target_modules": r".*\.(q|k)_proj"},
    {"target_modules": r"q_proj|lm_head|score"},
    {"target_modules": r".*layers\.1\..*proj"},
    {"target_modules": r"(?!.*lm_head).*(?:_proj|head)"},
    {"target_modules": r"model\.layers\.\d+\.(?P<part>mlp|self_attn)\.[a-z]+_proj"},
    {"target_modules": r".*\.[^.]*dense"},
    {"target_modules": r".*\bq_proj\b"},
    {"target_modules": ["q_proj", "dense"], "exclude_modules": ["classifier.dense", "layers.1.self_attn.q_proj"]},
    {"target_modules": ["q_proj", "up_proj"], "exclude_modules": r".*\.(0|12)\..*"},
    {"target_modules": r".*proj", "exclude_modules": r".*mlp.*", "modules_to_save": ["o_proj"]},
    {"target_modules": ["dense", "score", "query"], "modules_to_save": ["classifier", "score"]},
    {"target_modules": ["q_proj", "down_proj", "c_attn", "fc1", "query"], "layers_to_transform": [1, 3, 4, 12]},
    {"target_modules": ["q_proj", "c_attn", "up_proj", "query"], "layers_to_transform": 0},
    {"target_modules": ["q_proj", "c_attn", "up_proj"], "layers_to_transform": [0, 3, 7, 2], "layers_pattern": "h"},
    {"target_modules": ["q_proj", "c_attn", "up_proj", "down_proj"], "layers_to_transform": [0, 2, 3],
     "layers_pattern": ["layers", "h"]},
    {"target_modules": ["up_proj", "down_proj"], "layers_to_transform": [7, 11], "layers_pattern": "experts"},
    {"target_modules": ["q_proj", "query"], "layers_to_transform": [1], "layers_pattern": "layers?"},
    {"target_modules": ["q_proj", "dense"], "layers_to_transform": [-1, 12]},
    {"target_modules": ["q_proj", "dense"], "layers_to_transform": -1},
    {"target_modules": ["q_proj", "dense"], "layers_to_transform": [0, -1, 11], "layers_pattern": "layers"},
    {"target_modules": ["q_proj", "o_proj", "up_proj", "c_attn"], "r": 8, "lora_alpha": 16,
     "rank_pattern": {"q_proj": 3, "layers.1.self_attn.o_proj": 5, r"h\.\d\.attn\.c_attn": 7, "^model.layers.12.*": 9},
     "alpha_pattern": {"_proj": 1, "up_proj": 2, r"model\.layers\.0\..*": 4}},
    {"target_modules": ["q_proj", "my_q_proj"], "rank_pattern": {"q_proj": 2, "my_q_proj": 6},
     "alpha_pattern": {".*": 11}},
]


def answer(settings):
    config = LoraConfig(**settings)
    rows = []
    for module in MODULES:
        chosen = bool(check_target_module_exists(config, module))
        rank = config.rank_pattern.get(get_pattern_key(config.rank_pattern.keys(), module), config.r)
        alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern.keys(), module), config.lora_alpha)
        rows.append([module, chosen, rank, alpha])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=os.path.join(HERE, "..", "..", "golden", "adapters", "selection.json"))
    arguments = parser.parse_args()
    cases = [{"config": {"r": 8, "lora_alpha": 8, **settings}, "modules": answer(settings)} for settings in CONFIGS]
    with open(arguments.out, "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    print(f"{len(cases)} configurations, {sum(sum(row[1] for row in case['modules']) for case in cases)} choices")


if __name__ == "__main__":
    main()
