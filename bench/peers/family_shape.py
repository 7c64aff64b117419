#!/usr/bin/env python3
"""A random model of each named family, in the shape of family_shapes.json, as a float32 Hugging Face folder.

    python3 bench/peers/family_shape.py NAME CACHE_FOLDER

Weights are normal with the deviation 1/sqrt(inputs), gains between 0.5 and 1.5, biases small, as in llama_shape.py.
The folder is CACHE_FOLDER/family-NAME-f32; an existing one stays.
"""
import json
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file


def tied_names(model):
    """Names that a folder leaves out because another tensor stands for them."""
    if not model.config.tie_word_embeddings:
        return set()
    return set(getattr(model, "_tied_weights_keys", None) or {})


def value_of(name, shape, plus_one):
    if len(shape) > 1:
        return torch.randn(shape) / shape[-1] ** 0.5
    if name.endswith("weight"):
        return torch.rand(shape) + (-0.5 if plus_one else 0.5)
    return torch.randn(shape) * 0.02


def main():
    name, cache = sys.argv[1], pathlib.Path(sys.argv[2])
    config = json.loads((pathlib.Path(__file__).parent / "family_shapes.json").read_text())[name]
    folder = cache / f"family-{name}-f32"
    if (folder / "config.json").exists():
        return
    torch.manual_seed(1)
    with torch.device("meta"):
        settings = transformers.AutoConfig.for_model(**json.loads(json.dumps(config)))
        model = getattr(transformers, config["architectures"][0])(settings)
    left_out = tied_names(model)
    plus_one = config["model_type"].startswith("gemma")  # the gain is 1 + the weight
    state = {key: value_of(key, tensor.shape, plus_one) for key, tensor in model.state_dict().items()
             if key not in left_out}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(dict(config, dtype="float32"), indent=1) + "\n")  # last: complete


if __name__ == "__main__":
    main()
