#!/usr/bin/env python3
"""Writes the seeds of the fuzz corpora: tiny valid files, and some that are wrong in one place.

Usage: fuzz/make_seeds.py [folder]     (default: fuzz/corpus; files are named seed-*, others are left alone)
"""
import json
import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus")


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


def make_chat():
    """The templates of the goldens, and a line of every construct."""
    oracle = os.path.join(HERE, "..", "tests", "oracle", "chat")
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": [{"id": "123456789"}]}]
    for file in sorted(os.listdir(os.path.join(oracle, "templates"))):
        with open(os.path.join(oracle, "templates", file)) as source:
            write("chat", file.removesuffix(".jinja"), source.read() + "\n%%%\n" + json.dumps(messages))
    sys.path.insert(0, oracle)
    from expressions import EXPRESSIONS
    lines = [line for line in EXPRESSIONS if line]
    for place in range(0, len(lines), 4):
        write("chat", f"expression-{place:03}", "\n".join(lines[place:place + 4]))


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
    tokens = {"gpt2": ["<unk>", "<s>", "</s>", "a", "b", "ab", "\u0120a", "\u0120"],
              "llama": ["<unk>", "<s>", "</s>", "a", "<0x42>", "ab", "\u2581a", "\u2581"],
              "bert": ["[UNK]", "[CLS]", "[SEP]", "\u2581a", "b", "\u2581ab", "\u2581\u4e2d", "[PAD]"]}[model]
    kinds = {"llama": [2, 3, 3, 1, 6, 1, 1, 1]}.get(model, [2, 3, 3, 1, 1, 1, 1, 1])
    return [
        pair("general.architecture", STRING, "llama"),
        pair("tokenizer.ggml.model", STRING, model),
        pair("tokenizer.ggml.pre", STRING, pre),
        array("tokenizer.ggml.tokens", STRING, tokens),
        array("tokenizer.ggml.scores", F32, [0.0] * len(tokens)),
        array("tokenizer.ggml.token_type", I32, kinds),
        array("tokenizer.ggml.merges", STRING, ["a b", "\u0120 a"]),
        pair("tokenizer.ggml.bos_token_id", U32, 1),
        pair("tokenizer.ggml.eos_token_id", U32, 2),
        pair("tokenizer.ggml.add_bos_token", BOOL, 1),
    ]


# name, type, elements and bytes of a block
BLOCKS = [("q5_0", 6, 32, 22), ("q5_1", 7, 32, 24), ("q2_k", 10, 256, 84), ("q3_k", 11, 256, 110), ("q4_k", 12, 256, 144),
          ("q5_k", 13, 256, 176), ("q6_k", 14, 256, 210)]


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
    tensors, at = [], 0
    for name, kind, elements, size in BLOCKS:
        tensors.append((name, [elements], kind, at))
        at += size + -size % 32
    write("gguf", "blocks", gguf([], tensors, bytes(i % 251 for i in range(at))))
    write("gguf", "cut-block", gguf([], [("a", [128], 12, 0)], bytes(144)))
    write("gguf", "unread-type", gguf([], [("a", [256], 20, 0)], bytes(144)))
    write("gguf", "alignment-8", gguf([pair("general.alignment", U32, 8)], [("a", [2], 0, 0), ("b", [2], 0, 8)],
                                      bytes(16), alignment=8))
    write("gguf", "version-2", gguf([], [], version=2))
    write("gguf", "overlap", gguf([], [("a", [16], 0, 0), ("b", [4], 0, 32)], bytes(64)))
    write("gguf", "past-end", gguf([], [("a", [64], 0, 0)], bytes(64)))
    write("gguf", "twice", gguf([pair("a", U8, 1), pair("a", U8, 1)], []))
    write("gguf", "nested", gguf([text("n") + struct.pack("<IIQ", ARRAY, ARRAY, 1) + bytes(32)], []))


