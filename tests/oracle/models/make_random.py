#!/usr/bin/env python3
"""Makes small random models of each family, as Hugging Face folders, with what Hugging Face says about them.

    python3 make_random.py [--out tests/golden] [CASE ...]

Each case is a folder: config.json and weights as a person would have them, and golden.safetensors with the answers:

    ids, types, mask [R]          the rows of all sequences, one after the other
    lengths [N]                   rows of each sequence
    outputs [O]                   the rows whose logits are given
    targets [O]                   what each output's objective is about; -1: none
    logits [O, V]                 (a bare encoder: absent)
    final [R, D]                  the last hidden state, for a bare encoder
    SITE, SITE.grad [R, ...]      each site's value, and the gradient of the sum of the objectives; scores and patterns
                                  have as many columns as the longest sequence has rows (-inf and 0 beyond a row's own).
                                  Sites behind the choice of output rows have O rows.
    logits.off, logits.on ...     case "mixtral": logits with those edits of moe.py
    long.ids, long.logits         case "falcon-rw": one long sequence, and the logits of its last rows
    logits.gelu, logits.relu ...  case "gpt2": logits with that activation_function instead

The objective is the log-probability of the target, for classifiers the logit of the class. The weights are large
enough that attention is far from uniform, and the epsilons large enough to matter: a golden counts only when a
mutant misses it.
"""
import argparse
import functools
import json
import os
import shutil

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

import moe
from dense import CASES as DENSE
from families import ENCODERS, FORWARD, Sites, own_forward

torch.set_num_threads(1)

