"""The site values of a Hugging Face model, by the names limn gives them.

Each forward below walks the model's own modules and keeps every intermediate value with its gradient; `check` then
asserts that the walk ends in the same logits as the model's own forward, so that a site cannot silently be wrong.
"""
import torch
from dense import dense
from transformers.models.falcon.modeling_falcon import build_alibi_tensor
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb


KIN = ("mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma2", "gemma3_text", "phi3", "gemma3",
       "mistral3", "qwen2_vl", "qwen3_vl", "llava")


class Sites(dict):
    """Values by site name; each keeps its gradient. A function in `edits` changes the value of its name first."""

    edits = {}

    def keep(self, name, value):
        value = self.edits[name](value) if name in self.edits else value
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
        return normalized * module.weight + module.bias if module.weight is not None else normalized
    scale = sites.keep(name + ".hook_scale", (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt())
    return sites.keep(name + ".hook_normalized", x / scale) * module.weight


def attention(sites, prefix, q, k, v, scale, causal, key_mask, o_weight, o_bias, bias=None, window=None):
    """q [T, H, K], k and v [T, G, K], o_weight [D, H*K]; bias on the scores [H, 1, T]; window: keys seen."""
    n_rows, n_heads, d_head = q.shape
    groups = n_heads // k.shape[1]
    scores = torch.einsum("qhk,shk->hqs", q, k.repeat_interleave(groups, 1)) * scale
    scores = scores + bias if bias is not None else scores
    seen = key_mask[None, :].expand(n_rows, n_rows)
    if causal:
        seen = seen & torch.ones(n_rows, n_rows, dtype=torch.bool).tril()
    if window is not None:
        seen = seen & torch.ones(n_rows, n_rows, dtype=torch.bool).triu(1 - window)
    scores = sites.keep(prefix + "attn.hook_attn_scores", scores.masked_fill(~seen, float("-inf")))
    pattern = sites.keep(prefix + "attn.hook_pattern", scores.softmax(-1))
    z = sites.keep(prefix + "attn.hook_z", torch.einsum("hqs,shk->qhk", pattern, v.repeat_interleave(groups, 1)))
    weight = o_weight.view(o_weight.shape[0], n_heads, d_head)
    result = sites.keep(prefix + "attn.hook_result", torch.einsum("qhk,dhk->qhd", z, weight))
    out = result.sum(1)
    return sites.keep(prefix + "hook_attn_out", out + o_bias if o_bias is not None else out)


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
        pre = sites.keep(p + "mlp.hook_pre", layer.mlp.gate_proj(h))
        linear = sites.keep(p + "mlp.hook_pre_linear", layer.mlp.up_proj(h))
        post = sites.keep(p + "mlp.hook_post", layer.mlp.act_fn(pre) * linear)
        x = sites.keep(p + "hook_resid_post", x + sites.keep(p + "hook_mlp_out", layer.mlp.down_proj(post)))
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


def heads(sites, p, values, names=("attn.hook_q", "attn.hook_k", "attn.hook_v")):
    """Each of [T, heads, K], kept under its name."""
    return [sites.keep(p + name, value * 1) for name, value in zip(names, values)]


def rotated(sites, p, q, k, cos, sin):
    """The first dimensions of each head turned, as many as cos has; the rest as they are."""
    n = cos.shape[-1]
    turned = apply_rotary_pos_emb(q[..., :n].transpose(0, 1)[None], k[..., :n].transpose(0, 1)[None], cos, sin)
    q, k = (torch.cat([t[0].transpose(0, 1), x[..., n:]], -1) for t, x in zip(turned, (q, k)))
    return heads(sites, p, (q, k), ("attn.hook_rot_q", "attn.hook_rot_k"))


def plain_mlp(sites, p, h, into, act, out):
    post = sites.keep(p + "mlp.hook_post", act(sites.keep(p + "mlp.hook_pre", into(h))))
    return sites.keep(p + "hook_mlp_out", out(post))


def head_of(model, x):
    head = getattr(model, "lm_head", None) or getattr(model, "score", None)
    return head(x) if head is not None else x


def gpt_neox(model, ids, mask, types):
    sites, base = Sites(), model.gpt_neox if hasattr(model, "gpt_neox") else model
    x = sites.keep("hook_embed", base.embed_in(ids))
    cos, sin = base.rotary_emb(x, torch.arange(len(ids))[None])
    for i, layer in enumerate(base.layers):
        p, a, m = f"blocks.{i}.", layer.attention, layer.mlp
        x = sites.keep(p + "hook_resid_pre", x * 1)
        h = layer_norm(sites, p + "ln1", layer.input_layernorm, x)
        q, k, v = heads(sites, p, a.query_key_value(h).view(len(ids), -1, 3 * a.head_size).chunk(3, -1))
        q, k = rotated(sites, p, q, k, cos, sin)
        out = attention(sites, p, q, k, v, a.scaling, True, mask, a.dense.weight, a.dense.bias)
        if not layer.use_parallel_residual:
            x = sites.keep(p + "hook_resid_mid", x + out)
            out = 0
        h = layer_norm(sites, p + "ln2", layer.post_attention_layernorm, x)
        x = x + out + plain_mlp(sites, p, h, m.dense_h_to_4h, m.act, m.dense_4h_to_h)
        x = sites.keep(p + "hook_resid_post", x)
    return sites, {}, head_of(model, layer_norm(sites, "ln_final", base.final_layer_norm, x))


def opt(model, ids, mask, types):
    sites, base = Sites(), (model.model if hasattr(model, "model") else model).decoder
    x = sites.keep("hook_embed", base.embed_tokens(ids))
    places = (mask.long().cumsum(0) * mask.long() - 1)[None]
    places = sites.keep("hook_pos_embed", base.embed_positions(mask[None].long(), position_ids=places)[0])
    if base.project_in is not None:
        x = sites.keep("project_in.hook_out", base.project_in(x))
    x = x + places
    for i, layer in enumerate(base.layers):
        p, a = f"blocks.{i}.", layer.self_attn
        before = layer.do_layer_norm_before
        x = sites.keep(p + "hook_resid_pre", x * 1)
        h = layer_norm(sites, p + "ln1", layer.self_attn_layer_norm, x) if before else x
        q, k, v = heads(sites, p, [f(h).view(len(ids), a.num_heads, a.head_dim)
                                   for f in (a.q_proj, a.k_proj, a.v_proj)])
        out = attention(sites, p, q, k, v, a.scaling, True, mask, a.out_proj.weight, a.out_proj.bias)
        x = sites.keep(p + "hook_resid_mid", x + out)
        if before:
            h = layer_norm(sites, p + "ln2", layer.final_layer_norm, x)
        else:
            h = x = sites.keep(p + "hook_normalized_resid_mid", layer_norm(sites, p + "ln1", layer.self_attn_layer_norm, x))
        x = x + plain_mlp(sites, p, h, layer.fc1, layer.activation_fn, layer.fc2)
        x = x if before else layer_norm(sites, p + "ln2", layer.final_layer_norm, x)
        x = sites.keep(p + "hook_resid_post", x * 1)
    x = layer_norm(sites, "ln_final", base.final_layer_norm, x) if base.final_layer_norm is not None else x
    if base.project_out is not None:
        x = sites.keep("project_out.hook_out", base.project_out(x))
    return sites, {}, head_of(model, x)


def falcon(model, ids, mask, types):
    sites, base, config = Sites(), model.transformer if hasattr(model, "transformer") else model, model.config
    x = sites.keep("hook_embed", base.word_embeddings(ids))
    cos, sin = base.rotary_emb(x, torch.arange(len(ids))[None])
    bias = None
    if config.alibi:
        bias = build_alibi_tensor(mask[None].long(), config.num_attention_heads, torch.float32) / config.head_dim ** 0.5
    for i, layer in enumerate(base.h):
        p, a, m = f"blocks.{i}.", layer.self_attention, layer.mlp
        two = config.new_decoder_architecture and config.num_ln_in_parallel_attn == 2
        x = sites.keep(p + "hook_resid_pre", x * 1)
        h = layer_norm(sites, p + "ln1", layer.ln_attn if two else layer.input_layernorm, x)
        share = a.num_heads // a.num_kv_heads
        fused = a.query_key_value(h).view(len(ids), a.num_kv_heads, share + 2, a.head_dim)
        q, k, v = heads(sites, p, (fused[:, :, :share].flatten(1, 2), fused[:, :, share], fused[:, :, share + 1]))
        q, k = (q, k) if config.alibi else rotated(sites, p, q, k, cos, sin)
        out = attention(sites, p, q, k, v, a.inv_norm_factor, True, mask, a.dense.weight, a.dense.bias, bias)
        if two:
            h = layer_norm(sites, p + "ln2", layer.ln_mlp, x)
        elif not config.new_decoder_architecture and not config.parallel_attn:
            x = sites.keep(p + "hook_resid_mid", x + out)
            h, out = layer_norm(sites, p + "ln2", layer.post_attention_layernorm, x), 0
        x = x + out + plain_mlp(sites, p, h, m.dense_h_to_4h, m.act, m.dense_4h_to_h)
        x = sites.keep(p + "hook_resid_post", x)
    return sites, {}, head_of(model, layer_norm(sites, "ln_final", base.ln_f, x))


def starcoder2(model, ids, mask, types):
    sites, base = Sites(), model.model if hasattr(model, "model") else model
    x = sites.keep("hook_embed", base.embed_tokens(ids))
    cos, sin = base.rotary_emb(x, torch.arange(len(ids))[None])
    for i, layer in enumerate(base.layers):
        p, a, m = f"blocks.{i}.", layer.self_attn, layer.mlp
        x = sites.keep(p + "hook_resid_pre", x * 1)
        h = layer_norm(sites, p + "ln1", layer.input_layernorm, x)
        q, k, v = heads(sites, p, [f(h).view(len(ids), -1, a.head_dim) for f in (a.q_proj, a.k_proj, a.v_proj)])
        q, k = rotated(sites, p, q, k, cos, sin)
        out = attention(sites, p, q, k, v, a.scaling, True, mask, a.o_proj.weight, a.o_proj.bias,
                        window=model.config.sliding_window)
        x = sites.keep(p + "hook_resid_mid", x + out)
        h = layer_norm(sites, p + "ln2", layer.post_attention_layernorm, x)
        x = sites.keep(p + "hook_resid_post", x + plain_mlp(sites, p, h, m.c_fc, m.act, m.c_proj))
    return sites, {}, head_of(model, layer_norm(sites, "ln_final", base.norm, x))


def encoder_layer(sites, p, x, mask, projections, n_heads, ln1, mlp, ln2):
    """projections: query, key, value, output; mlp: in, activation, out."""
    query, key, value, dense = projections
    x = sites.keep(p + "hook_resid_pre", x * 1)
    q, k, v = heads(sites, p, [f(x).view(len(x), n_heads, -1) for f in (query, key, value)])
    out = attention(sites, p, q, k, v, q.shape[-1] ** -0.5, False, mask, dense.weight, dense.bias)
    normed = layer_norm(sites, p + "ln1", ln1, sites.keep(p + "hook_resid_mid", x + out))
    normed = sites.keep(p + "hook_normalized_resid_mid", normed)
    x = layer_norm(sites, p + "ln2", ln2, normed + plain_mlp(sites, p, normed, *mlp))
    return sites.keep(p + "hook_resid_post", x * 1)


def masked_head(x, dense, act, norm, decoder):
    selected = Sites()
    h = selected.keep("mlm_head.hook_out", dense(x))
    return selected, decoder(layer_norm(selected, "ln_final", norm, act(h)))


def distilbert(model, ids, mask, types):
    sites, base = Sites(), model.distilbert if hasattr(model, "distilbert") else model
    e = base.embeddings
    x = sites.keep("hook_embed", e.word_embeddings(ids))
    x = x + sites.keep("hook_pos_embed", e.position_embeddings(torch.arange(len(ids))))
    x = layer_norm(sites, "embed_ln", e.LayerNorm, x)
    for i, layer in enumerate(base.transformer.layer):
        a, f = layer.attention, layer.ffn
        x = encoder_layer(sites, f"blocks.{i}.", x, mask, (a.q_lin, a.k_lin, a.v_lin, a.out_lin), a.n_heads,
                          layer.sa_layer_norm, (f.lin1, f.activation, f.lin2), layer.output_layer_norm)
    if hasattr(model, "vocab_transform"):
        selected, logits = masked_head(x, model.vocab_transform, model.activation, model.vocab_layer_norm,
                                       model.vocab_projector)
        return sites, selected, logits
    selected = Sites()
    if hasattr(model, "classifier"):
        pooled = selected.keep("pooler.hook_pooler_out", model.pre_classifier(x[:1]).relu())
        return sites, selected, model.classifier(pooled)
    return sites, selected, x


def roberta(model, ids, mask, types):
    sites, base = Sites(), model.roberta if hasattr(model, "roberta") else model
    e = base.embeddings
    words = sites.keep("hook_embed", e.word_embeddings(ids))
    kinds = sites.keep("hook_token_type_embed", e.token_type_embeddings(types))
    real = ids.ne(model.config.pad_token_id).long()
    places = real.cumsum(0) * real + model.config.pad_token_id
    places = sites.keep("hook_pos_embed", e.position_embeddings(places))
    x = layer_norm(sites, "embed_ln", e.LayerNorm, words + kinds + places)
    for i, layer in enumerate(base.encoder.layer):
        a, o = layer.attention.self, layer.attention.output
        mlp = (layer.intermediate.dense, layer.intermediate.intermediate_act_fn, layer.output.dense)
        x = encoder_layer(sites, f"blocks.{i}.", x, mask, (a.query, a.key, a.value, o.dense), a.num_attention_heads,
                          o.LayerNorm, mlp, layer.output.LayerNorm)
    if hasattr(model, "lm_head"):
        h = model.lm_head
        selected, logits = masked_head(x, h.dense, torch.nn.functional.gelu, h.layer_norm, h.decoder)
        return sites, selected, logits
    selected = Sites()
    if hasattr(model, "classifier"):
        pooled = selected.keep("pooler.hook_pooler_out", model.classifier.dense(x[:1]).tanh())
        return sites, selected, model.classifier.out_proj(pooled)
    if base.pooler is not None:
        selected.keep("pooler.hook_pooler_out", base.pooler.dense(x[:1]).tanh())
    return sites, selected, x


def kin(model, ids, mask, types):
    sites = Sites()
    return sites, {}, dense(sites, model, ids, mask)


FORWARD = {
    "llama": llama,
    **{kind: kin for kind in KIN},
    "gpt2": gpt2,
    "gpt_neox": gpt_neox,
    "opt": opt,
    "falcon": falcon,
    "starcoder2": starcoder2,
    "bert": bert,
    "distilbert": distilbert,
    "roberta": roberta,
    "xlm-roberta": roberta,
}
ENCODERS = ("bert", "distilbert", "roberta", "xlm-roberta")


def own_forward(model, ids, mask, types):
    """What the model itself answers: [rows, V], [1, classes], or the last hidden state."""
    kind, kwargs = model.config.model_type, {}
    if kind in ENCODERS and kind != "distilbert":
        kwargs["token_type_ids"] = types[None]
    if kind in ENCODERS or not bool(mask.all()):
        kwargs["attention_mask"] = mask[None].long()
    out = model(input_ids=ids[None], **kwargs)
    return (out.logits if hasattr(out, "logits") else out.last_hidden_state)[0]
