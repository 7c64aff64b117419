#!/usr/bin/env python3
"""Writes the random models of tests/golden as GGUF files, the way converters do: tests/golden/gguf/CASE.gguf.

    python3 make_families.py [--out tests/golden/gguf] [--check] [CASE ...]      (needs `gguf`, `safetensors`)

The logits to be compared are those of the folder's golden.safetensors. --check also opens each file with the
reference's own reader of GGUF, where it reads that family, and prints how far its logits are from the folder's.
"""
import argparse
import glob
import json
import os

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "..", "golden")
ARCH = {"llama": "llama", "mistral": "llama", "mixtral": "llama", "qwen2": "qwen2", "qwen3": "qwen3",
        "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "gemma2": "gemma2", "gemma3_text": "gemma3", "phi3": "phi3",
        "gpt2": "gpt2", "gpt_neox": "gptneox", "falcon": "falcon", "bert": "bert"}
CASES = ["llama3", "gpt2", "neox", "neox-serial", "falcon-7b", "falcon-40b", "falcon-11b", "mistral", "qwen2", "qwen3",
         "gemma2", "gemma3", "phi3", "mixtral", "qwen3-moe"]


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
    if kind not in ("gpt2", "gpt_neox"):
        writer.add_head_count_kv(config.kv_heads)
    epsilon = config.get("rms_norm_eps")
    if epsilon is not None:
        writer.add_layer_norm_rms_eps(epsilon)
    else:
        writer.add_layer_norm_eps(config.get("layer_norm_eps", "layer_norm_epsilon"))
    if kind == "gpt2":
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
        import transformers
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
    tensors = {}
    for path in sorted(glob.glob(os.path.join(folder, "model*.safetensors"))):
        tensors.update({name: tensor.float().numpy() for name, tensor in load_file(path).items()})
    for name, tensor in stack_experts(tensors).items():
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


def check(folder, path):
    import transformers
    golden = load_file(os.path.join(folder, "golden.safetensors"))
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            os.path.dirname(path), gguf_file=os.path.basename(path), dtype=torch.float32, attn_implementation="eager",
            vocab_size=golden["logits"].shape[-1])
    except (ValueError, KeyError, NotImplementedError, RuntimeError, AttributeError) as error:
        return "not read by the reference: " + str(error).split("\n")[0][:90]
    rows, begin = [], 0
    for length in golden["lengths"].tolist():
        with torch.no_grad():
            rows.append(model(golden["ids"][begin:begin + length][None].long()).logits[0])
        begin += length
    found = torch.cat(rows)[golden["outputs"].long()]
    return "reference's reader is off by %.2g" % float(
        (found - golden["logits"]).abs().max() / max(1, float(golden["logits"].abs().max())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.path.join(GOLDEN, "gguf"))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for case in arguments.cases or CASES:
        folder, path = os.path.join(GOLDEN, case), os.path.abspath(os.path.join(arguments.out, case + ".gguf"))
        if not os.path.exists(os.path.join(folder, "config.json")):
            print(f"{case}: not here")
            continue
        convert(folder, path)
        print(case, os.path.getsize(path), "bytes", check(folder, path) if arguments.check else "")


if __name__ == "__main__":
    main()
