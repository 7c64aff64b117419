"""Random configurations of Llama's kin, and the walk of their modules; make_random.py takes both from here."""
import torch
from moe import experts
from transformers.models.phi3.modeling_phi3 import apply_rotary_pos_emb

VOCABULARY = 61
LABELS = {"id2label": {"0": "refuse", "1": "ask", "2": "grant"}, "label2id": {"refuse": 0, "ask": 1, "grant": 2}}
BASE = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 0.02,
        "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
ROPE = {"rope_theta": 50.0}
NEW_ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}
GEMMA = {**BASE, "head_dim": 12, "query_pre_attn_scalar": 5, "tie_word_embeddings": True, "attention_bias": False,
         "hidden_activation": "gelu_pytorch_tanh", "pad_token_id": 0}
LOCAL_GLOBAL = {"sliding_attention": {"rope_type": "default", "rope_theta": 20.0},
                "full_attention": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}}
PHI3 = {**BASE, "model_type": "phi3", "num_attention_heads": 2, "num_key_value_heads": 1}
FACTORS = {"short_factor": [1.0, 1.1, 1.3, 1.6], "long_factor": [1.5, 2.0, 3.0, 5.0]}
SIGLIP = {"model_type": "siglip_vision_model", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
          "num_attention_heads": 1, "image_size": 8, "patch_size": 4}
PIXTRAL = {"model_type": "pixtral", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
           "num_attention_heads": 1, "image_size": 8, "patch_size": 4, "head_dim": 8}
CLIP = {"model_type": "clip_vision_model", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 1, "image_size": 8, "patch_size": 4, "projection_dim": 8, "vocab_size": 61}
QWEN_VISION = {"depth": 1, "embed_dim": 8, "hidden_size": 32, "num_heads": 1, "mlp_ratio": 1, "patch_size": 4,
               "spatial_merge_size": 1, "temporal_patch_size": 1, "in_channels": 3}


def case(architecture, model_type, seed, dtype="F32", shards=1, rename=None, plus_one=False, base=BASE, **config):
    settings = {"architectures": [architecture], "model_type": model_type, **base, **config}
    return {"config": {k: v for k, v in settings.items() if v is not ...}, "dtype": dtype, "shards": shards,
            "rename": rename, "extra": None, "masked": False, "split": None, "seed": seed, "plus_one": plus_one,
            "attention": "eager"}


def nested(architecture, model_type, seed, text_type, text, vision, rename=None, plus_one=False, **config):
    """A multimodal folder: the text part's settings under text_config."""
    text = {k: v for k, v in {"model_type": text_type, **text}.items() if v is not ...}
    return case(architecture, model_type, seed, rename=rename, plus_one=plus_one, base={}, text_config=text,
                vision_config=vision, **config)


def to_old_nesting(name):
    """model.language_model.X was language_model.model.X, and the head lay in language_model too."""
    if name.startswith("model.language_model."):
        return "language_model.model." + name.removeprefix("model.language_model.")
    return "language_model." + name if name.startswith("lm_head") else name.removeprefix("model.")


def to_flat_qwen(name):
    return name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")


