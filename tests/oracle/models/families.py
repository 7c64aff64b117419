"""The site values of a Hugging Face model, by the names limn gives them.

Each forward below walks the model's own modules and keeps every intermediate value with its gradient; `check` then
asserts that the walk ends in the same logits as the model's own forward, so that a site cannot silently be wrong.
"""
import torch
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb


class Sites(dict):
    """Values by site name; each keeps its gradient."""

    def keep(self, name, value):
        if value.requires_grad:
            value.retain_grad()
        self[name] = value
        return value


def layer_norm(sites, name, module, x):
    epsilon = module.eps if hasattr(module, "eps") else module.variance_epsilon
    if hasattr(module, "eps"):
        centered = x - x.mean(-1, keepdim=True)
        scale = sites.keep(name + ".hook_scale", (x.var(-1, unbiased=False, keepdim=True) + epsilon).sqrt())
        normalized = sites.keep(name + ".hook_normalized", centered / scale)
        return normalized * module.weight + module.bias
    scale = sites.keep(name + ".hook_scale", (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt())
    return sites.keep(name + ".hook_normalized", x / scale) * module.weight


def attention(sites, prefix, q, k, v, scale, causal, key_mask, o_weight, o_bias):
    """q [T, H, K], k and v [T, G, K], o_weight [D, H*K]."""
    n_rows, n_heads, d_head = q.shape
    groups = n_heads // k.shape[1]
    scores = torch.einsum("qhk,shk->hqs", q, k.repeat_interleave(groups, 1)) * scale
    seen = key_mask[None, :].expand(n_rows, n_rows)
    if causal:
        seen = seen & torch.ones(n_rows, n_rows, dtype=torch.bool).tril()
    scores = sites.keep(prefix + "attn.hook_attn_scores", scores.masked_fill(~seen, float("-inf")))
    pattern = sites.keep(prefix + "attn.hook_pattern", scores.softmax(-1))
    z = sites.keep(prefix + "attn.hook_z", torch.einsum("hqs,shk->qhk", pattern, v.repeat_interleave(groups, 1)))
    weight = o_weight.view(o_weight.shape[0], n_heads, d_head)
    result = sites.keep(prefix + "attn.hook_result", torch.einsum("qhk,dhk->qhd", z, weight))
    out = result.sum(1)
    return sites.keep(prefix + "hook_attn_out", out + o_bias if o_bias is not None else out)


def gated_mlp(sites, prefix, module, h):
    pre = sites.keep(prefix + "hook_pre", module.gate_proj(h))
    linear = sites.keep(prefix + "hook_pre_linear", module.up_proj(h))
    return module.down_proj(sites.keep(prefix + "hook_post", module.act_fn(pre) * linear))


def experts(sites, p, block, h):
    """Every expert is computed and what was not chosen is set to 0, so that the choice shows in each value."""
    router, e = block.gate, block.experts
    logits = sites.keep(p + "mlp.hook_router_logits", h @ router.weight.T)
    weights = sites.keep(p + "mlp.hook_expert_weights", logits.softmax(-1))
    top, indices = weights.topk(router.top_k, -1)
    sites.keep(p + "mlp.hook_expert_indices", indices.float())
    if getattr(router, "norm_topk_prob", True):
        top = top / top.sum(-1, keepdim=True)
    kept = sites.keep(p + "mlp.hook_routing_weights", torch.zeros_like(weights).scatter(-1, indices, top))
    on = torch.zeros_like(weights).scatter(-1, indices, 1.0)[..., None]
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


def llama(model, ids, mask, types):
    sites, base, config = Sites(), model.model if hasattr(model, "model") else model, model.config
    x = sites.keep("hook_embed", base.embed_tokens(ids))
    cos, sin = base.rotary_emb(x, torch.arange(len(ids))[None])
    for i, layer in enumerate(base.layers):
        p = f"blocks.{i}."
        x = sites.keep(p + "hook_resid_pre", x * 1)
        h = layer_norm(sites, p + "ln1", layer.input_layernorm, x)
        a = layer.self_attn
        q = sites.keep(p + "attn.hook_q", a.q_proj(h).view(len(ids), -1, a.head_dim))
        k = sites.keep(p + "attn.hook_k", a.k_proj(h).view(len(ids), -1, a.head_dim))
        v = sites.keep(p + "attn.hook_v", a.v_proj(h).view(len(ids), -1, a.head_dim))
        rq, rk = apply_rotary_pos_emb(q.transpose(0, 1)[None], k.transpose(0, 1)[None], cos, sin)
        rq = sites.keep(p + "attn.hook_rot_q", rq[0].transpose(0, 1))
        rk = sites.keep(p + "attn.hook_rot_k", rk[0].transpose(0, 1))
        out = attention(sites, p, rq, rk, v, a.scaling, True, mask, a.o_proj.weight, a.o_proj.bias)
        x = sites.keep(p + "hook_resid_mid", x + out)
        h = layer_norm(sites, p + "ln2", layer.post_attention_layernorm, x)
        out = experts(sites, p, layer.mlp, h) if hasattr(layer.mlp, "experts") else gated_mlp(sites, p + "mlp.", layer.mlp, h)
        x = sites.keep(p + "hook_resid_post", x + sites.keep(p + "hook_mlp_out", out))
    x = layer_norm(sites, "ln_final", base.norm, x)
    head = getattr(model, "lm_head", None) or getattr(model, "score", None)
    return sites, {}, head(x) if head is not None else x


def gpt2(model, ids, mask, types):
    sites, base, config = Sites(), model.transformer if hasattr(model, "transformer") else model, model.config
    x = sites.keep("hook_embed", base.wte(ids)) + sites.keep("hook_pos_embed", base.wpe(torch.arange(len(ids))))
    for i, block in enumerate(base.h):
        p = f"blocks.{i}."
        x = sites.keep(p + "hook_resid_pre", x * 1)
        h = layer_norm(sites, p + "ln1", block.ln_1, x)
        a = block.attn
        q, k, v = (t.reshape(len(ids), a.num_heads, a.head_dim) for t in a.c_attn(h).split(a.embed_dim, -1))
        q, k, v = (sites.keep(p + "attn.hook_" + n, t * 1) for n, t in zip("qkv", (q, k, v)))
        out = attention(sites, p, q, k, v, a.scaling, True, mask, a.c_proj.weight.T, a.c_proj.bias)
        x = sites.keep(p + "hook_resid_mid", x + out)
        h = layer_norm(sites, p + "ln2", block.ln_2, x)
        post = sites.keep(p + "mlp.hook_post", block.mlp.act(sites.keep(p + "mlp.hook_pre", block.mlp.c_fc(h))))
        x = sites.keep(p + "hook_resid_post", x + sites.keep(p + "hook_mlp_out", block.mlp.c_proj(post)))
    x = layer_norm(sites, "ln_final", base.ln_f, x)
    head = getattr(model, "lm_head", None) or getattr(model, "score", None)
    return sites, {}, head(x) if head is not None else x


def bert(model, ids, mask, types):
    """Sites of the second dictionary live on output rows."""
    sites, base, config = Sites(), model.bert if hasattr(model, "bert") else model, model.config
    e = base.embeddings
    words = sites.keep("hook_embed", e.word_embeddings(ids))
    kinds = sites.keep("hook_token_type_embed", e.token_type_embeddings(types))
    places = sites.keep("hook_pos_embed", e.position_embeddings(torch.arange(len(ids))))
    x = layer_norm(sites, "embed_ln", e.LayerNorm, words + kinds + places)
    for i, layer in enumerate(base.encoder.layer):
        p = f"blocks.{i}."
        x = sites.keep(p + "hook_resid_pre", x * 1)
        a, o = layer.attention.self, layer.attention.output
        shape = (len(ids), a.num_attention_heads, a.attention_head_size)
        q = sites.keep(p + "attn.hook_q", a.query(x).view(shape))
        k = sites.keep(p + "attn.hook_k", a.key(x).view(shape))
        v = sites.keep(p + "attn.hook_v", a.value(x).view(shape))
        out = attention(sites, p, q, k, v, a.scaling, False, mask, o.dense.weight, o.dense.bias)
        middle = sites.keep(p + "hook_resid_mid", x + out)
        normed = layer_norm(sites, p + "ln1", o.LayerNorm, middle)
        normed = sites.keep(p + "hook_normalized_resid_mid", normed)
        pre = sites.keep(p + "mlp.hook_pre", layer.intermediate.dense(normed))
        post = sites.keep(p + "mlp.hook_post", layer.intermediate.intermediate_act_fn(pre))
        mlp_out = sites.keep(p + "hook_mlp_out", layer.output.dense(post))
        x = layer_norm(sites, p + "ln2", layer.output.LayerNorm, normed + mlp_out)
        x = sites.keep(p + "hook_resid_post", x * 1)
    selected = Sites()
    if hasattr(model, "cls"):
        head = model.cls.predictions
        h = selected.keep("mlm_head.hook_out", head.transform.dense(x))
        h = layer_norm(selected, "ln_final", head.transform.LayerNorm, head.transform.transform_act_fn(h))
        return sites, selected, head.decoder(h)
    if base.pooler is not None:
        pooled = selected.keep("pooler.hook_pooler_out", base.pooler.dense(x[:1]).tanh())
        if hasattr(model, "classifier"):
            return sites, selected, model.classifier(pooled)
    return sites, selected, x


FORWARD = {"llama": llama, "mixtral": llama, "qwen2_moe": llama, "qwen3_moe": llama, "gpt2": gpt2, "bert": bert}


def own_forward(model, ids, mask, types):
    """What the model itself answers: [rows, V], [1, classes], or the last hidden state."""
    kwargs = {"token_type_ids": types[None]} if model.config.model_type == "bert" else {}
    if model.config.model_type == "bert" or not bool(mask.all()):
        kwargs["attention_mask"] = mask[None].long()
    out = model(input_ids=ids[None], **kwargs)
    return (out.logits if hasattr(out, "logits") else out.last_hidden_state)[0]
