#!/usr/bin/env python3
"""The peers' side of the bench: Hugging Face transformers and Captum behind a line protocol.

Reads one JSON object per line, answers one JSON object per line. bench/run drives it in turns with limn's own
worker (bench/limn_bench.c), which answers to the same words, so that both are measured warm and interleaved.

    {"do": "open", "model": FOLDER, "dtype": "f32"}            both attentions are tried, see "forward"
    {"do": "forward", "ids": [...], "rows": "all"|"last", "attention": "sdpa"|"eager", "save": FILE}
    {"do": "compare", "file": FILE, "with": FILE}              raw float32 logits
    {"do": "nodes", "ids", "target", "baseline", "count", "batch"}    forward + backward at uniform nodes, by hand
    {"do": "captum", "ids", "target", "baseline", "rule", "steps", "batch"}
    {"do": "answer", "text"|"ids", "answer": [...], "baseline", "rule", "steps", "batch"}
    {"do": "decode", "ids", "count", "attention"}              greedy, one token after another, with the cache
    {"do": "predict", "prompts": [...], "choices": [" yes", " no"], "batch": 8, "adapter": FOLDER or nothing}
    {"do": "input_x_gradient", "prompts": [...], "target": " yes", "contrast": " no"}    one after another, by Captum
    {"do": "patch", "clean", "corrupt", "target", "contrast", "site", "cells", "window"}    by TransformerLens (lens.py)
    {"do": "heads", "ids", "target"}                           each head's result zero, by TransformerLens (lens.py)
    {"do": "rollout", "ids", "kind": "plain"|"flow"}           by numpy and networkx, of attentions that are there
    {"do": "peak"}                                             this process's peak resident bytes
"""
import json
import os
import resource
import sys
import time

THREADS = int(os.environ.get("LIMN_BENCH_THREADS", "2"))
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(THREADS)
transformers.logging.set_verbosity_error()


class Stopwatch:
    """Both clocks: on a busy machine the processor time of one thread is the steadier one."""

    def __init__(self):
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def report(self, **more):
        return {"seconds": time.perf_counter() - self.wall, "processor": time.process_time() - self.processor, **more}