CASES = {
    "mistral": case("MistralForCausalLM", "mistral", 3001, dtype="BF16", head_dim=12, sliding_window=4, **ROPE),
    "mistral-classifier": case("MistralForSequenceClassification", "mistral", 3002, head_dim=None, sliding_window=2,
                               **NEW_ROPE, **{**LABELS, "pad_token_id": 0}),
    # the window is stated and not used; longer than the original context
    "qwen2-yarn": case("Qwen2ForCausalLM", "qwen2", 3003, dtype="BF16", tie_word_embeddings=True, sliding_window=2,
                       use_sliding_window=False, max_window_layers=0, rope_theta=2000.0, max_position_embeddings=6,
                       rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 6}),
    "qwen2-window": case("Qwen2ForCausalLM", "qwen2", 3004, dtype="F16", use_sliding_window=True, sliding_window=4,
                         max_window_layers=1, max_position_embeddings=5,
                         rope_parameters={"rope_type": "dynamic", "rope_theta": 50.0, "factor": 3.0}),
    "qwen2-classifier": case("Qwen2ForSequenceClassification", "qwen2", 3005, **ROPE, **{**LABELS, "pad_token_id": 0}),
    "qwen3": case("Qwen3ForCausalLM", "qwen3", 3006, dtype="BF16", head_dim=12, tie_word_embeddings=True,
                  use_sliding_window=False, sliding_window=None, **ROPE),
    "qwen3-window": case("Qwen3ForCausalLM", "qwen3", 3007, head_dim=12, attention_bias=True, use_sliding_window=True,
                         sliding_window=4, layer_types=["sliding_attention", "full_attention"], num_key_value_heads=1,
                         **NEW_ROPE),
    "gemma2": case("Gemma2ForCausalLM", "gemma2", 3008, plus_one=True, base=GEMMA, sliding_window=4,
                   attn_logit_softcapping=1.5, final_logit_softcapping=2.0, **ROPE),
    "gemma2-classifier": case("Gemma2ForSequenceClassification", "gemma2", 3009, plus_one=True,
                              base={**GEMMA, "attention_bias": True}, sliding_window=2, attn_logit_softcapping=None,
                              final_logit_softcapping=2.0, layer_types=["full_attention", "sliding_attention"],
                              **NEW_ROPE, **LABELS),
    # two rotary bases, as written before transformers 5 and after
    "gemma3": case("Gemma3ForCausalLM", "gemma3_text", 3010, plus_one=True, base=GEMMA, num_hidden_layers=3,
                   sliding_window=4, sliding_window_pattern=2, rope_theta=500.0, rope_local_base_freq=20.0,
                   rope_scaling={"rope_type": "linear", "factor": 2.0}),
    "gemma3-bf16": case("Gemma3ForCausalLM", "gemma3_text", 3011, dtype="BF16", plus_one=True, base=GEMMA,
                        sliding_window=2, num_key_value_heads=1, layer_types=["sliding_attention", "full_attention"],
                        rope_parameters=LOCAL_GLOBAL, final_logit_softcapping=2.0, tie_word_embeddings=False),
    # fused matrices; a prompt beyond the original length; part of each head turns
    "phi3": case("Phi3ForCausalLM", "phi3", 3012, base=PHI3, dtype="BF16", partial_rotary_factor=0.5, sliding_window=4,
                 original_max_position_embeddings=5, rope_theta=50.0, rope_scaling={"type": "longrope", **FACTORS}),
    "phi3-plain": case("Phi3ForCausalLM", "phi3", 3013, base=PHI3, num_attention_heads=4, num_key_value_heads=None,
                       sliding_window=None, tie_word_embeddings=True, **NEW_ROPE),
    "phi3-classifier": case("Phi3ForSequenceClassification", "phi3", 3014, base=PHI3, num_attention_heads=4,
                            original_max_position_embeddings=5, rope_theta=50.0,
                            rope_scaling={"type": "su", "original_max_position_embeddings": 5, **FACTORS}, **{**LABELS, "pad_token_id": 0}),
    "llama-dynamic": case("LlamaForCausalLM", "llama", 3015, max_position_embeddings=5, rope_theta=50.0,
                          rope_scaling={"type": "dynamic", "factor": 2.0}),
    "llama-yarn": case("LlamaForCausalLM", "llama", 3016, head_dim=16, rope_parameters={
        "rope_type": "yarn", "rope_theta": 5000.0, "factor": 8.0, "original_max_position_embeddings": 4,
        "beta_fast": 2.0, "beta_slow": 0.1, "truncate": False, "mscale": 1.5, "mscale_all_dim": 0.5}),
    "llama-longrope": case("LlamaForCausalLM", "llama", 3017, rope_parameters={
        "rope_type": "longrope", "rope_theta": 50.0, "original_max_position_embeddings": 5, "factor": 3.0, **FACTORS}),
    "gemma3-vision": nested("Gemma3ForConditionalGeneration", "gemma3", 3018, "gemma3_text",
                            {**GEMMA, "num_hidden_layers": 3, "sliding_window": 4, "sliding_window_pattern": 2,
                             "rope_local_base_freq": 20.0, "rope_theta": 500.0}, SIGLIP, rename=to_old_nesting,
                            plus_one=True, mm_tokens_per_image=1, image_token_index=60, boi_token_index=59,
                            eoi_token_index=58),
    "gemma3-vision-classifier": nested("Gemma3ForSequenceClassification", "gemma3", 3023, "gemma3_text",
                                       {**GEMMA, "sliding_window": 4, "rope_parameters": LOCAL_GLOBAL}, SIGLIP,
                                       plus_one=True, mm_tokens_per_image=1, image_token_index=60, boi_token_index=59,
                                       eoi_token_index=58, **LABELS),
    "mistral3-vision": nested("Mistral3ForConditionalGeneration", "mistral3", 3019, "mistral",
                              {**BASE, "head_dim": 12, "sliding_window": None, **ROPE}, PIXTRAL,
                              image_token_index=60, tie_word_embeddings=False),
    "qwen2-vision": case("Qwen2VLForConditionalGeneration", "qwen2_vl", 3020, rename=to_flat_qwen, **ROPE,
                         rope_scaling={"type": "mrope", "mrope_section": [1, 1, 2]}, vision_config=QWEN_VISION,
                         image_token_id=60, video_token_id=59, vision_start_token_id=58, vision_end_token_id=57),
    "qwen3-vision": nested("Qwen3VLForConditionalGeneration", "qwen3_vl", 3022, "qwen3_vl_text",
                           {**BASE, "head_dim": 12, "rope_theta": 50.0, "pad_token_id": None, "rope_scaling": {
                               "rope_type": "default", "mrope_section": [2, 2, 2], "mrope_interleaved": True}},
                           {**QWEN_VISION, "hidden_size": 8, "intermediate_size": 8, "out_hidden_size": 32,
                            "num_position_embeddings": 4, "deepstack_visual_indexes": [0]}, image_token_id=60,
                           video_token_id=59, vision_start_token_id=58, vision_end_token_id=57),
    "llava": nested("LlavaForConditionalGeneration", "llava", 3021, "llama", {**BASE, **ROPE}, CLIP,
                    rename=to_old_nesting, image_token_index=60),
}


