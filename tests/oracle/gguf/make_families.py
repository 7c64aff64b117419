#!/usr/bin/env python3
"""Writes random models as GGUF files, the way converters do: tests/golden/gguf/CASE.gguf.

    python3 make_families.py [--out tests/golden/gguf] [CASE ...]      (needs `gguf`, `torch`, `transformers`)

FOLDERS are those of tests/golden: what the reference says about them is in their golden.safetensors. OWN are models
within what GGUF can state of their family; CASE.safetensors holds ids, lengths, outputs and logits, as there.
"""
import argparse
import glob
import json
import math
import os
import sys
import tempfile

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "models"))
from make_random import random_weights

GOLDEN = os.path.join(HERE, "..", "..", "golden")
ARCH = {"llama": "llama", "mistral": "llama", "mixtral": "llama", "qwen2": "qwen2", "qwen3": "qwen3",
        "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "gemma2": "gemma2", "gemma3_text": "gemma3", "phi3": "phi3",
        "gpt2": "gpt2", "gpt_neox": "gptneox", "falcon": "falcon", "starcoder2": "starcoder2",
        "bert": "bert"}
FOLDERS = ["llama3", "gpt2", "neox", "falcon-7b", "falcon-40b", "falcon-11b", "starcoder2", "bert-bare"]
SMALL = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 0.02, "tie_word_embeddings": False,
         "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None, "rope_theta": 50.0}
GEMMA = dict(SMALL, tie_word_embeddings=True, head_dim=12, query_pre_attn_scalar=12, sliding_window=4, pad_token_id=0)
EXPERTS = dict(SMALL, num_experts_per_tok=2)
OWN = {
    "neox-serial": ("gpt_neox", {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
                                 "num_attention_heads": 4, "max_position_embeddings": 24, "layer_norm_eps": 0.02,
                                 "tie_word_embeddings": True, "use_parallel_residual": False, "hidden_act": "gelu",
                                 "rotary_pct": 0.5, "rotary_emb_base": 500}),
    "mistral-llama": ("mistral", dict(SMALL, head_dim=12, sliding_window=None)),
    "qwen2": ("qwen2", dict(SMALL, use_sliding_window=False)),
    "qwen3": ("qwen3", dict(SMALL, head_dim=12, tie_word_embeddings=True, use_sliding_window=False)),
    "gemma2": ("gemma2", dict(GEMMA, attn_logit_softcapping=1.5, final_logit_softcapping=2.0)),
    # six layers: GGUF fixes that every sixth is global, and that the others turn by 10000
    "gemma3": ("gemma3_text", dict(GEMMA, hidden_size=16, intermediate_size=24, num_hidden_layers=6,
                                   rope_local_base_freq=10000.0, rope_scaling={"rope_type": "linear", "factor": 2.0})),
    "phi3": ("phi3", dict(SMALL, sliding_window=4)),
    "phi3-longrope": ("phi3", dict(SMALL, num_attention_heads=2, num_key_value_heads=1, partial_rotary_factor=0.5,
                                   original_max_position_embeddings=5, sliding_window=None,
                                   rope_scaling={"type": "longrope", "short_factor": [1.0, 1.1, 1.3, 1.6],
                                                 "long_factor": [1.5, 2.0, 3.0, 5.0]})),
    "mixtral": ("mixtral", dict(EXPERTS, num_local_experts=5, intermediate_size=20, sliding_window=None)),
    "qwen2moe": ("qwen2_moe", dict(EXPERTS, num_experts=6, moe_intermediate_size=20, norm_topk_prob=False,
                                   shared_expert_intermediate_size=28, decoder_sparse_step=1, mlp_only_layers=[])),
    "qwen3moe": ("qwen3_moe", dict(EXPERTS, num_experts=6, moe_intermediate_size=20, norm_topk_prob=True, head_dim=12,
                                   decoder_sparse_step=1, mlp_only_layers=[])),
}


def permuted(tensor, heads):
    """Rows of each head from halves to rotary pairs."""
    return tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def ungrouped(tensor, heads, groups, width):
    """A fused projection stored group by group: all queries, all keys, all values."""
    share = heads // groups
    rows = tensor.reshape(groups, share + 2, width, *tensor.shape[1:])
    parts = rows[:, :share], rows[:, share:share + 1], rows[:, share + 1:]
    return np.concatenate([part.reshape(-1, *tensor.shape[1:]) for part in parts])