LENGTHS = (7, 4)
VOCABULARY = 61
LABELS = {"id2label": {"0": "refuse", "1": "ask", "2": "grant"}, "label2id": {"refuse": 0, "ask": 1, "grant": 2}}
LLAMA = {"model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
         "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64, "rms_norm_eps": 0.02,
         "hidden_act": "silu", "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2}
GPT2 = {"model_type": "gpt2", "vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 24,
        "layer_norm_epsilon": 0.02, "bos_token_id": 0, "eos_token_id": 0}
BERT = {"model_type": "bert", "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 24, "type_vocab_size": 2,
        "layer_norm_eps": 0.02, "pad_token_id": 0}


NEOX = {"model_type": "gpt_neox", "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 24, "layer_norm_eps": 0.02,
        "hidden_act": "gelu", "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 0}
OPT = {"model_type": "opt", "vocab_size": VOCABULARY, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2,
       "num_attention_heads": 4, "max_position_embeddings": 24, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 2}
FALCON = {"model_type": "falcon", "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2,
          "num_attention_heads": 4, "max_position_embeddings": 24, "layer_norm_epsilon": 0.02, "bos_token_id": 1,
          "eos_token_id": 1}
STARCODER2 = {"model_type": "starcoder2", "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
              "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
              "max_position_embeddings": 64, "norm_epsilon": 0.02, "bos_token_id": 0, "eos_token_id": 0}
DISTILBERT = {"model_type": "distilbert", "vocab_size": VOCABULARY, "dim": 32, "n_layers": 2, "n_heads": 4,
              "hidden_dim": 48, "max_position_embeddings": 24, "pad_token_id": 0}
ROBERTA = {"model_type": "roberta", "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2,
           "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 24, "type_vocab_size": 2,
           "layer_norm_eps": 0.02, "pad_token_id": 1}


def case(base, architecture, dtype="F32", shards=1, rename=None, extra=None, masked=False, split=None, seed=None,
         attention="eager", **config):
    settings = {"architectures": [architecture], **base, **config}
    return {"config": {k: v for k, v in settings.items() if v is not ...}, "dtype": dtype, "shards": shards,
            "rename": rename, "extra": extra, "masked": masked, "split": split, "seed": seed,
            "attention": attention}


def drop_prefix(prefix):
    return lambda name: name.removeprefix(prefix)


def old_bert(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def old_neox(name):
    return name.replace("lm_head.", "embed_out.")


CASES = {
    # as written before transformers 5: rope_theta outside, torch_dtype, no head_dim, no num_key_value_heads
    "llama-old": case(LLAMA, "LlamaForCausalLM", rope_theta=500.0, rope_scaling=None, torch_dtype="float32",
                      pretraining_tp=1, extra={"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}),
    "llama3": case(LLAMA, "LlamaForCausalLM", dtype="BF16", num_key_value_heads=2, head_dim=12,
                   tie_word_embeddings=True, max_position_embeddings=128,
                   rope_parameters={"rope_type": "llama3", "rope_theta": 50.0, "factor": 8.0, "low_freq_factor": 1.0,
                                    "high_freq_factor": 4.0, "original_max_position_embeddings": 16}),
    "llama3-old": case(LLAMA, "LlamaForCausalLM", num_key_value_heads=1, rope_theta=50.0, hidden_size=24,
                       rope_scaling={"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                     "original_max_position_embeddings": 16}),
    "llama-bias": case(LLAMA, "LlamaForCausalLM", dtype="F16", shards=3, num_key_value_heads=2, attention_bias=True,
                       mlp_bias=True, hidden_act="gelu_pytorch_tanh",
                       rope_parameters={"rope_type": "linear", "rope_theta": 500.0, "factor": 2.5}),
    "llama-classifier": case(LLAMA, "LlamaForSequenceClassification", num_key_value_heads=2, pad_token_id=0, **LABELS),
    "gpt2": case(GPT2, "GPT2LMHeadModel", extra={
        f"transformer.h.{i}.attn.{n}": t for i in range(2) for n, t in
        (("bias", torch.ones(1, 1, 24, 24).tril()), ("masked_bias", torch.tensor(-1e4)))}),
    "gpt2-scaled": case(GPT2, "GPT2LMHeadModel", rename=drop_prefix("transformer."), n_inner=40,
                        activation_function="relu", scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False),
    "gpt2-unscaled": case(GPT2, "GPT2LMHeadModel", dtype="BF16", activation_function="quick_gelu",
                          scale_attn_weights=False, reorder_and_upcast_attn=True),
    "gpt2-classifier": case(GPT2, "GPT2ForSequenceClassification", pad_token_id=0, **LABELS),
    "bert-mlm": case(BERT, "BertForMaskedLM", masked=True),
    "bert-mlm-old": case(BERT, "BertForMaskedLM", rename=old_bert, masked=True, hidden_act="gelu_new",
                         position_embedding_type="absolute", extra={
                             "bert.embeddings.position_ids": torch.arange(24)[None],
                             "bert.pooler.dense.weight": torch.ones(32, 32), "bert.pooler.dense.bias": torch.ones(32),
                             "cls.seq_relationship.weight": torch.ones(2, 32),
                             "cls.seq_relationship.bias": torch.ones(2)}),
    "bert-mlm-untied": case(BERT, "BertForMaskedLM", dtype="F16", tie_word_embeddings=False, hidden_act="relu"),
    "bert-classifier": case(BERT, "BertForSequenceClassification", masked=True, **LABELS),
    "bert-bare": case(BERT, "BertModel", rename=drop_prefix("bert."), masked=True),
    # as Pythia's files are: rotary_emb_base outside, a quarter of each head turns, embed_out, masks as buffers
    "neox": case(NEOX, "GPTNeoXForCausalLM", dtype="F16", seed=2000, rotary_emb_base=500, hidden_size=48,
                 num_attention_heads=3, rename=old_neox, extra={f"gpt_neox.layers.{i}.attention.{n}": t for i in range(2) for n, t in (
                     ("bias", torch.ones(1, 1, 24, 24).tril()), ("masked_bias", torch.tensor(-1e4)),
                     ("rotary_emb.inv_freq", torch.ones(1)))}),
    "neox-serial": case(NEOX, "GPTNeoXForCausalLM", seed=2001, use_parallel_residual=False, hidden_act="gelu_fast",
                        tie_word_embeddings=True, attention_bias=False, rope_parameters={
                            "rope_type": "linear", "factor": 2.5, "rope_theta": 500.0, "partial_rotary_factor": 0.5}),
    "neox-classifier": case(NEOX, "GPTNeoXForSequenceClassification", dtype="BF16", seed=2002, rotary_pct=1.0,
                            rotary_emb_base=50, pad_token_id=0, **LABELS),
    "opt": case(OPT, "OPTForCausalLM", seed=2010),
    "opt-350m": case(OPT, "OPTForCausalLM", dtype="F16", seed=2011, do_layer_norm_before=False,
                     word_embed_proj_dim=20, masked=True),
    "opt-plain": case(OPT, "OPTForCausalLM", seed=2012, enable_bias=False, layer_norm_elementwise_affine=False,
                      _remove_final_layer_norm=True, tie_word_embeddings=False, activation_function="gelu"),
    "opt-classifier": case(OPT, "OPTForSequenceClassification", seed=2013, word_embed_proj_dim=20, **LABELS),
    "opt-bare": case(OPT, "OPTModel", seed=2014, rename=drop_prefix("model."), word_embed_proj_dim=20, masked=True),
    # 7B: one key head, one norm; 40B: grouped, two norms; 11B: grouped, one norm; RW: ALiBi, serial, biases
    "falcon-7b": case(FALCON, "FalconForCausalLM", seed=2020, multi_query=True, parallel_attn=True, rope_theta=500.0),
    "falcon-40b": case(FALCON, "FalconForCausalLM", dtype="BF16", seed=2021, new_decoder_architecture=True,
                       num_kv_heads=2, tie_word_embeddings=False,
                       rope_parameters={"rope_type": "linear", "factor": 2.5, "rope_theta": 500.0}),
    "falcon-11b": case(FALCON, "FalconForCausalLM", seed=2022, new_decoder_architecture=True, num_kv_heads=2,
                       num_ln_in_parallel_attn=1, ffn_hidden_size=40, rope_theta=500.0),
    "falcon-rw": case(FALCON, "FalconForCausalLM", seed=2023, attention="sdpa", alibi=True, multi_query=False,
                      parallel_attn=False, bias=True, hidden_size=48, num_attention_heads=12,
                      max_position_embeddings=640),
    "falcon-classifier": case(FALCON, "FalconForSequenceClassification", seed=2024, multi_query=False, bias=True,
                              activation="relu", pad_token_id=0, rope_theta=500.0, **LABELS),
    # as the 3B's file is: norm_type and mlp_type, which nothing reads, rope_theta outside
    "starcoder2": case(STARCODER2, "Starcoder2ForCausalLM", dtype="BF16", seed=2050, sliding_window=4, rope_theta=500.0,
                       norm_type="layer_norm", mlp_type="default", hidden_act="gelu_pytorch_tanh"),
    "starcoder2-plain": case(STARCODER2, "Starcoder2ForCausalLM", seed=2051, use_bias=False, head_dim=12,
                             num_key_value_heads=1, hidden_act="gelu", tie_word_embeddings=False, rope_parameters={
                                 "rope_type": "linear", "factor": 2.5, "rope_theta": 500.0}),
    "starcoder2-classifier": case(STARCODER2, "Starcoder2ForSequenceClassification", dtype="F16", seed=2052,
                                  sliding_window=None, pad_token_id=0, **LABELS),
    "distilbert-mlm": case(DISTILBERT, "DistilBertForMaskedLM", seed=2030, masked=True),
    "distilbert-untied": case(DISTILBERT, "DistilBertForMaskedLM", dtype="F16", seed=2031, activation="relu",
                              tie_word_embeddings=False),
    "distilbert-classifier": case(DISTILBERT, "DistilBertForSequenceClassification", seed=2032, masked=True, **LABELS),
    "distilbert-bare": case(DISTILBERT, "DistilBertModel", seed=2033, rename=drop_prefix("distilbert."), masked=True),
    "roberta-mlm": case(ROBERTA, "RobertaForMaskedLM", seed=2040, masked=True, hidden_act="gelu_new", extra={
        "roberta.embeddings.position_ids": torch.arange(24)[None],
        "roberta.pooler.dense.weight": torch.ones(32, 32), "roberta.pooler.dense.bias": torch.ones(32)}),
    "roberta-untied": case(ROBERTA, "RobertaForMaskedLM", dtype="BF16", seed=2041, tie_word_embeddings=False,
                           hidden_act="relu"),
    "roberta-classifier": case(ROBERTA, "RobertaForSequenceClassification", seed=2042, masked=True, **LABELS),
    "roberta-bare": case(ROBERTA, "RobertaModel", seed=2043, rename=drop_prefix("roberta."), masked=True),
    "xlm-roberta": case({**ROBERTA, "model_type": "xlm-roberta"}, "XLMRobertaForMaskedLM", seed=2044, masked=True,
                        type_vocab_size=1),
}

CASES.update(DENSE)
CASES.update(moe.CASES)

GELUS = ["gelu", "gelu_fast", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "silu", "tanh", "sigmoid"]
TIED = {"lm_head.weight", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "lm_head.decoder.weight",
        "lm_head.decoder.bias", "vocab_projector.weight"}
TORCH = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def random_weights(model, seed, plus_one=False):
    """Gains about 1, biases of a fifth, matrices that double a unit vector: nothing is near its default."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.named_parameters():
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.dim() == 1:
            norm = "ln_" in name or "norm" in name.lower()
            gain = norm and name.endswith("weight")
            tensor.data = (0 if plus_one else 1) + 0.3 * noise if gain else 0.2 * noise
        elif "embed" in name or "wte" in name or "wpe" in name:
            tensor.data = 0.35 * noise
        elif tensor.dim() == 3 or name.endswith("mlp.gate.weight"):  # experts; a router that prefers some of them
            tensor.data = noise * (0.9 if tensor.dim() == 3 else 1.5) / tensor.shape[-1] ** 0.5
        else:
            query = any(part in name for part in ("q_proj", "k_proj", "qkv_proj", "c_attn", "query", "key", "q_lin",
                                                "k_lin"))
            tensor.data = noise * (1.6 if query else 0.9) / tensor.shape[1 if "c_" not in name else 0] ** 0.5


def write_folder(folder, name, spec, seed):
    config = spec["config"]
    settings = transformers.AutoConfig.for_model(**json.loads(json.dumps(config)))
    model = getattr(transformers, config["architectures"][0])(settings)
    random_weights(model, seed, spec.get("plus_one", False))
    model.tie_weights()
    state = {k: v.detach().to(TORCH[spec["dtype"]]).contiguous() for k, v in model.state_dict().items()}
    if settings.tie_word_embeddings:
        for name in TIED:
            state.pop(name, None)
    if spec["split"]:
        state = moe.split_experts(state, *spec["split"])
    if spec["rename"]:
        state = {spec["rename"](k): v for k, v in state.items()}
    state.update(spec["extra"] or {})
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(folder + "/config.json", "w") as file:
        json.dump(config, file, indent=1)
        file.write("\n")
    write_shards(folder, state, spec["shards"])


def write_shards(folder, state, n):
    if n == 1:
        return save_file(state, folder + "/model.safetensors", metadata={"format": "pt"})
    names = sorted(state)
    index = {"metadata": {"total_size": sum(t.numel() * t.element_size() for t in state.values())}, "weight_map": {}}
    for i in range(n):
        part = f"model-{i + 1:05d}-of-{n:05d}.safetensors"
        chosen = names[i::n]
        save_file({k: state[k] for k in chosen}, f"{folder}/{part}", metadata={"format": "pt"})
        index["weight_map"].update({k: part for k in chosen})
    with open(folder + "/model.safetensors.index.json", "w") as file:
        json.dump(index, file, indent=1, sort_keys=True)
        file.write("\n")


def load(folder, spec):
    cls = getattr(transformers, spec["config"]["architectures"][0])
    model, info = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation=spec["attention"],
                                      output_loading_info=True)
    missing = set(info["missing_keys"]) - TIED - {"cls.predictions.bias"}
    assert not missing, missing
    return model.eval()


def make_inputs(spec, seed):
    rng = np.random.default_rng(seed)
    sequences = []
    for n in LENGTHS:
        ids = torch.tensor(rng.integers(3, VOCABULARY, n))
        mask = torch.ones(n, dtype=torch.bool)
        types = torch.tensor([0] * (n - n // 2) + [1] * (n // 2))
        if spec["masked"]:
            mask[[-1, 1]] = False  # padding at the end, and a hole
        if spec["masked"] and "roberta" in spec["config"]["model_type"]:
            ids[~mask] = spec["config"]["pad_token_id"]  # positions follow from the ids there
        sequences.append((ids, mask, types if spec["config"].get("type_vocab_size") == 2 else torch.zeros(n).long()))
    return sequences


def put_columns(value, width, filler):
    """[H, T, T] -> [T, H, width]."""
    value = value.transpose(0, 1)
    out = torch.full((*value.shape[:2], width), filler)
    out[..., : value.shape[2]] = value
    return out


def collect(store, sites, suffixes):
    width = max(LENGTHS)
    for name, value in sites.items():
        columns = name.endswith(("attn_scores", "pattern"))
        filler = float("-inf") if name.endswith("attn_scores") else 0.0
        values = [("", value.detach())]
        if suffixes:
            grad = value.grad if value.grad is not None else torch.zeros_like(value)
            values.append((".grad", torch.nan_to_num(grad) if columns else grad))
        for suffix, tensor in values:
            if columns:
                tensor = put_columns(tensor, width, filler if suffix == "" else 0.0)
            store.setdefault(name + suffix, []).append(tensor)


def run_case(model, spec, seed):
    config, store = spec["config"], {}
    classifier = "ForSequenceClassification" in config["architectures"][0]
    bare = config["architectures"][0].endswith("Model") and "LMHead" not in config["architectures"][0]
    encoder = config["model_type"] in ENCODERS
    rng = np.random.default_rng(seed + 1)
    out = {k: [] for k in ("ids", "mask", "types", "outputs", "targets", "logits", "final")}
    begin = 0
    for ids, mask, types in make_inputs(spec, seed):
        model.zero_grad()
        sites, selected, logits = FORWARD[config["model_type"]](model, ids, mask, types)
        own = own_forward(model, ids, mask, types)
        if classifier:
            logits = logits if encoder else logits[-1:]
        difference = (logits.reshape(own.shape) - own).abs().max()
        assert difference <= 2e-5 * max(1, own.abs().max()), f"sites do not lead to the model's own logits: {difference}"
        targets = [-1] * len(logits)
        if classifier:
            targets = [int(rng.integers(0, 3))]
            logits[0, targets[0]].backward()
        elif not bare:
            at = len(logits) - 1 if begin == 0 else len(logits) - 2
            targets[at] = int(rng.integers(0, VOCABULARY))
            logits[at].log_softmax(-1)[targets[at]].backward()
        collect(store, {**sites, **selected}, not bare)
        row = 0 if encoder else len(ids) - 1
        out["outputs"] += [begin + row] if classifier else ([begin] if bare else range(begin, begin + len(ids)))
        out["targets"] += targets if not bare else [-1]
        out["logits" if not bare else "final"].append(own.detach())
        for key, value in (("ids", ids), ("mask", mask), ("types", types)):
            out[key].append(value)
        begin += len(ids)
    golden = {k: torch.cat(v).contiguous() for k, v in store.items()}
    for key in ("ids", "types"):
        golden[key] = torch.cat(out[key]).int()
    golden["mask"] = torch.cat(out["mask"]).to(torch.uint8)
    golden["lengths"] = torch.tensor(LENGTHS).int()
    golden["outputs"] = torch.tensor(list(out["outputs"])).int()
    golden["targets"] = torch.tensor(out["targets"]).int()
    for key in ("logits", "final"):
        if out[key]:
            parts = [t.reshape(-1, t.shape[-1]) for t in out[key]]
            golden[key] = torch.cat(parts).contiguous()
    return golden


def run_activations(folder, spec, seed):
    """Logits of one set of weights under each activation function."""
    golden = {}
    for name in GELUS:
        config = transformers.AutoConfig.from_pretrained(folder, activation_function=name)
        model = transformers.GPT2LMHeadModel.from_pretrained(folder, config=config, dtype=torch.float32).eval()
        with torch.no_grad():
            logits = [own_forward(model, *inputs) for inputs in make_inputs(spec, seed)]
        golden["logits." + name] = torch.cat(logits).contiguous()
    return golden


def run_long(model):
    """Logits of the last rows of a sequence so long that a bf16 number cannot hold every position."""
    ids = torch.arange(600) * 7 % (VOCABULARY - 3) + 3
    with torch.no_grad():
        logits = model(input_ids=ids[None]).logits[0, -4:]
    return {"long.ids": ids.int(), "long.logits": logits.contiguous()}


def describe(name, golden):
    patterns = [golden[k] for k in golden if k.endswith("hook_pattern")]
    rows = torch.cat([p.reshape(-1, p.shape[-1]) for p in patterns])
    entropy = -(rows * rows.clamp_min(1e-30).log()).sum(-1)
    print(f"{name}: {len(golden)} tensors, {sum(t.numel() * t.element_size() for t in golden.values()) // 1024} KiB, "
          f"largest logit {golden.get('logits', torch.zeros(1)).abs().max():.2f}, mean attention entropy "
          f"{entropy.mean():.2f} (uniform over 7: 1.95), largest weight {rows.max(-1).values.mean():.2f}")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=os.path.join(here, "..", "..", "golden"))
    parser.add_argument("cases", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    for name in arguments.cases:
        spec = CASES[name]
        seed = spec["seed"] or 1000 + list(CASES).index(name)
        folder = os.path.join(arguments.out, name)
        write_folder(folder, name, spec, seed)
        model = load(folder, spec)
        golden = run_case(model, spec, seed)
        if name == "gpt2":
            golden.update(run_activations(folder, spec, seed))
        if name == "mixtral":
            forward = functools.partial(FORWARD["mixtral"], model)
            golden.update(moe.run_edits(forward, Sites, make_inputs(spec, seed)))
        if name == "falcon-rw":
            golden.update(run_long(model))
        save_file(golden, folder + "/golden.safetensors")
        describe(name, golden)


if __name__ == "__main__":
    main()