def write_gguf_model(name, d, f, kinds):
    """A Llama whose matrices are of the first of `kinds` (type, elements, bytes of a block) that divides their rows."""
    h, g, v, k = 2, 1, 8, 16
    pairs = tokenizer_pairs("llama", "default") + [
        pair("llama.block_count", U32, 1), pair("llama.embedding_length", U32, d),
        pair("llama.feed_forward_length", U32, f), pair("llama.attention.head_count", U32, h),
        pair("llama.attention.head_count_kv", U32, g), pair("llama.context_length", U32, 16),
        pair("llama.rope.freq_base", F32, 10000.0), pair("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        pair("llama.rope.dimension_count", U32, k), pair("llama.vocab_size", U32, v)]
    if k * h != d:
        pairs += [pair("llama.attention.key_length", U32, k), pair("llama.attention.value_length", U32, k)]
    shapes = [("token_embd.weight", [d, v]), ("output_norm.weight", [d]), ("output.weight", [d, v]),
              ("blk.0.attn_norm.weight", [d]), ("blk.0.ffn_norm.weight", [d]), ("blk.0.attn_q.weight", [d, k * h]),
              ("blk.0.attn_k.weight", [d, k * g]), ("blk.0.attn_v.weight", [d, k * g]),
              ("blk.0.attn_output.weight", [k * h, d]), ("blk.0.ffn_gate.weight", [d, f]),
              ("blk.0.ffn_up.weight", [d, f]), ("blk.0.ffn_down.weight", [f, d])]
    tensors, at = [], 0
    for i, (tensor, shape) in enumerate(shapes):
        if len(shape) == 1:
            tensors.append((tensor, shape, 0, at))
            at += shape[0] * 4
        else:
            fitting = [row for row in kinds if shape[0] % row[1] == 0]
            kind, elements, size = fitting[i % len(fitting)]
            tensors.append((tensor, shape, kind, at))
            at += shape[0] * shape[1] // elements * size
        at += -at % 32
    write("gguf_model", name, gguf(pairs, tensors, bytes(at)))


def write_gguf_family(name, family, pairs, shapes):
    """One layer of a family with fused projections, in f32."""
    pairs = [pair("general.architecture", STRING, family)] + [
        pair(family + "." + key, F32 if isinstance(value, float) else BOOL if isinstance(value, bool) else U32, value)
        for key, value in pairs.items()]
    tensors, at = [], 0
    for tensor, shape in shapes.items():
        elements = 1
        for n in shape:
            elements *= n
        tensors.append((tensor, shape, 0, at))
        at += elements * 4 + -(elements * 4) % 32
    write("gguf_model", name, gguf(pairs, tensors, bytes(at)))


def make_gguf_families():
    d, f, v, p = 8, 16, 7, 12
    sizes = {"embedding_length": d, "block_count": 1, "attention.head_count": 2, "feed_forward_length": f,
             "context_length": p, "attention.layer_norm_epsilon": 1e-5}
    norms = {"blk.0.%s.%s" % (n, k): [d] for n in ("attn_norm", "ffn_norm") for k in ("weight", "bias")}
    outer = {"token_embd.weight": [d, v], "output_norm.weight": [d], "output_norm.bias": [d]}
    biased = {"blk.0.attn_qkv.bias": [3 * d], "blk.0.attn_output.bias": [d], "blk.0.ffn_up.bias": [f],
              "blk.0.ffn_down.bias": [d]}
    block = {"blk.0.attn_output.weight": [d, d], "blk.0.ffn_up.weight": [d, f], "blk.0.ffn_down.weight": [f, d]}
    qkv = {"blk.0.attn_qkv.weight": [d, 3 * d]}
    write_gguf_family("gpt2", "gpt2", sizes, {**outer, "position_embd.weight": [d, p], **norms, **qkv, **block, **biased})
    write_gguf_family("gptneox", "gptneox", {**sizes, "rope.dimension_count": 2, "use_parallel_residual": False},
                      {**outer, "output.weight": [d, v], **norms, **qkv, **block, **biased})
    falcon = {key: shape for key, shape in norms.items() if "attn_norm" in key}
    write_gguf_family("falcon", "falcon", {**sizes, "attention.head_count_kv": 1, "rope.freq_base": 10000.0},
                      {**outer, **falcon, "blk.0.attn_norm_2.weight": [d], "blk.0.attn_norm_2.bias": [d],
                       "blk.0.attn_qkv.weight": [d, d + 8], **block})


def make_gguf_experts():
    """Stacked experts; a shared one whose gate is a vector."""
    d, f, v, e = 8, 4, 7, 3
    sizes = {"embedding_length": d, "block_count": 1, "attention.head_count": 2, "feed_forward_length": f,
             "context_length": 12, "attention.layer_norm_rms_epsilon": 1e-5, "expert_count": e, "expert_used_count": 2}
    shapes = {"token_embd.weight": [d, v], "output_norm.weight": [d], "output.weight": [d, v],
              **{"blk.0.%s.weight" % n: [d] for n in ("attn_norm", "ffn_norm")},
              **{"blk.0.attn_%s.weight" % n: [d, d] for n in ("q", "k", "v", "output")},
              "blk.0.ffn_gate_inp.weight": [d, e], "blk.0.ffn_gate_exps.weight": [d, f, e],
              "blk.0.ffn_up_exps.weight": [d, f, e], "blk.0.ffn_down_exps.weight": [f, d, e]}
    shared = {"blk.0.ffn_gate_shexp.weight": [d, 2 * f], "blk.0.ffn_up_shexp.weight": [d, 2 * f],
              "blk.0.ffn_down_shexp.weight": [2 * f, d], "blk.0.ffn_gate_inp_shexp.weight": [d]}
    write_gguf_family("mixtral", "llama", sizes, shapes)
    write_gguf_family("qwen2moe", "qwen2moe", {**sizes, "expert_feed_forward_length": f,
                                               "expert_shared_feed_forward_length": 2 * f}, {**shapes, **shared})


def make_gguf_model():
    make_gguf_families()
    make_gguf_experts()
    for name, kind, size in [("q8_0", 8, 34), ("q4_0", 2, 18), ("q4_1", 3, 20)]:
        write_gguf_model(name, 32, 32, [(kind, 32, size)])
    write_gguf_model("blocks", 256, 32, [row[1:] for row in BLOCKS])


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
QWEN2 = {**LLAMA, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": True,
         "sliding_window": 4, "max_window_layers": 0,
         "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8, "beta_fast": 32}}
QWEN3 = {**LLAMA, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 4,
         "layer_types": ["full_attention"], "rope_scaling": {"type": "dynamic", "factor": 2.0}}
GEMMA3 = {**LLAMA, "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "head_dim": 4,
          "query_pre_attn_scalar": 4, "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 4,
          "final_logit_softcapping": 30.0, "rope_local_base_freq": 10000.0, "rope_scaling": None,
          "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                              "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}
GEMMA2_CLASSIFIER = {**GEMMA3, "architectures": ["Gemma2ForSequenceClassification"], "model_type": "gemma2",
                     "attn_logit_softcapping": 50.0, "rope_parameters": None, "num_labels": 2}
PHI3 = {**LLAMA, "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "original_max_position_embeddings": 8,
        "partial_rotary_factor": 0.5,
        "rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}}
NESTED = {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "vision_config": {},
          "text_config": {**LLAMA, "architectures": None}}
MIXTRAL = dict(LLAMA, architectures=["MixtralForCausalLM"], model_type="mixtral", intermediate_size=4,
               num_local_experts=2, num_experts_per_tok=1, sliding_window=None)
QWEN2_MOE = dict(LLAMA, architectures=["Qwen2MoeForCausalLM"], model_type="qwen2_moe", num_experts=2, qkv_bias=False,
                 num_experts_per_tok=2, moe_intermediate_size=4, shared_expert_intermediate_size=6,
                 norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[7])

NEOX = {"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 7, "max_position_embeddings": 16,
        "rotary_pct": 0.5, "rotary_emb_base": 10000, "use_parallel_residual": True, "hidden_act": "gelu"}
OPT = {"architectures": ["OPTForCausalLM"], "model_type": "opt", "hidden_size": 8, "num_hidden_layers": 1,
       "num_attention_heads": 2, "ffn_dim": 16, "vocab_size": 7, "max_position_embeddings": 16,
       "word_embed_proj_dim": 4, "do_layer_norm_before": False, "activation_function": "relu", "enable_bias": True,
       "_remove_final_layer_norm": False, "layer_norm_elementwise_affine": True}
FALCON = {"architectures": ["FalconForCausalLM"], "model_type": "falcon", "hidden_size": 8, "num_hidden_layers": 1,
          "num_attention_heads": 2, "ffn_hidden_size": 16, "vocab_size": 7, "max_position_embeddings": 16,
          "multi_query": True, "parallel_attn": True, "alibi": False, "bias": False, "num_kv_heads": 1,
          "new_decoder_architecture": False, "num_ln_in_parallel_attn": None}
FALCON_ALIBI = {**FALCON, "alibi": True, "parallel_attn": False, "bias": True}
FALCON_GROUPED = {**FALCON, "new_decoder_architecture": True, "num_ln_in_parallel_attn": 2}
ROBERTA = {**BERT, "architectures": ["RobertaForMaskedLM"], "model_type": "roberta", "pad_token_id": 1}
DISTILBERT = {"architectures": ["DistilBertForSequenceClassification"], "model_type": "distilbert", "dim": 8,
              "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "vocab_size": 7, "max_position_embeddings": 16,
              "activation": "gelu", "num_labels": 2, "sinusoidal_pos_embds": False}

CONFIGS = {"llama": LLAMA, "llama3-rope": ROPE3, "rope-parameters": ROPE5, "gpt2": GPT2, "bert": BERT, "qwen2": QWEN2,
           "qwen3": QWEN3, "gemma3": GEMMA3, "gemma2-classifier": GEMMA2_CLASSIFIER, "phi3": PHI3, "nested": NESTED,
           "mixtral": MIXTRAL, "qwen2-moe": QWEN2_MOE, "neox": NEOX, "opt": OPT, "falcon": FALCON,
           "falcon-alibi": FALCON_ALIBI, "falcon-grouped": FALCON_GROUPED, "roberta": ROBERTA, "distilbert": DISTILBERT}


def make_json():
    for name, config in CONFIGS.items():
        write("json", name, json.dumps(config))
        write("config", name, json.dumps(config))
    write("json", "huge-integer", '{"model_max_length": 1000000000000000019884624838656, "x": [1e5, -1, "\\u0000"]}')
    write("json", "nested", "[" * 40 + '{"a":{"b":null}}' + "]" * 40)


# --- tokenizers ----------------------------------------------------------------------------------------------------
SPECIAL = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
                r"\s*[\r\n]+|\s+(?!\S)|\s+")


def tokenizer(model, added=(), **parts):
    out = {"version": "1.0", "truncation": None, "padding": None,
           "added_tokens": [dict(SPECIAL, id=i, content=text) for i, text in added], "normalizer": None,
           "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model}
    out.update(parts)
    return json.dumps(out, ensure_ascii=False, separators=(",", ":"))


def numbered(words):
    return {word: i for i, word in enumerate(words)}


def template(first):
    special = {first: {"id": first, "ids": [0], "tokens": [first]}}
    return {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": first, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": special}


def protobuf(field, kind, value):
    """One field: kind 0 a varint, 2 bytes, 5 a float."""
    def varint(n):
        out = b""
        while n > 127:
            out += bytes([n % 128 + 128])
            n //= 128
        return out + bytes([n])
    head = varint(field << 3 | kind)
    if kind == 0:
        return head + varint(value)
    if kind == 5:
        return head + struct.pack("<f", value)
    return head + varint(len(value)) + value


def sentencepiece(model_type):
    out = b""
    for piece, score, kind in [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("<0x41>", 0, 6), ("\u2581", -1, 1),
                               ("a", -2, 1), ("\u2581a", -1.5, 1), ("b", -3, 1), ("ab", -2.5, 1)]:
        out += protobuf(1, 2, protobuf(1, 2, piece.encode()) + protobuf(2, 5, score) + protobuf(3, 0, kind))
    out += protobuf(2, 2, protobuf(3, 0, model_type) + protobuf(35, 0, 1) + protobuf(40, 0, 0))
    return out + protobuf(3, 2, protobuf(1, 2, b"identity") + protobuf(3, 0, 1) + protobuf(4, 0, 0) + protobuf(5, 0, 1))


def make_tokenizer():
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    bpe = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
           "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
           "vocab": numbered(["<s>", "a", "b", "\u0120", "ab", "\u0120a", "\u010a", "1"]),
           "merges": [["a", "b"], ["\u0120", "a"]]}
    write("tokenizer", "gpt2", tokenizer(bpe, [(0, "<s>")], pre_tokenizer=byte_level, decoder=byte_level,
                                         post_processor=byte_level))
    split = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": LLAMA3_SPLIT}, "behavior": "Isolated", "invert": False},
        dict(byte_level, use_regex=False)]}
    write("tokenizer", "llama3", tokenizer(dict(bpe, ignore_merges=True), [(0, "<s>")], pre_tokenizer=split,
                                           decoder=byte_level, post_processor=template("<s>")))
    digits = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]}
    write("tokenizer", "smollm", tokenizer(dict(bpe, merges=["a b"]), pre_tokenizer=digits, decoder=byte_level))
    metaspace = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                                     {"type": "Replace", "pattern": {"String": " "},
                                                      "content": "\u2581"}]}
    fallback = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    write("tokenizer", "llama2", tokenizer(
        dict(bpe, unk_token="<unk>", fuse_unk=True, byte_fallback=True, merges=["\u2581 a", "a b"],
             vocab=numbered(["<unk>", "<s>", "</s>", "<0x41>", "<0x42>", "\u2581", "a", "b", "\u2581a", "ab"])),
        [(0, "<unk>"), (1, "<s>")], normalizer=metaspace, decoder=fallback, post_processor=template("<s>")))
    bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
            "lowercase": True}
    write("tokenizer", "wordpiece", tokenizer(
        {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
         "max_input_chars_per_word": 100, "vocab": numbered(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b", "\u4e2d"])},
        [(0, "[PAD]"), (2, "[CLS]")], normalizer=bert, pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}))
    write("tokenizer", "unigram", tokenizer(
        {"type": "Unigram", "unk_id": 0, "byte_fallback": False,
         "vocab": [["<unk>", 0.0], ["\u2581", -1.0], ["a", -2.0], ["\u2581a", -1.5], ["b", -3.0], ["ab", -2.5]]},
        [(0, "<unk>")], normalizer={"type": "Sequence", "normalizers": [
            {"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        decoder={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}))
    write("tokenizer", "vocab-txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\nab\n")
    write("tokenizer", "sentencepiece-unigram", sentencepiece(1))
    write("tokenizer", "sentencepiece-bpe", sentencepiece(2))
    classes = {"type": "Split", "pattern": {"Regex": "[\\p{L}&&[^\\p{Han}]]+|[a[bc]]?+|\\p{N}{1,3}+|[[:alpha:]]++"},
               "behavior": "MergedWithNext", "invert": False}
    write("tokenizer", "classes", tokenizer(bpe, pre_tokenizer=classes))
    gemma = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    write("tokenizer", "gemma", tokenizer(
        dict(bpe, unk_token="<unk>", fuse_unk=True, byte_fallback=True, merges=["\u2581 a", "a b"],
             vocab=numbered(["<unk>", "<bos>", "<0x41>", "\u2581", "a", "b", "\u2581a", "ab"])),
        [(0, "<unk>"), (1, "<bos>")], normalizer=gemma,
        pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        decoder=fallback))
    write("tokenizer", "tekken", json.dumps({
        "config": {"pattern": "\\p{L}+|\\s", "default_num_special_tokens": 4, "default_vocab_size": 9, "version": "v7"},
        "vocab": [{"rank": i, "token_bytes": piece, "token_str": None} for i, piece in enumerate(
            ["YQ==", "Yg==", "IA==", "YWI=", "YWJhYg==", "/w=="])],
        "special_tokens": [{"rank": 0, "token_str": "<unk>", "is_control": True}, {"rank": 1, "token_str": "<s>"}]}))
    turns = [pair("tokenizer.ggml.eot_token_id", U32, 2), pair("tokenizer.ggml.eom_token_id", U32, 7)]
    write("tokenizer_gguf", "turns", gguf(tokenizer_pairs("gpt2", "gpt-4o") + turns, []))
    for pre in ("tekken", "deepseek-v3", "deepseek-llm", "deepseek-coder", "kimi-k2", "falcon", "bloom", "qwen35"):
        write("tokenizer_gguf", "gpt2-" + pre, gguf(tokenizer_pairs("gpt2", pre), []))
    for model, pre in [("gpt2", "smollm"), ("gpt2", "llama-bpe"), ("gpt2", "gpt-2"), ("llama", "default"),
                       ("bert", "jina-v2-en")]:
        write("tokenizer_gguf", model + "-" + pre, gguf(tokenizer_pairs(model, pre), []))


def make_result():
    with open(os.path.join(HERE, "..", "tests", "result", "golden", "sample.json"), encoding="utf-8") as source:
        sample = json.load(source)
    write("result", "sample", json.dumps(sample, ensure_ascii=False, separators=(",", ":")))
    for block in sample["blocks"]:
        one = dict(sample, blocks=[block], checks=[], warnings=[])
        one["input"] = dict(one["input"], tokens=one["input"]["tokens"][:2])
        write("result", "only-" + block["id"], json.dumps(one, separators=(",", ":")))


def make_dictionary(target, extra=()):
    """Every name that the target's seeds have between quotes, for libFuzzer to put elsewhere."""
    words = set(extra)
    folder = os.path.join(ROOT, target)
    for name in sorted(os.listdir(folder)):
        if name.startswith("seed-"):
            with open(os.path.join(folder, name), "rb") as seed:
                words.update(word.decode() for word in re.findall(rb'"[A-Za-z0-9_]{2,40}"', seed.read()))
    with open(os.path.join(HERE, target + ".dict"), "w") as out:
        for word in sorted(words):
            out.write('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"\n')


# --- data sets: the first byte chooses jsonl, csv, tsv, text (0 to 3), and 4 more: records of at most 64 bytes --------
def make_records():
    write("records", "jsonl", b'\0{"id": 1, "text": "a\\n", "x": 1.5e3, "n": null}\n\n{"a": {"b": {"c": [true]}}, "a.b.c": 2}\r\n')
    write("records", "jsonl-wrong", b'\0{"a": 1}\n[1]\n')
    write("records", "jsonl-wide", b'\0{"n": 123456789012345678901234567890}')
    write("records", "csv", b'\1\xef\xbb\xbfid,text\r\n1,"a ""b"",\r\nc"\r\n\n2,\n')
    write("records", "csv-ragged", b'\1a,b\n1,2\n1\n')
    write("records", "csv-open", b'\1a,b\n1,"2\n1\n')
    write("records", "csv-long", b'\5a\n"' + b"x\n" * 80 + b'"\n')
    write("records", "tsv", b'\2a\tb\n"x\ty"\tz\n')
    write("records", "text", "\3one\r\n\n\u6bd4\u7279\u5e01\n".encode())
    write("records", "array", b'\x08 [{"id": 18446744073709551616, "s": "] \\" }"},\n {"a": {"b": {"c": [1, -18446744073709551617]}}}]\n')
    write("records", "array-gone-on", b'\x08[{"a": 1}, 2, {"a": }, [3], {"a": 2}]')
    write("records", "array-open", b'\x08[{"a": [1, {}]}, {"b": "')
    write("records", "array-comma", b'\x08[{"a": 1} {"b": 2}]')
    write("records", "array-long", b'\x0c[{"a": "' + b"x" * 80 + b'"}]')
    write("records", "array-none", b'\x08\xef\xbb\xbf[ ] x')
    write("records", "json-lines", b'\x08{"a": 1}\n{"n": 99999999999999999999, "t": "\xef\xb7\x90\\ufdd1"}\n')
    write("records", "text-wrong", b'\3one\n\xe4\xbd\n')


def make_edit_file():
    good = {"format": "limn.edits/1", "model": {"name": "m", "hash": "0123456789abcdef" * 4}, "frame": "hf",
            "adapters": [{"name": "a", "hash": "fe" * 32, "weight": 0.5}],
            "edits": ["blocks.*.hook_mlp_out=zero", "blocks.1.attn.hook_z[head=3,neuron=2]=add:4*0.5",
                      "blocks.2.hook_resid_post=copy:blocks.2.hook_resid_pre", "hook_embed=stop:0.5"],
            "files": [], "note": "why"}

    def put(name, **changed):
        write("edit_file", name, json.dumps({**good, **changed}))
    put("good")
    put("position", edits=["hook_embed[pos=-1]=blend:0.3*2"])
    put("tensor", edits=["hook_embed=erase:d.safetensors:d"], files=[{"name": "d.safetensors", "hash": "00" * 32}])
    put("unlisted", edits=["hook_embed=mean:d:e"])
    put("empty", edits=[])
    put("hash", model={"name": "m", "hash": "12"})
    put("unknown", nite=1)
    write("edit_file", "edit", b"blocks.3.hook_resid_post[pos=1:-2,expert=1]=affine:a.safetensors:map")


def make_where():
    write("where", "compare", b"label != 'no' and b >= 1.5e0\nTweet: {a}\\nAnswer: {{}}")
    write("where", "pattern", b"(a ~ '^t(e|x)+' or not b == 12) && e.f !~ \"x\"\n{e.f}{b}{c}")
    write("where", "names", b"`odd name` = null || d < true\n{d}")
    write("where", "length", b"length(a) > 3 and length(`e`) <= 2 or length ( c ) == null or length == 3\n{a}")
    write("where", "wrong", b"a == (\n{a")
    write("where", "sums", b"abs(b - 0.5) * 2 > min(c, length(a), 1e3) and -(b + 1) / 2 < c\n{a}")
    write("where", "figure", b"b * 2 - c / (b + 1) - max(b, -3)\n{a}")


def make_decisions():
    good = b'{"record": 0, "id": "a", "label": "yes", "pred": "no", "group": "x", "probabilities": {"yes": 0.25, "no": 0.75}, "prompt": "p", "hash": "0"}\n'
    write("decisions", "good", b"accuracy=0.9\n" + good + b'{"record": 1, "line": 2, "error": "too long", "hash": "1"}\n')
    write("decisions", "few-fields", b"recall:yes@zh=80%\n" + b'{"record": 18446744073709551616, "pred": 1, "label": true}\n')
    write("decisions", "wrong-probability", b"share-gap:a=b@*=1e-3\n" + good + b'{"id": 2, "pred": "a", "probabilities": {"a": 1.5}}\n')
    write("decisions", "wrong-limit", b"=\n" + b'{"id": [1], "pred": null}\n')


# --- adapters ------------------------------------------------------------------------------------------------------
def adapter(config, tensors=None):
    """tensors: name -> shape, or (shape, value)."""
    text = json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], **config}).encode()
    if tensors is None:
        return text
    header, data = {}, b""
    for name, shape in tensors.items():
        shape, value = shape if isinstance(shape, tuple) else (shape, 0.5)
        size = 1
        for n in shape:
            size *= n
        header["base_model.model." + name] = entry("F32", shape, len(data), len(data) + 4 * size)
        data += struct.pack("<f", value) * size
    return text + b"\0" + safetensors(header, data)


def make_adapter():
    q = "model.layers.0.self_attn.q_proj"
    low = {q + ".lora_A.weight": [2, 8], q + ".lora_B.weight": [8, 2]}
    table = {"model.embed_tokens.lora_embedding_A": [2, 7], "model.embed_tokens.lora_embedding_B": [8, 2]}
    write("adapter", "good", adapter({"base_model_name_or_path": "tiny/llama", "bias": "none"}))
    write("adapter", "regex", adapter({"target_modules": r".*\.(q|v)_proj", "use_rslora": True}))
    write("adapter", "slow-regex", adapter({"target_modules": "(" + "a*" * 20 + ")*b|(.*.*.*.*.*.*.*.*)*x"}))
    write("adapter", "layers", adapter({"layers_to_transform": [0, 3], "layers_pattern": ["layers"],
                                        "exclude_modules": ["v_proj"]}))
    write("adapter", "patterns", adapter({"r": 3, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"self.*q_proj": 1}}))
    write("adapter", "dora", adapter({"use_dora": True}, {**low, q + ".lora_magnitude_vector": [8]}))
    write("adapter", "dora-missing", adapter({"use_dora": True}, low))
    write("adapter", "table", adapter({"target_modules": "all-linear"}, {**table, **low}))
    write("adapter", "table-chosen", adapter({"target_modules": ["embed_tokens"]}, table))
    write("adapter", "saved", adapter({"modules_to_save": ["lm_head", "norm"]}, {
        **low, "lm_head.weight": [7, 8], "model.norm.weight": [8]}))
    write("adapter", "saved-shape", adapter({"modules_to_save": ["lm_head"]}, {**low, "lm_head.weight": [9, 8]}))
    write("adapter", "head", adapter({"target_modules": ["lm_head", "o_proj"]}, {
        "lm_head.lora_A.weight": [2, 8], "lm_head.lora_B.weight": [7, 2],
        "model.layers.0.self_attn.o_proj.lora_A.weight": [2, 8], "model.layers.0.self_attn.o_proj.lora_B.weight": [8, 2]}))
    write("adapter", "shape", adapter({}, {**low, q + ".lora_A.weight": [2, 9]}))
    write("adapter", "nan", adapter({}, {**low, q + ".lora_B.weight": ([8, 2], float("nan"))}))
    write("adapter", "half", adapter({}, {q + ".lora_A.weight": [2, 8]}))
    write("adapter", "unknown-module", adapter({"target_modules": ["x"]}, {"x.lora_A.weight": [2, 8],
                                                                          "x.lora_B.weight": [8, 2]}))
    for name, config in {"vera": {"peft_type": "VERA"}, "ia3": {"peft_type": "IA3"}, "qalora": {"use_qalora": True},
                         "pissa": {"init_lora_weights": "pissa"}, "future": {"use_tomorrow": 3},
                         "bias": {"lora_bias": True}, "rank": {"r": 1 << 40}, "alpha": {"lora_alpha": 1e300},
                         "broken-regex": {"target_modules": "(("}, "kind": {"target_modules": 7}}.items():
        write("adapter", "refused-" + name, adapter(config))


def beside(*files):
    return b"\0".join(b"" if part is None else json.dumps(part).encode() for part in files)


def make_tokenizer_folder():
    token = dict(SPECIAL, content="<x>")
    config = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True, "bos_token": "<s>", "eos_token": token,
              "added_tokens_decoder": {"6": token, "7": dict(token, content="<y>", special=False, lstrip=True)},
              "model_max_length": 10 ** 30, "clean_up_tokenization_spaces": False}
    bert = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True, "mask_token": "[MASK]",
            "tokenize_chinese_chars": False}
    write("tokenizer_folder", "bpe", b"\0" + beside(config))
    write("tokenizer_folder", "older", b"\0" + beside(None, {"bos_token": {"content": "<s>"}, "pad_token": "a"},
                                                     {"<x>": 6, "a": 1, "<gap>": 9}, {"model_type": "gpt2"}))
    write("tokenizer_folder", "bert", b"\1" + beside(bert, None, {"<x>": 9}, {"tokenizer_class": "BertTokenizerFast"}))
    write("tokenizer_folder", "unknown-class", b"\1" + beside({"tokenizer_class": "BertJapaneseTokenizer"}))
    write("tokenizer_folder", "kinds", b"\0" + beside({"added_tokens_decoder": [1], "add_bos_token": 3, "legacy": []}))
    write("tokenizer_folder", "ids", b"\0" + beside({"added_tokens_decoder": {"-1": token, "99999999999": token}}))


