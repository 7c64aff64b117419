#!/usr/bin/env python3
"""Relevance of tokens as goldens for `limn lrp`: tests/golden/lrp/relevance.json.

For models of tests/golden and one prompt each: embedding times gradient of the target's logit under AttnLRP and RelP, by
plain PyTorch in float64 (the rules of oracle/rules laid over the walk of oracle/models), and where the lxt package knows
the family also by lxt, the authors' own implementation of AttnLRP, on Hugging Face's model as it is. Needs torch,
transformers, safetensors; lxt for the column of its name:

    python3 make_lrp.py            lxt 2.1 was asked; without it the column is kept from the file that is there
"""
import json
import pathlib
import sys

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "oracle" / "rules"))
import make_rules  # noqa: E402
from make_rules import CASES, FORWARD, Rules, Sites, load, wrap_activations  # noqa: E402

PROMPTS = {"llama3": ([5, 7, 11, 3, 9, 24], 5, 30), "gpt2": ([5, 7, 11, 3, 9, 24], 5, 12),
           "bert-mlm": ([2, 7, 4, 13, 9, 3], 2, 21), "gemma2": ([5, 7, 11, 3, 9, 24], 5, 17),
           "gemma3": ([5, 7, 11, 3, 9, 24], 5, 17), "qwen3": ([5, 7, 11, 3, 9, 24], 5, 8),
           "mixtral": ([5, 7, 11, 3, 9, 24], 5, 33), "qwen2-moe": ([5, 7, 11, 3, 9, 24], 5, 14)}


def walk(model, spec, ids, row, target, rules):
    """Relevance of each token's embedding."""
    kept = {}

    def leaf(value):
        kept["x"] = value.detach().requires_grad_()
        return kept["x"]
    Sites.edits = {"hook_embed": leaf}
    tokens = torch.tensor(ids)
    ones = torch.ones(len(ids), dtype=torch.bool)
    make_rules.laid_over[0] = True
    with Rules(rules):
        _, _, logits = FORWARD[spec["config"]["model_type"]](model, tokens, ones, torch.zeros_like(tokens))
    make_rules.laid_over[0] = False
    Sites.edits = {}
    logits[row, target].backward()
    return (kept["x"] * kept["x"].grad).sum(-1).tolist()


class Interface(dict):
    def get_interface(self, name, default):
        return self.get(name, default)


def by_lxt(name, folder, spec, ids, row, target):
    """None where lxt is not there or does not know the family."""
    import importlib
    import types
    # lxt 2.1 has a BERT of its own that later transformers do not load: it is left out
    for part in ("bert", "vit_torch"):
        without = types.ModuleType(f"lxt.efficient.models.{part}")
        without.modeling_bert = without.vision_transformer = without
        without.attnLRP = without.cp_LRP = {}
        sys.modules.setdefault(without.__name__, without)
    from lxt.efficient import monkey_patch
    kind = spec["config"]["model_type"].replace("_text", "")
    module = importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
    monkey_patch(module)
    if isinstance(getattr(module, "ALL_ATTENTION_FUNCTIONS", None), dict):  # later transformers ask by a method
        module.ALL_ATTENTION_FUNCTIONS = Interface(module.ALL_ATTENTION_FUNCTIONS)
    model = load(folder, spec).double().requires_grad_(False)
    if hasattr(model, "set_attn_implementation"):
        model.set_attn_implementation("eager")
    x = model.get_input_embeddings()(torch.tensor([ids])).detach().requires_grad_()
    out = model(inputs_embeds=x, **({} if kind == "bert" else {"use_cache": False})).logits
    out[0, row, target].backward()
    return (x * x.grad).sum(-1)[0].tolist()


def main():
    target = ROOT / "golden" / "lrp" / "relevance.json"
    before = json.loads(target.read_text())["cases"] if target.exists() else []
    kept = {c["model"]: c["lxt"] for c in before if "lxt" in c}
    cases = []
    for name, (ids, row, token) in PROMPTS.items():
        spec, folder = CASES[name], str(ROOT / "golden" / name)
        model = load(folder, spec).double().requires_grad_(False)
        wrap_activations(model)
        case = {"model": name, "ids": ids, "row": row, "target": token,
                "lrp": walk(model, spec, ids, row, token, "lrp"), "relp": walk(model, spec, ids, row, token, "relp")}
        cases.append(case)
    for case in cases:  # last: it patches transformers itself
        spec, folder = CASES[case["model"]], str(ROOT / "golden" / case["model"])
        try:
            case["lxt"] = by_lxt(case["model"], folder, spec, case["ids"], case["row"], case["target"])
        except Exception as reason:
            print(case["model"], "not by lxt:", reason)
            if case["model"] in kept:
                case["lxt"] = kept[case["model"]]
        if "lxt" in case:
            gap = max(abs(a - b) for a, b in zip(case["lrp"], case["lxt"])) / max(map(abs, case["lrp"]))
            print(case["model"], f"lxt is {gap:.1e} from the walk")
    target.write_text(json.dumps({"cases": cases}) + "\n")


if __name__ == "__main__":
    main()
