#!/usr/bin/env python3
"""ALTI and ALTI-Logit by their authors' own code: tests/golden/attention/alti.json.

    git clone https://github.com/mt-upc/logit-explanations          # ALTI-Logit: Ferrando et al. 2305.12535
    git clone https://github.com/mt-upc/transformer-contributions   # ALTI: Ferrando et al. 2203.04212
    python3 make_alti.py logit-explanations transformer-contributions

`alti` is the rollout of all layers. `scores` are ALTI-Logit's, which leave out the embedding's own direct share of the
logit: that is `embedding`, and limn adds it to the answer's row. make_kinds.py has both from the papers' formulas, for
more families. Here only what joins their parts is ours. The encoder is one with an epsilon of 1e-12, which their norm
leaves out.
"""
import argparse
import importlib.util
import os
import pathlib
import sys
import types

import torch
import yaml

import models
from make_ablate import rounded

torch.set_default_dtype(torch.float64)  # their identity matrices have no dtype of their own


def theirs(folder):
    """src/contributions.py and the settings beside it; they read these from the working directory."""
    stub = types.ModuleType("pyaml_env")
    stub.parse_config = lambda path: yaml.safe_load(pathlib.Path(path).read_text())
    sys.modules["pyaml_env"] = stub
    before = os.getcwd()
    os.chdir(folder)
    spec = importlib.util.spec_from_file_location("contributions_" + folder.name.replace("-", "_"),
                                                  folder / "src" / "contributions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    os.chdir(before)
    return module


def rows_of_one(distances, sizes):
    """What their compute_alti does with minus the distances: the length of what comes out added, cut at 0, rows of sum 1."""
    rows = (distances + sizes[:, :, None]).clamp_min(0)
    return rows / rows.sum(-1, keepdim=True)


def rolled(layers):
    """Products of the layers up to each, the first layer first."""
    out = [layers[0]]
    for layer in layers[1:]:
        out.append(layer @ out[-1])
    return out


def logit_entry(module, case):
    model = models.load(case)
    wrapped = module.ModelWrapper(model)
    target = models.TARGET
    _, hidden, attentions = wrapped({"input_ids": torch.tensor([models.IDS])})
    shares, parts, layers = wrapped.get_logit_contributions(hidden, attentions, [target])
    outputs = layers["attn_res_outputs"]
    mixed = rolled(rows_of_one(layers["layerwise_contributions"], outputs.abs().sum(-1)))
    direct = shares["aff_x_j"][:, -1, 0]
    scores = direct[0] + sum(direct[layer] @ mixed[layer - 1] for layer in range(1, len(mixed)))
    unmixed = direct.sum(0)
    return rounded({"ids": models.IDS, "at": len(models.IDS) - 1, "target": target, "alti": mixed[-1].tolist(), "scores": scores.tolist(),
                    "embedding": parts["init_logit"][0].item(), "mutants": {"unmixed": unmixed.tolist()}})


def encoder_entry(module, case):
    model = models.load(case)
    wrapped = module.ModelWrapper(model)
    _, _, _, data = wrapped({"input_ids": torch.tensor([models.IDS])})
    mixed = rolled(rows_of_one(data["contributions"], data["resultants"].abs().sum(-1)))
    plain = rolled(rows_of_one(data["contributions_l2"], data["resultants"].norm(dim=-1)))
    return rounded({"ids": models.IDS, "at": models.answer_row(model, len(models.IDS)), "target": models.TARGET,
                    "alti": mixed[-1].tolist(), "mutants": {"l2": plain[-1].tolist()}})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("logit", type=pathlib.Path)
    parser.add_argument("alti", type=pathlib.Path)
    options = parser.parse_args()
    logit, alti = theirs(options.logit.resolve()), theirs(options.alti.resolve())
    models.write("alti.json", {"gpt2": logit_entry(logit, "gpt2"),
                               "opt": logit_entry(logit, "opt"), "bert-chinese": encoder_entry(alti, "bert-chinese")})


if __name__ == "__main__":
    main()
