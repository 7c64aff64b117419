"""Hugging Face models of the goldens, and what the scripts beside this file share."""
import json
import os
import pathlib

import torch
import transformers

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.set_num_threads(1)
GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "golden"
CASES = ["llama3", "gpt2", "bert-mlm", "bert-classifier", "gemma2", "mixtral"]
IDS = [5, 17, 40, 9, 33, 17, 52]
TARGET, CONTRAST = 23, 11  # of classifiers: their remainder by the number of classes
MASKED = 3                 # the row that a masked model's answer is read from


def load(case):
    """The model in float64: what is left are limn's own errors."""
    folder = GOLDEN / case if isinstance(case, str) and (GOLDEN / case).exists() else pathlib.Path(case)
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, name).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                        experts_implementation="eager")
    return model.double().eval()


def is_classifier(model):
    return "Classification" in type(model).__name__


def is_encoder(model):
    return "bert" in model.config.model_type


def answer_row(model, n):
    return 0 if is_classifier(model) else MASKED if is_encoder(model) else n - 1


def decoder_layers(model):
    """The modules of the blocks, first to last."""
    inner = getattr(model, "bert", None) or getattr(model, "transformer", None) or getattr(model, "model", None) or model
    return list(inner.encoder.layer if hasattr(inner, "encoder") else getattr(inner, "layers", None) or inner.h)


def rounded(values):
    """Nested lists of seven digits: enough for a comparison to 1e-4, and short."""
    if isinstance(values, torch.Tensor):
        values = values.detach().tolist()
    return [rounded(v) for v in values] if isinstance(values, list) else float(f"{values:.7g}")


def write(name, document):
    path = GOLDEN / "attention" / name
    text = json.dumps(document, separators=(",", ":"))
    path.write_text(text.replace('},"', '},\n"').replace(']],"', ']],\n"') + "\n")
    print(path, len(text))
