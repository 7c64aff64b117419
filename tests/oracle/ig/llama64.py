"""A Llama in true float64, written from its formulas, for references.

Hugging Face's own classes drop to float32 in three places even when the weights are float64 (RMSNorm, the eager
softmax, the rotary angles). Here every step is float64. Weights are read from a Hugging Face folder.
Only what small Llama models need: grouped keys and values, plain rotary positions, SiLU, no biases.
"""
import json
import math
import pathlib

import torch
import torch.nn.functional as functional
from safetensors import safe_open


class Llama64:
    def __init__(self, folder, dtype=torch.float64):
        folder = pathlib.Path(folder)
        config = json.loads((folder / "config.json").read_text())
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads", self.heads)
        self.head_width = config.get("head_dim") or config["hidden_size"] // self.heads
        self.epsilon = config["rms_norm_eps"]
        rope = config.get("rope_parameters") or {}
        self.theta = rope.get("rope_theta") or config.get("rope_theta", 10000.0)
        self.dtype = dtype
        self.pad_id = config.get("pad_token_id")
        self.eos_id = config.get("eos_token_id")
        self.weights = {}
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():
                    self.weights[name] = tensors.get_tensor(name).to(dtype)
        self.embedding = self.weights["model.embed_tokens.weight"]
        self.head = self.weights.get("lm_head.weight", self.embedding)

    def linear(self, x, layer, name):
        return functional.linear(x, self.weights[f"model.layers.{layer}.{name}.weight"])

    def norm(self, x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weights[name]

    def rotate(self, x, cos, sin):
        half = self.head_width // 2
        first, second = x[..., :half], x[..., half:]
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

    def last_hidden(self, embedded):
        """embedded [B, T, D] -> final norm of the last position [B, D]."""
        batch, length, _ = embedded.shape
        frequency = self.theta ** (-torch.arange(0, self.head_width, 2, dtype=self.dtype) / self.head_width)
        angle = torch.arange(length, dtype=self.dtype)[:, None] * frequency
        cos, sin = angle.cos(), angle.sin()
        blocked = torch.full((length, length), -math.inf, dtype=self.dtype).triu(1)
        x = embedded
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}."
            h = self.norm(x, prefix + "input_layernorm.weight")
            rows = h if layer < self.layers - 1 else h[:, -1:]  # the last layer needs one query

            def split(y, heads):
                return y.view(batch, -1, heads, self.head_width).transpose(1, 2)

            q = split(self.linear(rows, layer, "self_attn.q_proj"), self.heads)
            k = split(self.linear(h, layer, "self_attn.k_proj"), self.kv_heads)
            v = split(self.linear(h, layer, "self_attn.v_proj"), self.kv_heads)
            queries = rows.shape[1]
            q = self.rotate(q, cos[-queries:], sin[-queries:])
            k = self.rotate(k, cos, sin).repeat_interleave(self.heads // self.kv_heads, 1)
            v = v.repeat_interleave(self.heads // self.kv_heads, 1)
            scores = q @ k.transpose(-1, -2) / math.sqrt(self.head_width) + blocked[-queries:]
            mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, queries, -1)
            x = x[:, -queries:] + self.linear(mixed, layer, "self_attn.o_proj")
            h = self.norm(x, prefix + "post_attention_layernorm.weight")
            gate = functional.silu(self.linear(h, layer, "mlp.gate_proj"))
            x = x + self.linear(gate * self.linear(h, layer, "mlp.up_proj"), layer, "mlp.down_proj")
        return self.norm(x[:, -1], "model.norm.weight")

    def last_log_probs(self, embedded):
        """[B, T, D] -> [B, V]: natural log-probabilities of the next token."""
        return functional.linear(self.last_hidden(embedded), self.head).log_softmax(-1)