class Config:
    def __init__(self, folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            self.json = json.load(file)
        rope = self.json.get("rope_parameters") or self.json.get("rope_scaling") or {}
        rope = rope.get("full_attention", rope)
        self.rope = rope
        self.type = self.json["model_type"]
        self.d_model = self.get("hidden_size", "n_embd")
        self.layers = self.get("num_hidden_layers", "n_layer")
        self.heads = self.get("num_attention_heads", "n_head")
        self.kv_heads = self.get("num_key_value_heads", fallback=self.heads)
        if self.type == "falcon":
            self.kv_heads = (self.json.get("num_kv_heads", self.heads) if self.json.get("new_decoder_architecture")
                             else 1 if self.json.get("multi_query", True) else self.heads)
        fallback = 256 if self.type == "gemma3_text" else self.d_model // self.heads
        self.d_head = self.json.get("head_dim") or fallback
        self.theta = rope.get("rope_theta", self.json.get("rope_theta", self.json.get("rotary_emb_base", 10000.0)))

    def get(self, *names, fallback=None):
        for name in names:
            if self.json.get(name) is not None:
                return self.json[name]
        return fallback


def add_metadata(writer, config):
    kind = config.type
    writer.add_vocab_size(config.json["vocab_size"])
    writer.add_block_count(config.layers)
    writer.add_context_length(config.get("max_position_embeddings", "n_positions"))
    writer.add_embedding_length(config.d_model)
    writer.add_feed_forward_length(config.get("intermediate_size", "n_inner", "ffn_hidden_size",
                                              fallback=4 * config.d_model))
    writer.add_head_count(config.heads)
    if kind not in ("gpt2", "gpt_neox", "bert"):
        writer.add_head_count_kv(config.kv_heads)
    epsilon = config.get("rms_norm_eps")
    if epsilon is not None:
        writer.add_layer_norm_rms_eps(epsilon)
    else:
        writer.add_layer_norm_eps(config.get("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"))
    if kind in ("gpt2", "bert"):
        return
    writer.add_rope_freq_base(config.theta)
    if config.rope.get("rope_type", config.rope.get("type")) == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config.rope["factor"])
    if kind == "gpt_neox":
        part = config.json.get("rotary_pct", config.rope.get("partial_rotary_factor", 0.25))
        writer.add_rope_dimension_count(int(config.d_head * part))
        writer.add_parallel_residual(config.json.get("use_parallel_residual", True))
    elif kind != "falcon":
        writer.add_key_length(config.d_head)
        writer.add_value_length(config.d_head)
        writer.add_rope_dimension_count(int(config.d_head * config.rope.get(
            "partial_rotary_factor", config.json.get("partial_rotary_factor", 1.0))))
    add_windows(writer, config)
    add_experts(writer, config)


