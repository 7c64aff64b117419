"""Random configurations with mixtures of experts, the walk of their routers and experts, and edits of them;
make_random.py and dense.py take all three from here."""
import torch

VOCABULARY = 61
BASE = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 0.02,
        "hidden_act": "silu", "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}
MIXTRAL = {**BASE, "model_type": "mixtral", "intermediate_size": 20, "num_local_experts": 5, "num_experts_per_tok": 2,
           "sliding_window": None}
QWEN2 = {**BASE, "model_type": "qwen2_moe", "moe_intermediate_size": 20, "shared_expert_intermediate_size": 28,
         "num_experts": 6, "num_experts_per_tok": 3}
QWEN3 = {**BASE, "model_type": "qwen3_moe", "moe_intermediate_size": 20, "num_experts": 6, "num_experts_per_tok": 3,
         "head_dim": 12}
MIXTRAL_NAMES = ("block_sparse_moe", "w1", "w3", "w2")
QWEN_NAMES = ("mlp", "gate_proj", "up_proj", "down_proj")


def split_experts(state, block, gate, up, down):
    """Stacked experts as the single tensors that most folders hold."""
    out = {}
    for name, tensor in state.items():
        layer, dot, rest = name.rpartition(".mlp.")
        if dot and rest == "experts.gate_up_proj":
            for e, both in enumerate(tensor):
                for part, value in zip((gate, up), both.chunk(2)):
                    out[f"{layer}.{block}.experts.{e}.{part}.weight"] = value.contiguous()
        elif dot and rest == "experts.down_proj":
            for e, value in enumerate(tensor):
                out[f"{layer}.{block}.experts.{e}.{down}.weight"] = value.contiguous()
        else:
            out[f"{layer}.{block}.{rest}" if dot else name] = tensor
    return out


def case(base, architecture, seed, dtype="F32", split=None, **config):
    settings = {"architectures": [architecture], **base, **config}
    return {"config": {k: v for k, v in settings.items() if v is not ...}, "dtype": dtype, "shards": 1, "rename": None,
            "extra": None, "masked": False, "split": split, "seed": seed, "attention": "eager"}


CASES = {
    # experts one by one under their first names; stacked as transformers 5 holds them, with a window
    "mixtral": case(MIXTRAL, "MixtralForCausalLM", 2101, split=MIXTRAL_NAMES, rope_parameters=..., rope_theta=50.0),
    "mixtral-stacked": case(MIXTRAL, "MixtralForCausalLM", 2102, dtype="BF16", num_experts_per_tok=3, hidden_act="gelu",
                            sliding_window=4),
    # a shared expert with a gate; weights as the softmax gave them; a plain layer by number, then by step
    "qwen2-moe": case(QWEN2, "Qwen2MoeForCausalLM", 2103, split=QWEN_NAMES, norm_topk_prob=False, num_hidden_layers=3,
                      mlp_only_layers=[1]),
    "qwen2-moe-stacked": case(QWEN2, "Qwen2MoeForCausalLM", 2104, dtype="F16", norm_topk_prob=True, qkv_bias=False,
                              decoder_sparse_step=2, tie_word_embeddings=True, use_sliding_window=True,
                              sliding_window=3, max_window_layers=1),
    "qwen2-moe-classifier": case(QWEN2, "Qwen2MoeForSequenceClassification", 2105, split=QWEN_NAMES, pad_token_id=0,
                                 id2label={"0": "refuse", "1": "ask", "2": "grant"},
                                 label2id={"refuse": 0, "ask": 1, "grant": 2}),
    "qwen3-moe": case(QWEN3, "Qwen3MoeForCausalLM", 2106, split=QWEN_NAMES, norm_topk_prob=True, attention_bias=True),
    "qwen3-moe-stacked": case(QWEN3, "Qwen3MoeForCausalLM", 2107, dtype="BF16", norm_topk_prob=False, num_experts=...,
                              num_local_experts=6, mlp_only_layers=[0], use_sliding_window=True, sliding_window=4),
}


def gated_mlp(sites, prefix, module, h):
    pre = sites.keep(prefix + "hook_pre", module.gate_proj(h))
    linear = sites.keep(prefix + "hook_pre_linear", module.up_proj(h))
    return module.down_proj(sites.keep(prefix + "hook_post", module.act_fn(pre) * linear))


def experts(sites, p, block, h):
    """Every expert is computed and what was not chosen is set to 0, so that the choice shows in each value."""
    router, e = block.gate, block.experts
    logits = sites.keep(p + "mlp.hook_router_logits", h @ router.weight.T)
    weights = sites.keep(p + "mlp.hook_expert_weights", logits.softmax(-1))
    indices = sites.keep(p + "mlp.hook_expert_indices", weights.topk(router.top_k, -1)[1].float()).long()
    top = weights.gather(-1, indices)
    if getattr(router, "norm_topk_prob", True):
        top = top / top.sum(-1, keepdim=True)
    kept = sites.keep(p + "mlp.hook_routing_weights", torch.zeros_like(weights).scatter_add(-1, indices, top))
    on = (kept != 0).float()[..., None]
    gate, up = torch.einsum("td,efd->tef", h, e.gate_up_proj).chunk(2, -1)
    pre = sites.keep(p + "mlp.experts.hook_pre", gate * on)
    linear = sites.keep(p + "mlp.experts.hook_pre_linear", up * on)
    post = sites.keep(p + "mlp.experts.hook_post", e.act_fn(pre) * linear)
    each = sites.keep(p + "mlp.experts.hook_out", torch.einsum("tef,edf->ted", post, e.down_proj) * on)
    out = (kept[..., None] * each).sum(1)
    if not hasattr(block, "shared_expert"):
        return out
    out = sites.keep(p + "mlp.hook_experts_out", out)
    shared = gated_mlp(sites, p + "mlp.shared_expert.", block.shared_expert, h)
    shared = sites.keep(p + "mlp.shared_expert.hook_out", shared)
    return out + sites.keep(p + "mlp.shared_expert.hook_gate", block.shared_expert_gate(h).sigmoid()) * shared


def with_columns(columns, change):
    """An edit of some columns of [T, E, ...]."""
    def edit(value):
        value = value.clone()
        value[:, columns] = change(value[:, columns])
        return value
    return edit


EDITS = {
    "off": {"blocks.0.mlp.hook_router_logits": with_columns([1], lambda x: torch.full_like(x, float("-inf")))},
    "weight": {"blocks.0.mlp.hook_routing_weights": with_columns([0, 2], lambda x: 0 * x)},
    "on": {"blocks.1.mlp.hook_routing_weights": with_columns([3], lambda x: 0 * x + 0.75)},
    "out": {"blocks.1.mlp.experts.hook_out": with_columns([2], lambda x: -2 * x)},
    "index": {"blocks.0.mlp.hook_expert_indices": with_columns([0], lambda x: 0 * x + 4)},
}


def run_edits(forward, sites, inputs):
    """Logits of a model with experts forced off, on, changed and chosen by hand."""
    golden = {}
    for name, edits in EDITS.items():
        sites.edits = edits
        with torch.no_grad():
            golden["logits." + name] = torch.cat([forward(*each)[2] for each in inputs]).contiguous()
    sites.edits = {}
    return golden