def make_sentence():
    def modules(*kinds):
        return [{"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
                for i, (kind, path) in enumerate(kinds)]
    usual = modules(("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
    means = {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    write("sentence", "usual", beside(usual, means, {"max_seq_length": 12, "do_lower_case": False}, {"prompts": {"q": "x"}}))
    write("sentence", "mode", beside(usual[:2], {"embedding_dimension": 8, "pooling_mode": "lasttoken"}))
    write("sentence", "several", beside(usual, dict(means, pooling_mode_max_tokens=True, pooling_mode_cls_token=True)))
    write("sentence", "weighted", beside(usual, {"word_embedding_dimension": 8, "pooling_mode_weightedmean_tokens": True}))
    write("sentence", "dense", beside(modules(("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense")), means))
    write("sentence", "escape", beside(modules(("Transformer", "../.."), ("Pooling", "/etc")), means))
    write("sentence", "none", beside([]))
    write("sentence", "kinds", beside([3, {"type": 4}, {"idx": "a"}], [1]))


def make_plan():
    head = "limn: audit/1\nmodels: {m: /}\ndata: {d: {file: /dev/null, id-field: id, where: a == 1, limit: 3}}\n"
    steps = "steps:\n- {run: predict, half: nominate}\n- {run: predict, id: b, with: {limit: 2, data: 'step:predict'}}\n"
    gates = ("gates:\n- {metric: predict.accuracy, op: <=, value: 3%}\n- {metric: 'predict.ece + b.brier', op: <=, value: 3}\n"
             "- {metric: predict.gaps.p, aggregation: each, op: '>=', value: 2 points}\n- {metric: drift.b.accuracy, op: <, value: 1}\n")
    rest = "budget: 20m\nseed: 7\nlanguage: zh\nfindings: {level: 0.01, floor: 0.1}\nsystem: {name: x, regimes: [cn, reg-b]}\n"
    write("plan", "whole", (head + steps + gates + rest).encode())
    write("plan", "alias", b"limn: audit/1\na: &x [*x]\n")
    write("plan", "block", (head + "title: |\n  two\n  lines\n" + steps).encode())
    write("plan", "unknown", (head + "steps:\n- {run: predit, modle: m}\n").encode())
    write("plan", "types", (head + "steps:\n- run: predict\n  with: {limit: many, where: [a, b]}\n").encode())


make_adapter()
make_tokenizer_folder()
make_sentence()
make_plan()
make_safetensors()
make_shards()
make_chat()
make_gguf()
make_gguf_model()
make_json()
make_tokenizer()
make_result()
make_records()
make_edit_file()
make_where()
make_decisions()
# parts that no seed has
make_dictionary("config", ['"yarn"', '"dynamic"', '"gelu_fast"', '"quick_gelu"', '"attention_bias"', '"mlp_bias"',
                           '"partial_rotary_factor"', '"quantization_config"', '"text_config"', '"is_decoder"'])
make_dictionary("tokenizer", ['"NFD"', '"NFC"', '"NFKD"', '"Lowercase"', '"StripAccents"', '"Strip"', '"Nmt"',
                              '"Precompiled"', '"precompiled_charsmap"', '"Whitespace"', '"WhitespaceSplit"',
                              '"Punctuation"', '"MergedWithPrevious"', '"MergedWithNext"', '"Removed"', '"Contiguous"',
                              '"RobertaProcessing"', '"CTC"', '"BPEDecoder"', '"Pattern"', '"UnicodeScripts"'])
make_dictionary("adapter")
make_dictionary("result")
make_dictionary("safetensors")