def add_windows(writer, config):
    window = config.json.get("sliding_window")
    if window and (config.type != "qwen2" or config.json.get("use_sliding_window")):
        writer.add_sliding_window(window)
    if config.type == "gemma2":
        writer.add_attn_logit_softcapping(config.json["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config.json["final_logit_softcapping"])
    if config.type == "phi3":
        scale = config.json["max_position_embeddings"] / config.get("original_max_position_embeddings",
                                                                    fallback=config.json["max_position_embeddings"])
        if config.rope.get("long_factor"):
            writer.add_rope_scaling_attn_factors(
                math.sqrt(1 + math.log(scale) / math.log(config.json["original_max_position_embeddings"])))
        writer.add_rope_scaling_orig_ctx_len(config.get("original_max_position_embeddings",
                                                        fallback=config.json["max_position_embeddings"]))


def add_experts(writer, config):
    count = config.get("num_local_experts", "num_experts")
    if count is None:
        return
    writer.add_expert_count(count)
    writer.add_expert_used_count(config.json["num_experts_per_tok"])
    if config.json.get("moe_intermediate_size"):
        writer.add_expert_feed_forward_length(config.json["moe_intermediate_size"])
    if config.json.get("shared_expert_intermediate_size"):
        writer.add_expert_shared_feed_forward_length(config.json["shared_expert_intermediate_size"])


def changed(name, tensor, config):
    """A tensor as the GGUF form of its family has it."""
    kind = config.type
    if ARCH[kind] == "llama" and name.split(".")[-2] in ("q_proj", "k_proj"):
        return permuted(tensor, config.heads if "q_proj" in name else config.kv_heads)
    if "query_key_value" in name:
        return ungrouped(tensor, config.heads, config.kv_heads, config.d_head)
    if kind == "gpt2" and name.endswith(".weight") and any(part in name for part in (".c_attn", ".c_proj", ".c_fc")):
        return tensor.T
    if kind.startswith("gemma") and name.endswith("norm.weight"):
        return tensor + 1
    return tensor


def stack_experts(tensors):
    """experts.N.part.weight of each layer: one tensor [N, rows, columns]; Mixtral's w1, w3, w2 by Qwen's names."""
    out, stacks = {}, {}
    for name, tensor in tensors.items():
        if ".experts." in name and name.split(".experts.")[1][0].isdigit():
            head, tail = name.split(".experts.")
            number, part = tail.split(".", 1)
            stacks.setdefault(head + ".experts." + part, {})[int(number)] = tensor
        else:
            out[name] = tensor
    for name, parts in stacks.items():
        out[name] = np.stack([parts[i] for i in range(len(parts))])
    return out


def divisors(writer, config):
    """What stands for llama3's and longrope's scaling."""
    kind = config.rope.get("rope_type", config.rope.get("type"))
    if kind == "llama3":
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
        made = transformers.AutoConfig.for_model(**config.json)
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](made, "cpu")
        plain = 1.0 / config.theta ** (torch.arange(0, config.d_head, 2).float() / config.d_head)
        writer.add_tensor("rope_freqs.weight", (plain / scaled).numpy())
    if kind == "longrope":
        writer.add_tensor("rope_factors_long.weight", np.array(config.rope["long_factor"], dtype=np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(config.rope["short_factor"], dtype=np.float32))


def convert(folder, out):
    config = Config(folder)
    arch = ARCH[config.type]
    number = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == arch)
    names = gguf.get_tensor_name_map(number, config.layers)
    writer = gguf.GGUFWriter(out, arch)
    add_metadata(writer, config)
    divisors(writer, config)
    if config.type == "bert":
        writer.add_causal_attention(False)
        writer.add_token_type_count(config.json["type_vocab_size"])
    tensors = {}
    for path in sorted(glob.glob(os.path.join(folder, "model*.safetensors"))):
        tensors.update({name: tensor.float().numpy() for name, tensor in load_file(path).items()})
    for name, tensor in stack_experts(tensors).items():
        if name.startswith("pooler."):
            continue  # files made for embeddings have none
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None:
            if not name.endswith((".attn.bias", ".attention.bias", ".masked_bias", "inv_freq")):
                raise SystemExit(f"{folder}: no GGUF name for {name}")
            continue
        tensor = np.ascontiguousarray(changed(name, tensor, config), dtype=np.float32)
        writer.add_tensor(target, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_own(name, folder, out):
    """A model of that configuration as a folder, and the logits of all its rows."""
    kind, settings = OWN[name]
    config = transformers.AutoConfig.for_model(kind, **settings)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    random_weights(model, sum(name.encode()))
    model.tie_weights()
    model.save_pretrained(folder)
    ids = torch.tensor([3, 17, 42, 5, 60, 33, 17, 8, 55, 1, 29])
    lengths, rows, begin = [7, 4], [], 0
    for length in lengths:
        with torch.no_grad():
            rows.append(model(ids[begin:begin + length][None]).logits[0])
        begin += length
    save_file({"ids": ids.int(), "lengths": torch.tensor(lengths).int(), "outputs": torch.arange(len(ids)).int(),
               "logits": torch.cat(rows)}, os.path.join(out, name + ".safetensors"))
    os.chmod(os.path.join(out, name + ".safetensors"), 0o644)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.path.join(GOLDEN, "gguf"))
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for case in arguments.cases or FOLDERS + list(OWN):
        path = os.path.abspath(os.path.join(arguments.out, case + ".gguf"))
        if case in FOLDERS:
            convert(os.path.join(GOLDEN, case), path)
        else:
            with tempfile.TemporaryDirectory() as folder:
                make_own(case, folder, arguments.out)
                convert(folder, path)
        print(case, os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