def rms(sites, name, module, x):
    """Gemma's gains are 1 + w."""
    plus_one = "Gemma" in type(module).__name__
    epsilon = module.eps if plus_one else module.variance_epsilon
    scale = sites.keep(name + ".hook_scale", (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt())
    normalized = sites.keep(name + ".hook_normalized", x / scale)
    return normalized * (module.weight + 1 if plus_one else module.weight)


def pattern(sites, p, q, k, scale, softcap, window, mask):
    n, groups = len(q), q.shape[1] // k.shape[1]
    scores = torch.einsum("qhk,shk->hqs", q, k.repeat_interleave(groups, 1)) * scale
    if softcap is not None:
        scores = softcap * (scores / softcap).tanh()
    rows, keys = torch.arange(n)[:, None], torch.arange(n)[None]
    seen = mask[None].expand(n, n) & (keys <= rows)
    if window is not None:
        seen = seen & (keys > rows - window)
    scores = sites.keep(p + "attn.hook_attn_scores", scores.masked_fill(~seen, float("-inf")))
    return sites.keep(p + "attn.hook_pattern", scores.softmax(-1))


def projections(layer, h):
    """Queries, keys, values [T, heads, K], from three matrices or from one."""
    a, n = layer.self_attn, len(h)
    if not hasattr(a, "qkv_proj"):
        return [m(h).view(n, -1, a.head_dim) for m in (a.q_proj, a.k_proj, a.v_proj)]
    keys = a.num_key_value_heads * a.head_dim
    parts = a.qkv_proj(h).split([a.o_proj.weight.shape[1], keys, keys], -1)
    return [part.view(n, -1, a.head_dim) for part in parts]


def attention(sites, p, layer, h, rotary, mask):
    a, config = layer.self_attn, layer.self_attn.config
    q, k, v = (sites.keep(p + "attn.hook_" + name, x * 1) for name, x in zip("qkv", projections(layer, h)))
    if hasattr(a, "q_norm"):
        q = sites.keep(p + "attn.hook_q_normed", rms(sites, p + "attn.q_norm", a.q_norm, q))
        k = sites.keep(p + "attn.hook_k_normed", rms(sites, p + "attn.k_norm", a.k_norm, k))
    q, k = apply_rotary_pos_emb(q.transpose(0, 1)[None], k.transpose(0, 1)[None], *rotary)
    q = sites.keep(p + "attn.hook_rot_q", q[0].transpose(0, 1))
    k = sites.keep(p + "attn.hook_rot_k", k[0].transpose(0, 1))
    window = getattr(a, "sliding_window", None)
    if config.model_type in ("mistral", "mixtral", "phi3"):
        window = config.sliding_window
    softcap = config.attn_logit_softcapping if config.model_type == "gemma2" else None
    weights = pattern(sites, p, q, k, a.scaling, softcap, window, mask)
    groups = q.shape[1] // v.shape[1]
    z = sites.keep(p + "attn.hook_z", torch.einsum("hqs,shk->qhk", weights, v.repeat_interleave(groups, 1)))
    weight = a.o_proj.weight.view(-1, z.shape[1], a.head_dim)
    result = sites.keep(p + "attn.hook_result", torch.einsum("qhk,dhk->qhd", z, weight))
    return result.sum(1) + (a.o_proj.bias if a.o_proj.bias is not None else 0)


def mlp(sites, p, module, h):
    if hasattr(module, "gate_up_proj"):
        pre, linear = module.gate_up_proj(h).chunk(2, -1)
        act = module.activation_fn
    else:
        pre, linear, act = module.gate_proj(h), module.up_proj(h), module.act_fn
    pre, linear = sites.keep(p + "mlp.hook_pre", pre * 1), sites.keep(p + "mlp.hook_pre_linear", linear * 1)
    return module.down_proj(sites.keep(p + "mlp.hook_post", act(pre) * linear))


def written(sites, p, out, norm, raw, name, site):
    """What a sublayer adds to the stream, after the norm that Gemma has there."""
    if norm is not None:
        out = rms(sites, p + name, norm, sites.keep(p + raw, out * 1))
    return sites.keep(p + site, out * 1)


def rotary_of(base, x, layer, cache):
    """cos and sin of a layer; text alone has the same position on each of Qwen2-VL's axes."""
    kind = getattr(layer.self_attn, "layer_type", None) if "Gemma3" in type(base).__name__ else None
    if kind not in cache:
        positions = torch.arange(len(x))[None]
        if "VL" in type(base).__name__:
            cos, sin = base.rotary_emb(x, positions[None].expand(3, -1, -1))
            cache[kind] = (cos[0] if cos.dim() == 4 else cos, sin[0] if sin.dim() == 4 else sin)
        else:
            cache[kind] = base.rotary_emb(x, positions, kind) if kind else base.rotary_emb(x, positions)
    return cache[kind]


def dense(sites, model, ids, mask):
    base = model.model if hasattr(model, "model") else model
    base = getattr(base, "language_model", base)
    x, cache = sites.keep("hook_embed", base.embed_tokens(ids)), {}
    for i, layer in enumerate(base.layers):
        p = f"blocks.{i}."
        sandwich = hasattr(layer, "pre_feedforward_layernorm")
        x = sites.keep(p + "hook_resid_pre", x * 1)
        out = attention(sites, p, layer, rms(sites, p + "ln1", layer.input_layernorm, x),
                        rotary_of(base, x, layer, cache), mask)
        out = written(sites, p, out, layer.post_attention_layernorm if sandwich else None, "attn.hook_out",
                      "ln1_post", "hook_attn_out")
        x = sites.keep(p + "hook_resid_mid", x + out)
        ln2 = layer.pre_feedforward_layernorm if sandwich else layer.post_attention_layernorm
        h = rms(sites, p + "ln2", ln2, x)
        out = (experts if hasattr(layer.mlp, "experts") else mlp)(sites, p, layer.mlp, h)
        out = written(sites, p, out, layer.post_feedforward_layernorm if sandwich else None, "mlp.hook_out",
                      "ln2_post", "hook_mlp_out")
        x = sites.keep(p + "hook_resid_post", x + out)
    x = rms(sites, "ln_final", base.norm, x)
    if hasattr(model, "lm_head"):
        logits, cap = model.lm_head(x), getattr(model.config, "final_logit_softcapping", None)
        return logits if cap is None else cap * (logits / cap).tanh()
    return model.score(x) if hasattr(model, "score") else x