class Peer:
    def __init__(self):
        self.model = None
        self.model_path = None
        self.adapter_path = None
        self.adapter_model = None
        self.hooked = self.hooked_path = None

    def versions(self, _request):
        import captum
        return {"python": sys.version.split()[0], "torch": torch.__version__, "captum": captum.__version__,
                "transformers": transformers.__version__, "isa": torch.backends.cpu.get_cpu_capability(),
                "threads": torch.get_num_threads()}

    def open(self, request):
        watch = Stopwatch()
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[request["dtype"]]
        self.model = None
        name = transformers.AutoConfig.from_pretrained(request["model"]).architectures[0]
        model = getattr(transformers, name).from_pretrained(request["model"], dtype=dtype).eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.model, self.model_path = model, request["model"]
        return watch.report()

    def use_attention(self, request):
        wanted = request.get("attention", "sdpa")
        if self.model.config._attn_implementation != wanted:
            self.model.set_attn_implementation(wanted)

    def forward(self, request):
        self.use_attention(request)
        ids = torch.tensor([request["ids"]])
        keep = 0 if request.get("rows", "all") == "all" else 1
        extra = {"use_cache": False, "logits_to_keep": keep} if self.model.can_generate() else {}
        with torch.inference_mode():
            watch = Stopwatch()
            logits = self.model(input_ids=ids, **extra).logits
            reply = watch.report()
        if request.get("save"):
            logits[0].float().numpy().tofile(request["save"])
        return reply

    def compare(self, request):
        a = numpy.memmap(request["file"], dtype=numpy.float32, mode="r")
        b = numpy.memmap(request["with"], dtype=numpy.float32, mode="r")
        if a.shape != b.shape:
            return {"error": f"{a.size} logits against {b.size}"}
        largest = top = 0.0
        for start in range(0, a.size, 1 << 24):
            x, y = a[start:start + (1 << 24)], b[start:start + (1 << 24)]
            largest = max(largest, float(numpy.abs(x - y).max()))
            top = max(top, float(numpy.abs(y).max()))
        return {"largest_difference": largest, "largest_logit": top, "finite": largest == largest}

    def path(self, request):
        table = self.model.get_input_embeddings().weight
        x = table[torch.tensor(request["ids"])]
        return x[None], table[request["baseline"]].expand_as(x)[None]

    def log_prob(self, target):
        def forward(embedded):
            logits = self.model(inputs_embeds=embedded, use_cache=False, logits_to_keep=1).logits[:, -1]
            return logits.log_softmax(-1)[:, target]
        return forward

    def nodes(self, request):
        """What one node costs without any wrapper: batches of nodes, forward and backward to the embeddings."""
        self.use_attention(request)
        x, baseline = self.path(request)
        forward = self.log_prob(request["target"])
        alphas = torch.linspace(0, 1, request["count"])
        watch = Stopwatch()
        for part in alphas.split(request["batch"]):
            points = (baseline + part[:, None, None] * (x - baseline)).requires_grad_(True)
            torch.autograd.grad(forward(points).sum(), points)
        return watch.report()

    def captum(self, request):
        from captum.attr import IntegratedGradients
        self.use_attention(request)
        x, baseline = self.path(request)
        explainer = IntegratedGradients(self.log_prob(request["target"]))
        watch = Stopwatch()
        result = explainer.attribute(x, baselines=baseline, n_steps=request["steps"], method=request["rule"],
                                     internal_batch_size=request["batch"])
        attributions = result.sum(-1)[0]
        return watch.report(attributions=attributions.tolist())

    def answer(self, request):
        """A whole answer the way Captum's wrapper for language models does it: one explanation per token."""
        from captum.attr import LayerIntegratedGradients, LLMGradientAttribution, TextTokenInput
        self.use_attention(request)
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.model_path)
        explainer = LLMGradientAttribution(
            LayerIntegratedGradients(self.model, self.model.get_input_embeddings()), tokenizer)
        prompt = TextTokenInput(request["text"], tokenizer, baselines=request["baseline"])
        ids = torch.full_like(prompt.inp_tensor, request["baseline"])
        watch = Stopwatch()
        result = explainer.attribute(prompt, target=torch.tensor(request["answer"]), baselines=ids,
                                     n_steps=request["steps"], method=request["rule"],
                                     internal_batch_size=request["batch"])
        return watch.report(attributions=result.seq_attr.tolist(), ids=prompt.inp_tensor[0].tolist())

    def greedy(self, request):
        ids = torch.tensor([request["ids"]])
        with torch.inference_mode():
            out = self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                      max_new_tokens=request["count"], min_new_tokens=request["count"])
        return {"ids": out[0, ids.shape[1]:].tolist()}

    def decode(self, request):
        self.use_attention(request)
        watch = Stopwatch()
        reply = self.greedy(request)
        return watch.report(**reply)

    def predict(self, request):
        """Log-probabilities of choices of one token after each prompt: padded batches in the given order, logits of
        the last position only."""
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.model_path, padding_side="left")
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        model = self.adapted(request.get("adapter"))
        ids = [tokenizer.encode(choice, add_special_tokens=False) for choice in request["choices"]]
        assert all(len(one) == 1 for one in ids), "the choices must be one token each"
        ids, prompts, size, out = [one[0] for one in ids], request["prompts"], request["batch"], []
        with torch.inference_mode():
            watch = Stopwatch()
            for first in range(0, len(prompts), size):
                inputs = tokenizer(prompts[first:first + size], return_tensors="pt", padding=True)
                logits = model(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, use_cache=False,
                               logits_to_keep=1).logits[:, -1]
                out += logits.log_softmax(-1)[:, ids].tolist()
            return watch.report(log_probabilities=out)

    def input_x_gradient(self, request):
        from captum.attr import InputXGradient
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.model_path)
        target, contrast = [tokenizer.encode(request[name], add_special_tokens=False)[0]
                            for name in ("target", "contrast")]

        def lead(embedded):
            logits = self.model(inputs_embeds=embedded, use_cache=False, logits_to_keep=1).logits[:, -1]
            logs = logits.log_softmax(-1)
            return logs[:, target] - logs[:, contrast]
        explainer, table, scores = InputXGradient(lead), self.model.get_input_embeddings().weight, []
        watch = Stopwatch()
        for prompt in request["prompts"]:
            x = table[torch.tensor([tokenizer.encode(prompt)])].detach()
            scores.append(explainer.attribute(x).sum(-1)[0].tolist())
        return watch.report(scores=scores)

    def adapted(self, adapter):
        if not adapter:
            return self.model
        if self.adapter_path != adapter:
            import peft
            base = transformers.AutoModelForCausalLM.from_pretrained(self.model_path, dtype=self.model.dtype)
            self.adapter_model = peft.PeftModel.from_pretrained(base, adapter).merge_and_unload().eval()
            self.adapter_path = adapter
        return self.adapter_model

    def neurons(self, request):
        """Attribution patching of all neurons: values of both prompts at every MLP, one backward pass."""
        self.use_attention(request)
        ids = {name: torch.tensor([request[name]]) for name in ("clean", "corrupt")}
        kept, layers = {}, self.model.model.layers

        def keep(layer):
            def hook(_module, inputs):
                kept[layer] = inputs[0]
                if inputs[0].requires_grad:
                    inputs[0].retain_grad()
            return hook
        hooks = [layer.mlp.down_proj.register_forward_pre_hook(keep(i)) for i, layer in enumerate(layers)]
        table = self.model.get_input_embeddings()
        try:
            watch = Stopwatch()
            with torch.no_grad():
                self.model(input_ids=ids["clean"], use_cache=False, logits_to_keep=1)
                clean = [kept[i] for i in range(len(layers))]
            x = table(ids["corrupt"]).detach().requires_grad_(True)
            logits = self.model(inputs_embeds=x, use_cache=False, logits_to_keep=1).logits[0, -1]
            logits[request["target"]].backward()
            effects = torch.stack([((c - kept[i].detach()) * kept[i].grad).sum((0, 1)) for i, c in enumerate(clean)])
            reply = watch.report()
        finally:
            for hook in hooks:
                hook.remove()
        effects.float().numpy().tofile(request["save"])
        return reply

    def neurons_error(self, request):
        """Largest difference of limn's effects from those of `neurons`, over the largest."""
        from safetensors.numpy import load_file
        ours = load_file(request["values"])["effects.neuron"]
        theirs = numpy.fromfile(request["with"], dtype=numpy.float32).reshape(ours.shape)
        return {"largest": float(numpy.abs(ours - theirs).max() / numpy.abs(theirs).max())}

    def patch(self, request):
        import lens
        if self.hooked is None or self.hooked_path != self.model_path:
            self.hooked, self.hooked_path = lens.hooked(self.model, self.model_path), self.model_path
        return lens.patch(self.hooked, request, Stopwatch)

    def heads(self, request):
        import lens
        if self.hooked is None or self.hooked_path != self.model_path:
            self.hooked, self.hooked_path = lens.hooked(self.model, self.model_path), self.model_path
        return lens.without_heads(self.hooked, request, Stopwatch)

    def rollout(self, request):
        import rollouts
        return rollouts.rollout(self.model, request, Stopwatch)

    def peak(self, _request):
        return {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    peer = Peer()
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "quit":
            break
        try:
            reply = getattr(peer, request["do"])(request)
        except Exception as error:  # the driver prints it in the table
            reply = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(reply) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
