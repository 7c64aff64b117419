#!/usr/bin/env python3
"""Writes the seeds of the fuzz corpora: tiny valid files, and some that are wrong in one place.

Usage: fuzz/make_seeds.py [folder]     (default: fuzz/corpus; files are named seed-*, others are left alone)
"""
import json
import os
import struct
import sys

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def write(target, name, data):
    folder = os.path.join(ROOT, target)
    os.makedirs(folder, exist_ok=True)
    if isinstance(data, str):
        data = data.encode()
    with open(os.path.join(folder, "seed-" + name), "wb") as out:
        out.write(data)


# --- safetensors ---------------------------------------------------------------------------------------------------
def safetensors(header, data, length=None):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def make_safetensors():
    good = {"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 2], 0, 16), "b": entry("BF16", [3], 16, 22)}
    write("safetensors", "good", safetensors(good, bytes(range(22))))
    write("safetensors", "empty", safetensors({}, b""))
    every = {}
    at = 0
    for dtype, size in [("F64", 8), ("I64", 8), ("F32", 4), ("I32", 4), ("F16", 2), ("BF16", 2), ("I16", 2), ("I8", 1),
                        ("U8", 1), ("BOOL", 1)]:
        every[dtype.lower()] = entry(dtype, [1], at, at + size)
        at += size
    write("safetensors", "every-dtype", safetensors(every, bytes(at)))
    write("safetensors", "zero-size", safetensors({"z": entry("F32", [0, 5], 0, 0), "s": entry("U8", [], 0, 1)}, b"x"))
    write("safetensors", "nan", safetensors({"a": entry("F32", [1], 0, 4)}, b"\0\0\xc0\x7f"))
    write("safetensors", "overlap", safetensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6)))
    write("safetensors", "gap", safetensors({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, bytes(3)))
    write("safetensors", "past-end", safetensors({"a": entry("U8", [9], 0, 9)}, bytes(3)))
    write("safetensors", "overflow", safetensors({"a": entry("F32", [1 << 62, 4], 0, 4)}, bytes(4)))
    write("safetensors", "long-header", safetensors({}, b"", length=1 << 40))
    write("safetensors", "unknown-dtype", safetensors({"a": entry("F8_E4M3", [1], 0, 1)}, b"x"))


def make_shards():
    write("shards", "good", json.dumps({"metadata": {"total_size": 8},
                                        "weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}))
    write("shards", "one", json.dumps({"weight_map": {"a": "a.safetensors"}}))
    write("shards", "wrong-file", json.dumps({"weight_map": {"a": "b.safetensors"}}))
    write("shards", "missing", json.dumps({"weight_map": {"a": "c.safetensors"}}))
    write("shards", "outside", json.dumps({"weight_map": {"a": "../a.safetensors"}}))


# --- GGUF ----------------------------------------------------------------------------------------------------------
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q", I64: "<q",
        F64: "<d"}


def text(value):
    value = value.encode()
    return struct.pack("<Q", len(value)) + value


def scalar(kind, value):
    return text(value) if kind == STRING else struct.pack(PACK[kind], value)


def pair(key, kind, value):
    return text(key) + struct.pack("<I", kind) + scalar(kind, value)


def array(key, kind, values):
    head = text(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
    return head + b"".join(scalar(kind, value) for value in values)


def gguf(pairs, tensors, data=b"", version=3, alignment=32):
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs)
    for name, shape, kind, offset in tensors:
        out += text(name) + struct.pack("<I", len(shape))
        out += b"".join(struct.pack("<Q", d) for d in shape) + struct.pack("<IQ", kind, offset)
    return out + bytes(-len(out) % alignment) + data


def tokenizer_pairs(model="gpt2", pre="smollm"):
    tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab", "\u0120a"]
    return [
        pair("general.architecture", STRING, "llama"),
        pair("tokenizer.ggml.model", STRING, model),
        pair("tokenizer.ggml.pre", STRING, pre),
        array("tokenizer.ggml.tokens", STRING, tokens),
        array("tokenizer.ggml.scores", F32, [0.0] * len(tokens)),
        array("tokenizer.ggml.token_type", I32, [2, 3, 3, 1, 1, 1, 1]),
        array("tokenizer.ggml.merges", STRING, ["a b", "\u0120 a"]),
        pair("tokenizer.ggml.bos_token_id", U32, 1),
        pair("tokenizer.ggml.eos_token_id", U32, 2),
        pair("tokenizer.ggml.add_bos_token", BOOL, 1),
    ]


def make_gguf():
    every = [pair("u8", U8, 1), pair("i8", I8, -1), pair("u16", U16, 2), pair("i16", I16, -2), pair("u32", U32, 3),
             pair("i32", I32, -3), pair("f32", F32, 0.5), pair("flag", BOOL, 1), pair("text", STRING, "abc"),
             pair("u64", U64, 1 << 63), pair("i64", I64, -4), pair("f64", F64, 2.5),
             array("strings", STRING, ["x", "", "yy"]), array("flags", BOOL, [0, 1]), array("reals", F64, [1.0])]
    write("gguf", "every-value", gguf(every, []))
    write("gguf", "tokenizer", gguf(tokenizer_pairs(), []))
    tensors = [("f32", [4], 0, 0), ("f16", [4], 1, 32), ("bf16", [4], 30, 64), ("q4_0", [32], 2, 96),
               ("q4_1", [32, 2], 3, 128), ("q8_0", [32], 8, 192)]
    write("gguf", "tensors", gguf([pair("general.alignment", U32, 32)], tensors, bytes(range(226))))
    write("gguf", "alignment-8", gguf([pair("general.alignment", U32, 8)], [("a", [2], 0, 0), ("b", [2], 0, 8)],
                                      bytes(16), alignment=8))
    write("gguf", "version-2", gguf([], [], version=2))
    write("gguf", "overlap", gguf([], [("a", [16], 0, 0), ("b", [4], 0, 32)], bytes(64)))
    write("gguf", "past-end", gguf([], [("a", [64], 0, 0)], bytes(64)))
    write("gguf", "twice", gguf([pair("a", U8, 1), pair("a", U8, 1)], []))
    write("gguf", "nested", gguf([text("n") + struct.pack("<IIQ", ARRAY, ARRAY, 1) + bytes(32)], []))


# --- JSON ----------------------------------------------------------------------------------------------------------
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 16,
         "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "vocab_size": 7,
         "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
         "tie_word_embeddings": False, "torch_dtype": "float32", "bos_token_id": 1, "eos_token_id": [2]}
ROPE3 = dict(LLAMA, rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                  "high_freq_factor": 4.0, "original_max_position_embeddings": 16})
ROPE5 = dict(LLAMA, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 500000.0}, dtype="bfloat16")
GPT2 = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2,
        "n_positions": 16, "n_inner": None, "vocab_size": 7, "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5, "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}
BERT = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "hidden_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 7,
        "max_position_embeddings": 16, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
        "id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}, "position_embedding_type": "absolute"}
CONFIGS = {"llama": LLAMA, "llama3-rope": ROPE3, "rope-parameters": ROPE5, "gpt2": GPT2, "bert": BERT}


def make_json():
    for name, config in CONFIGS.items():
        write("json", name, json.dumps(config))
    write("json", "huge-integer", '{"model_max_length": 1000000000000000019884624838656, "x": [1e5, -1, "\\u0000"]}')
    write("json", "nested", "[" * 40 + '{"a":{"b":null}}' + "]" * 40)


make_safetensors()
make_shards()
make_gguf()
make_json()
