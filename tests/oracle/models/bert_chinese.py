#!/usr/bin/env python3
"""A small random masked language model with bert-base-chinese's vocabulary, and what Hugging Face says from text on.

    python3 bert_chinese.py VOCAB_FOLDER [--out tests/golden/bert-chinese]

VOCAB_FOLDER holds bert-base-chinese's vocab.txt. golden.json: for each text its ids, and where [MASK] stands the five
likeliest tokens with their log-probabilities.
"""
import argparse
import json
import os
import shutil
import tempfile

import torch
import transformers
from safetensors.torch import save_file

TEXTS = [
    "巴黎是[MASK]国的首都。",
    "今天天气很[MASK],我们去公园吧!",
    "这家银行的ATM机取不出钱,APP也登录不了[MASK]2024年",
    "Hello [MASK] 世界 café Ｆｕｌｌ１２３",
    "𠮷野家[MASK]😀 龍 繁體字",
]
PAIR = ("挤兑是什么?", "储户[MASK]时要求提款。")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("vocabulary")
    parser.add_argument("--out", default=os.path.join(here, "..", "..", "golden", "bert-chinese"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(3000)
    config = {"architectures": ["BertForMaskedLM"], "model_type": "bert", "vocab_size": 21128, "hidden_size": 8,
              "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
              "max_position_embeddings": 40, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0,
              "directionality": "bidi", "pooler_type": "first_token_transform", "hidden_act": "gelu"}
    os.makedirs(options.out, exist_ok=True)
    with open(options.out + "/config.json", "w") as file:
        json.dump(config, file, indent=1)
        file.write("\n")
    with open(options.out + "/tokenizer_config.json", "w") as file:
        json.dump({"do_lower_case": False, "tokenizer_class": "BertTokenizer", "model_max_length": 512}, file)
        file.write("\n")
    model = transformers.BertForMaskedLM(transformers.BertConfig(**config)).eval()
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape)
        gain = name.endswith("LayerNorm.weight")
        # the mask's own row is small, so that what stands around it decides
        scale = 0.2 if parameter.dim() == 1 else 0.3 if "position" in name else 1.0
        parameter.data = (1 + 0.3 * noise if gain else scale * noise).half().float()
    model.bert.embeddings.word_embeddings.weight.data[103] *= 0.125
    state = {k: v.half() for k, v in model.state_dict().items() if not k.startswith("cls.predictions.decoder.")}
    save_file(state, options.out + "/model.safetensors", metadata={"format": "pt"})
    with tempfile.TemporaryDirectory() as folder:
        for name in ("config.json", "tokenizer_config.json", "model.safetensors"):
            shutil.copy(os.path.join(options.out, name), folder)
        shutil.copy(os.path.join(options.vocabulary, "vocab.txt"), folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    cases = []
    for texts in [(text,) for text in TEXTS] + [PAIR]:
        inputs = tokenizer(*texts, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits[0]
        at = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
        best = logits[at].log_softmax(-1).topk(5)
        cases.append({"texts": texts, "ids": inputs["input_ids"][0].tolist(),
                      "types": inputs["token_type_ids"][0].tolist(), "mask": at, "best": best.indices.tolist(),
                      "log_probabilities": [round(float(x), 7) for x in best.values]})
    with open(options.out + "/golden.json", "w") as file:
        json.dump(cases, file, ensure_ascii=False, indent=1)
        file.write("\n")
    for case in cases:
        print(case["texts"], case["best"])


if __name__ == "__main__":
    main()
