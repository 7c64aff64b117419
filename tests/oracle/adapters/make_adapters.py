#!/usr/bin/env python3
"""Random adapters of every kind on the random models of tests/oracle/models, and what PEFT makes of them.

    python3 make_adapters.py [--out tests/golden] [CASE ...]

Each case is a folder under tests/golden/adapters: one folder for each adapter, as PEFT saves it, and golden.safetensors
as make_random.py describes it. Cases that are not `full` hold logits only. Sites and gradients are those of the model
with its adapters merged; PEFT's own unmerged answer must agree with it (a merge would change a tied table twice, and
the norms of a second DoRA: those cases are not merged).
"""
import argparse
import json
import os
import re
import shutil
import sys
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "models"))
import make_random  # noqa: E402
from families import own_forward  # noqa: E402

LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def lora(after=None, **config):
    """after: keys of adapter_config.json to set once the adapter is saved."""
    return {"config": {"r": 4, "lora_alpha": 6, **config}, "after": after or {}}


def case(base, *adapters, weights=None, full=False, merges=True):
    return {"base": base, "adapters": adapters, "weights": weights or [1.0] * len(adapters), "full": full,
            "merges": merges}


CASES = {
    "patterns": case("llama3", lora(target_modules=LLAMA, rank_pattern={"q_proj": 2, "layers.1.mlp.up_proj": 3},
                                    alpha_pattern={"model.layers.0.self_attn.o_proj": 9, "down_pr.*": 2}), full=True),
    "regex-rslora": case("llama-bias", lora(
        target_modules=r".*\.layers\.\d+\.(self_attn\.(q|v|o)_proj|mlp\.(down|up)_proj)", use_rslora=True,
        exclude_modules=r".*\.1\.mlp\..*")),
    "dora": case("llama-bias", lora(target_modules="all-linear", use_dora=True), full=True),
    "dora-conv": case("gpt2", lora(target_modules=["c_attn", "c_proj", "c_fc"], use_dora=True, fan_in_fan_out=True),
                      full=True),
    "tables": case("gpt2-scaled", lora(target_modules=["c_attn", "wte", "wpe", "lm_head", "mlp.c_proj"],
                                       fan_in_fan_out=True), full=True),
    "saved": case("llama-old", lora(target_modules=["v_proj", "embed_tokens"],
                                    modules_to_save=["lm_head", "norm", "input_layernorm"]), full=True),
    "saved-tied": case("llama3", lora(target_modules=["v_proj"], modules_to_save=["embed_tokens"])),
    "tied-table": case("llama3", lora(target_modules=["q_proj", "embed_tokens"]), merges=False),
    "tied-head": case("llama3", lora(target_modules=["q_proj", "lm_head"]), merges=False),
    "layers": case("llama-old", lora(target_modules=["q_proj", "down_proj"], layers_to_transform=[1],
                                     layers_pattern="layers")),
    "narrowed": case("llama-old", lora(target_modules=["q_proj", "v_proj", "up_proj"], after={
        "target_modules": ["q_proj", "self_attn.v_proj"], "layers_to_transform": 0, "exclude_modules": ["0.mlp"]})),
    "biases": case("llama-bias", lora(target_modules=["q_proj", "o_proj"], bias="lora_only")),
    "all-biases": case("gpt2", lora(target_modules=["c_attn"], bias="all", fan_in_fan_out=True)),
    "bert": case("bert-mlm", lora(target_modules=["query", "value", "dense"]), full=True),
    "bert-classifier": case("bert-classifier", lora(target_modules="all-linear", task_type="SEQ_CLS")),
    "classifier": case("llama-classifier", lora(target_modules=["q_proj", "v_proj"], task_type="SEQ_CLS")),
    "neox": case("neox", lora(target_modules="all-linear", use_dora=True), full=True),
    "neox-saved": case("neox-serial", lora(target_modules=["attention.dense"],
                                           modules_to_save=["attention.query_key_value"])),
    "falcon": case("falcon-40b", lora(target_modules=["query_key_value", "dense", "dense_h_to_4h"], use_dora=True),
                   full=True),
    "falcon-multi": case("falcon-7b", lora(target_modules=["query_key_value", "word_embeddings"]), merges=False),
    "starcoder2": case("starcoder2", lora(target_modules="all-linear")),
    "opt": case("opt-350m", lora(target_modules="all-linear")),
    "distilbert": case("distilbert-mlm", lora(target_modules=["q_lin", "v_lin", "out_lin", "lin1", "lin2"])),
    "roberta": case("roberta-mlm", lora(target_modules=["query", "key", "dense"])),
    "phi3": case("phi3", lora(target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"], use_dora=True),
                 full=True),
    "gemma2": case("gemma2", lora(target_modules=LLAMA, modules_to_save=["pre_feedforward_layernorm", "norm"]),
                   full=True),
    "gemma3-table": case("gemma3", lora(target_modules=["embed_tokens", "q_proj", "o_proj"]), merges=False),
    "qwen3": case("qwen3", lora(target_modules="all-linear", use_dora=True, modules_to_save=["q_norm"])),
    "mistral": case("mistral", lora(target_modules="all-linear")),
    "vision": case("qwen2-vision", lora(target_modules=r".*language_model.*\.(q|v|o|up)_proj")),
    "llava": case("llava", lora(target_modules=r".*language_model.*\.(q|v|o|up)_proj")),
    "mixtral": case("mixtral", lora(target_modules=["q_proj", "o_proj", "lm_head"])),
    "two": case("llama-old", lora(target_modules=LLAMA), lora(target_modules=["q_proj", "o_proj", "lm_head"], r=3,
                                                              use_rslora=True), weights=[0.7, -0.4], full=True),
    "two-dora": case("llama-bias", lora(target_modules=["q_proj", "o_proj", "down_proj"], use_dora=True),
                     lora(target_modules=["q_proj", "o_proj", "v_proj"]), weights=[0.5, 1.5], merges=False),
}


def randomise(model, seed):
    """What the adapter trains, far from its initial values."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.named_parameters():
        if not tensor.requires_grad:
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if "lora_A" in name or "lora_embedding_B" in name:
            tensor.data = noise / tensor.shape[1] ** 0.5
        elif "lora_B" in name or "lora_embedding_A" in name:
            tensor.data = 0.5 * noise
        elif "magnitude" in name:
            tensor.data = tensor.data * (1 + 0.3 * noise)
        else:
            tensor.data = tensor.data + 0.3 * noise


def base_model(name, out):
    spec = make_random.CASES[name]
    return make_random.load(os.path.join(out, name), spec), spec


def write_adapter(folder, base, out, adapter, seed):
    model, _ = base_model(base, out)
    model.config._name_or_path = model.name_or_path = "tiny/" + base
    peft = get_peft_model(model, LoraConfig(base_model_name_or_path="tiny/" + base, **adapter["config"]))
    randomise(peft, seed)
    shutil.rmtree(folder, ignore_errors=True)
    peft.save_pretrained(folder)
    os.remove(folder + "/README.md")
    path = folder + "/adapter_config.json"
    with open(path) as file:
        config = json.load(file)
    config.update(adapter["after"])
    config["base_model_name_or_path"] = "tiny/" + base
    for key in ("target_modules", "exclude_modules"):  # sets, in an order of their own
        if isinstance(config.get(key), list):
            config[key] = sorted(config[key])
    with open(path, "w") as file:
        json.dump(config, file, indent=1, sort_keys=True)
        file.write("\n")


def load_peft(folder, spec, out):
    model, _ = base_model(spec["base"], out)
    peft = None
    for i, weight in enumerate(spec["weights"]):
        path = f"{folder}/{i + 1}"
        if peft is None:
            peft = PeftModel.from_pretrained(model, path, adapter_name="1")
        else:
            peft.load_adapter(path, adapter_name=str(i + 1))
    names = [str(i + 1) for i in range(len(spec["weights"]))]
    peft.base_model.set_adapter(names if len(names) > 1 else names[0])
    for module in peft.modules():
        if hasattr(module, "set_scale"):
            for name, weight in zip(names, spec["weights"]):
                if name in module.scaling:
                    module.set_scale(name, weight)
    return peft.eval()


def layer_weights(model):
    """Matrices by (layer, component)."""
    found = {}
    for name, tensor in model.state_dict().items():
        part = re.search(r"layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)_proj\.weight", name)
        if part:
            component = {"gate": "mlp gate", "up": "mlp in", "down": "mlp out"}.get(part[2], part[2])
            found[int(part[1]), component] = tensor.double()
    return found


def compare_weights(base, tuned, config, top_k=4):
    """What `limn diff` says about norms and spectra; and the heads."""
    before, after, heads = layer_weights(base), layer_weights(tuned), {}
    table = []
    n, d, groups = config.num_attention_heads, config.head_dim, config.num_key_value_heads
    for (layer, component), weight in sorted(before.items()):
        change = after[layer, component] - weight
        if change.norm() < 1e-6 * weight.norm():
            continue
        values = torch.linalg.svdvals(change)
        share = values / values.sum()
        table.append({"layer": layer, "component": component, "relative": float(change.norm() / weight.norm()),
                      "largest": float(values[0]), "effective": float((-(share * share.clamp_min(1e-300).log()).sum()).exp()),
                      "energy": float(values[:top_k].square().sum() / values.square().sum())})
        for head in range(n if component in "qkvo" else 0):
            own = head if component in "qo" else head // (n // groups)
            cut = (slice(None), slice(own * d, own * d + d)) if component == "o" else slice(own * d, own * d + d)
            sums = heads.setdefault(f"{layer}.{head}", [0.0, 0.0])
            sums[0] += float(change[cut].square().sum())
            sums[1] += float(weight[cut].square().sum())
    return {"weights": table, "heads": {key: (a / b) ** 0.5 for key, (a, b) in heads.items()}}


def write_comparison(name, spec, folder, out):
    base, base_spec = base_model(spec["base"], out)
    tuned = load_peft(folder, spec, out).merge_and_unload()
    with open(folder + "/diff.json", "w") as file:
        json.dump(compare_weights(base, tuned, base.config), file, indent=1, sort_keys=True)
        file.write("\n")
    if name == "layers":  # the same as a model of its own
        os.makedirs(folder + "/merged", exist_ok=True)
        with open(folder + "/merged/config.json", "w") as file:
            json.dump(base_spec["config"], file, indent=1)
            file.write("\n")
        save_file({k: v.contiguous() for k, v in tuned.state_dict().items()}, folder + "/merged/model.safetensors")


def make_case(name, out):
    spec = CASES[name]
    folder = os.path.join(out, "adapters", name)
    seed = 5000 + sum(map(ord, name))
    for i, adapter in enumerate(spec["adapters"]):
        write_adapter(f"{folder}/{i + 1}", spec["base"], out, adapter, seed + i)
    base_spec = make_random.CASES[spec["base"]]
    base_seed = base_spec["seed"] or 1000 + list(make_random.CASES).index(spec["base"])
    peft = load_peft(folder, spec, out)
    with torch.no_grad():
        own = [own_forward(peft, *inputs) for inputs in make_random.make_inputs(base_spec, base_seed)]
    own = torch.cat([t.reshape(-1, t.shape[-1]) for t in own])
    if spec["merges"]:
        for parameter in peft.parameters():
            parameter.requires_grad_(True)
        golden = make_random.run_case(peft.merge_and_unload(), base_spec, base_seed)
        difference = (golden["logits"] - own).abs().max()
        assert difference <= 2e-5 * max(1, own.abs().max()), f"merged and unmerged differ by {difference}"
    else:
        golden = load_file(os.path.join(out, spec["base"], "golden.safetensors"))
    before = load_file(os.path.join(out, spec["base"], "golden.safetensors"))["logits"]
    golden["logits"] = own.contiguous()
    if not spec["full"]:
        kept = ("ids", "types", "mask", "lengths", "outputs", "targets", "logits")
        golden = {key: golden[key].contiguous() for key in kept}
    save_file(golden, folder + "/golden.safetensors")
    if name in ("patterns", "dora", "two", "layers"):
        write_comparison(name, spec, folder, out)
    print(f"{name}: {len(golden)} tensors, largest logit {own.abs().max():.2f}, the adapter moves logits by "
          f"{(own - before).abs().max():.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=os.path.join(HERE, "..", "..", "golden"))
    parser.add_argument("cases", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in arguments.cases:
        make_case(name, os.path.relpath(arguments.out))


if __name__ == "__main__":
    main()
