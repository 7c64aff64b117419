"""TransformerLens' patching for the bench's peer: a GPT-2 of Hugging Face's as a HookedTransformer (or, from its
version 4 on, a TransformerBridge), unprocessed."""
import torch


def hooked(source, folder):
    try:
        from transformer_lens import HookedTransformer, HookedTransformerConfig
    except ImportError:  # 4.0 has the bridge in its place
        return bridged(source, folder)
    from transformer_lens.pretrained.weight_conversions.gpt2 import convert_gpt2_weights
    c = source.config
    config = HookedTransformerConfig(
        n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, d_head=c.n_embd // c.n_head, n_heads=c.n_head,
        d_mlp=4 * c.n_embd, d_vocab=c.vocab_size, act_fn="gelu_new", eps=c.layer_norm_epsilon, normalization_type="LN",
        device="cpu")
    model = HookedTransformer(config, move_to_device=False)
    model.load_state_dict(convert_gpt2_weights(source, config), strict=False)
    return model.eval()


def bridged(source, folder):
    """It wants a tokenizer; nothing here is ever tokenised. It changes the model it is given: a copy."""
    import copy
    import tokenizers
    import transformers
    from transformer_lens.model_bridge import TransformerBridge
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"t0": 0, "t1": 1}, unk_token="t0"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="t0", bos_token="t1",
                                                     eos_token="t1", pad_token="t1", name_or_path=str(folder))
    own = copy.deepcopy(source)
    own.set_attn_implementation("eager")
    return TransformerBridge.boot_transformers(str(folder), hf_model=own, tokenizer=tokenizer, dtype=torch.float32).eval()


def by_helper(model, corrupt, cache, metric, site, cells):
    """The library's own helper, cell by cell as it does it; cells: (layer, position or head)."""
    import pandas
    from transformer_lens import patching
    helper = {"resid_pre": patching.get_act_patch_resid_pre, "mlp_out": patching.get_act_patch_mlp_out,
              "z": patching.get_act_patch_attn_head_out_all_pos}[site]
    if cells is None:
        return helper(model, corrupt, cache, metric).flatten().tolist()
    kinds = {"resid_pre": ("resid_pre", patching.layer_pos_patch_setter),
             "mlp_out": ("mlp_out", patching.layer_pos_patch_setter),
             "z": ("z", patching.layer_head_vector_patch_setter)}[site]
    frame = pandas.DataFrame(cells, columns=["layer", "head" if site == "z" else "pos"])
    return patching.generic_activation_patch(model, corrupt, cache, metric, kinds[1], kinds[0],
                                             index_df=frame).flatten().tolist()


def by_hooks(model, corrupt, cache, metric, site, cells, window):
    """Windows of layers, which the library has no helper for: one run with hooks for each cell."""
    out, n_layers = [], model.cfg.n_layers
    for layer, position in cells:
        def patch(value, hook, position=position):
            value[:, position] = cache[hook.name][:, position]
            return value
        layers = range(max(0, layer - window // 2), min(n_layers, layer + (window + 1) // 2))
        hooks = [(f"blocks.{one}.hook_{site}", patch) for one in layers]
        out.append(metric(model.run_with_hooks(corrupt, fwd_hooks=hooks)).item())
    return out


def patch(model, request, watch):
    clean, corrupt = torch.tensor([request["clean"]]), torch.tensor([request["corrupt"]])
    target, contrast = request["target"], request["contrast"]

    def metric(logits):
        return logits[0, -1, target] - logits[0, -1, contrast]
    with torch.no_grad():
        timer = watch()
        _, cache = model.run_with_cache(clean)
        base = metric(model(corrupt)).item()
        ready = timer.report()
        timer = watch()
        cells = request.get("cells")
        if request.get("window", 1) > 1:
            values = by_hooks(model, corrupt, cache, metric, request["site"], cells, request["window"])
        else:
            values = by_helper(model, corrupt, cache, metric, request["site"], cells)
        return timer.report(values=values, base=base, prepare=ready)


def without_heads(model, request, watch):
    """Every head with zeros for its result, one run with a hook each, as its documentation does it."""
    ids, target = torch.tensor([request["ids"]]), request["target"]
    with torch.no_grad():
        timer = watch()
        base = model(ids)[0, -1, target].item()
        effects = []
        for layer in range(model.cfg.n_layers):
            row = []
            for head in range(model.cfg.n_heads):
                def zero(z, hook, head=head):
                    z[:, :, head] = 0
                    return z
                logits = model.run_with_hooks(ids, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", zero)])
                row.append(logits[0, -1, target].item() - base)
            effects.append(row)
        return timer.report(effects=effects)
