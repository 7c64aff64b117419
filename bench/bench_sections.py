"""The sections of bench/run, each a function that adds rows to the table of the bench."""
import concurrent.futures
import hashlib
import json
import math
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

from ablate_section import ablate
from attribute_sections import attribute, why
from audit_section import audit
from bench_tools import bytes_text, first_error, interleave, seconds_text, whole_process
from explain_sections import explain


# Forward ------------------------------------------------------------------------------------------------------------

def ids_of_length(length):
    """Any ids will do for time; these differ from row to row and exist in every vocabulary here."""
    return [(i * 7919 + 13) % 30000 for i in range(length)]


def forward_flops(folder, length):
    """Multiplications and additions of a forward with all logits: matrices, head, causal attention."""
    config = json.loads((folder / "config.json").read_text())
    width, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    head = config.get("head_dim") or width // config["num_attention_heads"]
    query, key = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    matrices = layers * (2 * width * query + 2 * width * key + 3 * width * inner) + config["vocab_size"] * width
    return 2.0 * length * matrices + 2.0 * layers * query * length * (length + 1)


def forward(bench):
    """All-position logits on both sides. float32 rows come first: they are what bfloat16 is compared with."""
    for model in bench.models:
        with tempfile.TemporaryDirectory(dir=bench.cache, prefix="logits-") as scratch:
            for dtype in ("f32", "bf16"):
                forward_model(bench, model, dtype, pathlib.Path(scratch))


def forward_model(bench, model, dtype, scratch):
    folder = bench.cache / f"{model}-{dtype}"
    opened = [worker.ask(do="open", model=str(folder), dtype=dtype) for worker in (bench.limn, bench.peer) if worker]
    for reply in opened:
        if "error" in reply:
            bench.table.add(f"open {model} {dtype}", reply["error"], equal=False)
            return
    for length in bench.lengths:
        forward_row(bench, model, dtype, length, folder, scratch)
    for worker in (bench.limn, bench.peer):
        if worker:
            worker.ask(do="close")


def forward_row(bench, model, dtype, length, folder, scratch):
    ids = ids_of_length(length)
    what = f"forward {model} {dtype} T={length}"
    ours, theirs = scratch / f"limn-{dtype}", scratch / f"peer-{dtype}-{length}"
    reply = bench.limn.ask(do="forward", ids=ids, save=str(ours))
    if "error" in reply:
        bench.table.add(what, reply["error"], equal=False)
        return
    for _ in range(2):  # a weight is packed at its third use
        bench.limn.ask(do="forward", ids=ids)
    equality, equal, attention = "", None, None
    if bench.peer:
        warm = {name: bench.peer.ask(do="forward", ids=ids, attention=name, save=str(theirs)) for name in
                ("eager", "sdpa")}
        warm = {name: bench.peer.ask(do="forward", ids=ids, attention=name, save=str(theirs)) for name in
                ("eager", "sdpa")} if length <= 512 else warm
        attention = min(warm, key=lambda name: warm[name].get("seconds", 1e9))
        equality, equal = forward_equality(bench, dtype, length, ours, theirs, scratch)
    ours.unlink(missing_ok=True)
    repeats = 9 if length < 256 else 5 if length < 1024 else 3
    if bench.quick:
        repeats = 2
    medians, fastest, last = interleave(
        repeats, (lambda: bench.peer.ask(do="forward", ids=ids, attention=attention)) if bench.peer else None,
        lambda: bench.limn.ask(do="forward", ids=ids))
    if medians is None:
        bench.table.add(what, first_error(*last), equal=False)
        return
    goal = 1.3 if dtype == "f32" else 1.1
    ratio = medians[0] / medians[1] if medians[0] else None
    rate = forward_flops(folder, length) / medians[1] / 1e9
    bench.table.add(what, equality, f"{seconds_text(medians[0])} {attention or ''}",
                    f"{seconds_text(medians[1])} ({rate:.0f} GFLOP/s)", f"{ratio:.2f}x" if ratio else "",
                    f">= {goal}x", ratio >= goal if ratio else None, equal)
    best = library_peak(bench, folder, dtype, length) if length >= 512 else None
    if best:
        rate = forward_flops(folder, length) / fastest[1] / 1e9  # the library's figure is its best run too
        bench.table.add(f"share of the matrix library's peak, {model} {dtype} T={length}", "", f"{best:.0f} GFLOP/s",
                        f"{rate:.0f} GFLOP/s", f"{rate / best:.0%}", ">= 75%", rate / best >= 0.75)


def forward_equality(bench, dtype, length, ours, theirs, scratch):
    """float32: within 5e-5 max(1, max |logit|). bfloat16: no further from the peer's float32 than the peer's own."""
    if dtype == "f32":
        found = bench.peer.ask(do="compare", file=str(ours), **{"with": str(theirs)})
        if "error" in found:
            return found["error"], False
        limit = 5e-5 * max(1.0, found["largest_logit"])
        text = f"max diff {found['largest_difference']:.1e} (limit {limit:.1e})"
        return text, found["finite"] and found["largest_difference"] <= limit
    exact = scratch / f"peer-f32-{length}"
    mine = bench.peer.ask(do="compare", file=str(ours), **{"with": str(exact)})
    other = bench.peer.ask(do="compare", file=str(theirs), **{"with": str(exact)})
    if "error" in mine or "error" in other:
        return first_error(mine, other), False
    text = f"from float32: limn {mine['largest_difference']:.2g}, peer {other['largest_difference']:.2g}"
    return text, mine["finite"] and mine["largest_difference"] <= other["largest_difference"]


def library_peak(bench, folder, dtype, length):
    """GFLOP/s of the matrix library at this model's own sizes, measured now."""
    program = bench.build / "bench" / "bench_library_peak"
    if not program.exists():
        return None
    config = json.loads((folder / "config.json").read_text())
    width, inner = config["hidden_size"], config["intermediate_size"]
    done = subprocess.run([str(program), dtype, str(length), f"{width}x{width}", f"{width}x{inner}",
                           f"{inner}x{width}", f"{width}x{config['vocab_size']}"], stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)["best"] if done.returncode == 0 else None


# Integrated gradients -------------------------------------------------------------------------------------------------

def reference_prompts(bench):
    reference = json.loads((bench.root / "tests/golden/ig/smollm2_reference.json").read_text())
    errors = json.loads((bench.root / "bench/peers/captum_error.json").read_text())
    prompts = [entry for entry in reference["prompts"] if entry["text"] in errors["prompts"]]
    return reference["baseline_id"], prompts[:2] if bench.quick else prompts, errors["prompts"]


def token_error(attributions, reference):
    return max(abs(a - b) for a, b in zip(attributions, reference)) / max(abs(b) for b in reference)


def find_block(result, kind):
    """The first block of a kind in a limn.result/1 document."""
    for block in result.get("blocks", []):
        if block["kind"] == kind:
            return block
    return None


def token_scores(result):
    block = find_block(result, "tokens")
    if block is None:
        return None
    return [token.get("score") or 0.0 for token in block["items"]]


def figure(result, table, name):
    """A named figure of a table of figures."""
    for block in result.get("blocks", []):
        if block.get("id") == table:
            return dict((row[0], row[1]) for row in block["rows"]).get(name)
    return None


def captum_setting(errors, level):
    """The rule and the fewest steps whose largest token error is within the level; None when no rule gets there."""
    best = None
    for rule, rows in errors.items():
        for steps, error in rows:
            if error <= level and (best is None or steps < best[1]):
                best = (rule, steps, error)
    return best


def best_batch(bench, entry, baseline):
    """The number of nodes Captum should take at once: the fastest of a few, by its own time."""
    timed = {}
    for rows in (160, 320):
        batch = max(2, rows // len(entry["ids"]))
        request = dict(do="captum", ids=entry["ids"], target=entry["target"], baseline=baseline, attention="sdpa",
                       rule="riemann_trapezoid", steps=2 * batch, batch=batch)
        bench.peer.ask(**request)
        timed[batch] = bench.peer.ask(**request)["seconds"] / (2 * batch)
    return min(timed, key=timed.get)


def ig_params(bench, entry, baseline, **more):
    params = {"model": str(bench.cache / "smollm2-f32"), "ids": entry["ids"], "target-id": entry["target"],
              "baseline": ["pad"], "threads": bench.threads}
    params.update(more)
    return params


def integrated_gradients(bench):
    baseline, prompts, errors = reference_prompts(bench)
    folder = str(bench.cache / "smollm2-f32")
    if bench.peer:
        bench.peer.ask(do="open", model=folder, dtype="f32")
    ratios = []
    for entry in prompts:
        ratio = adaptive_row(bench, entry, errors[entry["text"]], baseline)
        if ratio:
            ratios.append(ratio)
    if ratios:
        middle = statistics.median(ratios)
        bench.table.add("IG to equal error, median prompt", "", "", "", f"{middle:.1f}x", ">= 10x", middle >= 10)
    bench.limn.ask(do="open", model=folder, dtype="f32")
    for entry in prompts[:3]:
        node_row(bench, entry, baseline)


def adaptive_row(bench, entry, errors, baseline):
    what = f"IG {entry['text'][:24]!r} T={len(entry['ids'])}"
    call = {"do": "call", "command": "ig", "params": ig_params(bench, entry, baseline)}
    reply = bench.limn.ask(**call)
    scores = token_scores(reply.get("result", {})) if "error" not in reply else None
    if not scores or len(scores) != len(entry["attributions"]):
        bench.table.add(what, reply.get("error", "no token scores in the result"), equal=False)
        return None
    error = token_error(scores, entry["attributions"])
    nodes = figure(reply["result"], "integration", "nodes")
    times = [bench.limn.ask(**call)["seconds"] for _ in range(1 if bench.quick else 3)]
    ours = statistics.median(times)
    equality = f"limn {error:.2%} of the largest token"
    theirs, peer_text, bound = None, "", ""
    if bench.peer:
        level = max(error, 1e-9)
        setting = captum_setting(errors, level)
        if setting is None:  # not even the longest run gets there: its time is a lower bound
            bound = ">= "
            setting = min(((rule, steps, e) for rule, rows in errors.items() for steps, e in rows), key=lambda s: s[2])
        rule, steps, found = setting
        theirs = bench.peer.ask(do="captum", ids=entry["ids"], target=entry["target"], baseline=baseline, rule=rule,
                                steps=steps, batch=best_batch(bench, entry, baseline), attention="sdpa")
        peer_error = token_error(theirs["attributions"], entry["attributions"])
        equality += f", Captum {peer_error:.2%}"
        theirs = theirs["seconds"]
        peer_text = f"{seconds_text(theirs)} {rule} {steps}"
    ratio = theirs / ours if theirs else None
    bench.table.add(what, equality, peer_text, f"{seconds_text(ours)} ({nodes} nodes)",
                    f"{bound}{ratio:.1f}x" if ratio else "", "error <= 3%", error <= 0.03)
    return ratio


def node_row(bench, entry, baseline):
    """Forward and backward of one node, warm, each side in its best batch."""
    def ask(worker, batch, **more):
        return worker.ask(do="nodes", ids=entry["ids"], target=entry["target"], baseline=baseline, count=64,
                          batch=batch, **more)

    batches = [max(1, rows // len(entry["ids"])) for rows in (160, 320)]
    sides = []
    for worker in (bench.peer, bench.limn):
        if worker is None:
            sides.append(None)
            continue
        replies = {batch: (ask(worker, batch), ask(worker, batch))[1] for batch in batches}
        failed = first_error(*replies.values()) if any("error" in r for r in replies.values()) else None
        if failed:
            bench.table.add(f"one IG node T={len(entry['ids'])}", failed, equal=False)
            return
        sides.append(min(batches, key=lambda b: replies[b]["seconds"]))
    medians, _, last = interleave(2 if bench.quick else 5,
                                  (lambda: ask(bench.peer, sides[0], attention="sdpa")) if bench.peer else None,
                                  lambda: ask(bench.limn, sides[1]))
    if medians is None:
        bench.table.add(f"one IG node T={len(entry['ids'])}", first_error(*last), equal=False)
        return
    share = medians[1] / medians[0] if medians[0] else None
    bench.table.add(f"one IG node T={len(entry['ids'])}", "same work",
                    f"{seconds_text(medians[0] / 64 if medians[0] else None)} (batch {sides[0]})",
                    f"{seconds_text(medians[1] / 64)} (batch {sides[1]})", f"{share:.2f}" if share else "", "<= 0.6",
                    share <= 0.6 if share else None)


PASSAGE = ("The old lighthouse keeper had lived on the island for forty years, and every evening he climbed the stairs "
           "to light the lamp so that the ships")


def answer(bench):
    """The sum over a 32-token answer: Captum explains each token by itself, limn the sum in one pass."""
    if not bench.peer:
        return
    folder = str(bench.cache / "smollm2-f32")
    bench.peer.ask(do="open", model=folder, dtype="f32")
    tokens = whole_process([str(bench.build / "limn"), "tokenize", folder, "--text", PASSAGE, "--json"])
    ids = token_ids(tokens["out"])
    if not ids:
        bench.table.add("32-token answer", f"tokenize: {tokens['err'].strip()[:200]}", equal=False)
        return
    words = bench.peer.ask(do="greedy", ids=ids, count=32)["ids"]
    decoded = whole_process([str(bench.build / "limn"), "tokenize", folder, "--decode",
                             ",".join(str(i) for i in words), "--json"])
    text = find_text(decoded["out"])
    steps = 10 if bench.quick else 20
    call = {"do": "call", "command": "ig",
            "params": {"model": folder, "prompt": PASSAGE, "target": text, "baseline": ["pad"],
                       "rule": "gauss-legendre", "steps": steps, "threads": bench.threads}}
    reply = bench.limn.ask(**call)
    scores = token_scores(reply.get("result", {})) if "error" not in reply else None
    if scores is None:
        bench.table.add("32-token answer", reply.get("error", "no token scores"), equal=False)
        return
    ours = statistics.median([bench.limn.ask(**call)["seconds"] for _ in range(3)])
    times = {batch: bench.peer.ask(do="answer", text=PASSAGE, answer=words[:2], baseline=2, rule="gausslegendre",
                                   steps=steps, batch=batch)["seconds"] for batch in (5, 10, 20)}
    theirs = bench.peer.ask(do="answer", text=PASSAGE, answer=words, baseline=2, rule="gausslegendre", steps=steps,
                            batch=min(times, key=times.get))
    error = token_error(scores[:len(ids)], theirs["attributions"])
    ratio = theirs["seconds"] / ours
    bench.table.add(f"32-token answer, T={len(ids)}, sum, {steps} Gauss-Legendre nodes",
                    f"largest token difference {error:.1e}", seconds_text(theirs["seconds"]), seconds_text(ours),
                    f"{ratio:.1f}x", ">= 20x", ratio >= 20, error <= 5e-3)


# Decisions on a data set ---------------------------------------------------------------------------------------------

CHOICES = [" yes", " no"]


def tweets(bench):
    """The held-out tweets of examples/bankrun."""
    data = bench.root / "examples" / "bankrun" / "held-out.jsonl"
    if not data.exists():
        return None, []
    lines = data.read_text(encoding="utf-8").splitlines()
    return data, [json.loads(line)["prompt"] for line in lines[:200 if bench.quick else 1000]]


def predict(bench):
    """Decisions on tweets: transformers in its best batch of 1, 8 and 32, limn as `limn predict` does it."""
    if not bench.peer:
        return
    data, prompts = tweets(bench)
    if data is None:
        bench.table.add("predict", "examples/bankrun/held-out.jsonl is not there")
        return
    adapter = bench.root / "examples" / "bankrun" / "adapter"
    for name in [None] + ([str(adapter)] if adapter.exists() else []):
        predict_row(bench, data, prompts, name)


def predict_row(bench, data, prompts, adapter):
    folder = str(bench.cache / "smollm2-f32")
    more = {"adapter": adapter} if adapter else {}
    bench.peer.ask(do="open", model=folder, dtype="f32")
    what = f"predict, {len(prompts)} tweets, SmolLM2 f32" + (", adapter" if adapter else "")
    times = {}
    for batch in (1, 8, 32):
        bench.peer.ask(do="predict", prompts=prompts[:batch], choices=CHOICES, batch=batch, **more)
        times[batch] = bench.peer.ask(do="predict", prompts=prompts[:96], choices=CHOICES, batch=batch, **more)
        if "error" in times[batch]:
            bench.table.add(what, times[batch]["error"], equal=False)
            return
    best = min(times, key=lambda batch: times[batch]["seconds"])
    ours = predict_here(bench, folder, data, 8, adapter)  # opens the model
    if "error" not in ours:
        ours = predict_here(bench, folder, data, len(prompts), adapter)
    theirs = bench.peer.ask(do="predict", prompts=prompts, choices=CHOICES, batch=best, **more)
    if "error" in ours or "error" in theirs:
        bench.table.add(what, first_error(ours, theirs), equal=False)
        return
    worst = max(abs(a - b) for one, other in zip(ours["probabilities"], theirs["log_probabilities"])
                for a, b in zip(one, shares(other)))
    same = sum(one.index(max(one)) == other.index(max(other))
               for one, other in zip(ours["probabilities"], theirs["log_probabilities"]))
    ratio = theirs["seconds"] / ours["seconds"]
    bench.table.add(what, f"{same} of {len(prompts)} decisions the same, probabilities within {worst:.1e}",
                    f"{seconds_text(theirs['seconds'])} batch {best}", seconds_text(ours["seconds"]), f"{ratio:.2f}x",
                    ">= 2x", ratio >= 2, same == len(prompts) == len(ours["probabilities"]) and worst <= 1e-3)


def predict_here(bench, folder, data, limit, adapter):
    with tempfile.TemporaryDirectory(dir=bench.cache, prefix="predict-") as scratch:
        out = pathlib.Path(scratch) / "out.jsonl"
        params = {"model": folder, "data": str(data), "prompt-field": "prompt", "choices": CHOICES, "limit": limit,
                  "output": str(out), "threads": bench.threads}
        reply = bench.limn.ask(do="call", command="predict", params=params | ({"adapter": adapter} if adapter else {}))
        if "error" not in reply:
            lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
            reply["probabilities"] = [[line["probabilities"][choice.strip()] for choice in CHOICES] for line in lines]
        return reply


def shares(logs):
    weights = [math.exp(log - max(logs)) for log in logs]
    return [weight / sum(weights) for weight in weights]


# Results read -------------------------------------------------------------------------------------------------------

def token_ids(text):
    """All "id" values of a tokenize result in order."""
    try:
        result = json.loads(text)
    except ValueError:
        return []
    return [token["id"] for token in result.get("input", {}).get("tokens", [])]


def find_text(text):
    try:
        result = json.loads(text)
    except ValueError:
        return ""
    block = find_block(result, "text") or {}
    return block.get("text", "")


# Memory and start -----------------------------------------------------------------------------------------------------

def memory(bench):
    """Peak resident bytes of whole processes: integrated gradients under --memory min, a last-logit forward."""
    length = 512 if bench.quick else 2048
    ids = ",".join(str(i) for i in ids_of_length(length))
    folder = str(bench.cache / "smollm2-f32")
    limn = str(bench.build / "limn")
    runs = [whole_process([limn, "run", folder, "--ids", ids, "--top", "1", "--memory", "min", "--json"]),
            whole_process([limn, "ig", folder, "--ids", ids, "--memory", "min", "--steps", "4", "--rule",
                           "gauss-legendre", "--baseline", "pad", "--json"])]
    for run in runs:
        if run["code"] not in (0, 1):
            bench.table.add(f"peak memory T={length}", run["err"].strip()[-300:], equal=False)
            return
    ratio = runs[1]["bytes"] / runs[0]["bytes"]
    bench.table.add(f"peak memory of IG under --memory min, T={length}", "", f"forward {bytes_text(runs[0]['bytes'])}",
                    bytes_text(runs[1]["bytes"]), f"{ratio:.2f}", "<= 1.3", ratio <= 1.3)


def read_seconds(folder):
    """Time to read the weights once from the page cache, the floor of any first logit."""
    buffer = bytearray(16 << 20)
    started = time.perf_counter()
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - started


def read_and_hash_seconds(folder, threads):
    """The same with each 16 MiB hashed, which a folder that limn has not seen needs for its record."""
    piece = 16 << 20
    started = time.perf_counter()
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb", buffering=0) as file, concurrent.futures.ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda at: hashlib.sha256(os.pread(file.fileno(), piece, at)).digest(),
                          range(0, path.stat().st_size, piece)))
    return time.perf_counter() - started


def start_unseen(bench, limn, folder):
    """The first opening of all: an empty cache of hashes."""
    seconds, floor = [], []
    for _ in range(2 if bench.quick else 4):
        with tempfile.TemporaryDirectory(dir=bench.cache, prefix="unseen-") as empty:
            seconds.append(whole_process(limn, {"XDG_CACHE_HOME": empty})["seconds"])
        floor.append(read_and_hash_seconds(folder, bench.threads))
    middle, least = statistics.median(seconds), statistics.median(floor)
    bench.table.add("first logits of a folder never opened, against reading and hashing it", "",
                    f"read, hashed {seconds_text(least)}", seconds_text(middle), f"{middle / least:.2f}", "<= 1.5",
                    middle / least <= 1.5)


def start(bench):
    """From the start of a process to its first logits, on the 1B bfloat16 folder; and `limn info`."""
    folder = bench.cache / "llama-1b-bf16"
    ids = ",".join(str(i) for i in ids_of_length(8))
    limn = [str(bench.build / "limn"), "run", str(folder), "--ids", ids, "--dtype", "bf16", "--top", "1", "--json"]
    peer = [bench.peers, str(bench.root / "bench/peers/first_logits.py"), str(folder), "bf16", ids]
    read_seconds(folder)
    whole_process(limn)  # from here on the folder has been opened before
    times = {"limn": [], "peer": [], "read": [], "info": []}
    for _ in range(2 if bench.quick else 4):
        run = whole_process(limn)
        if run["code"] != 0:
            bench.table.add("start to first logits, 1B bf16", run["err"].strip()[-300:], equal=False)
            return
        times["limn"].append(run["seconds"])
        if bench.peers:
            times["peer"].append(whole_process(peer)["seconds"])
        times["read"].append(read_seconds(folder))
        times["info"].append(whole_process([limn[0], "info", str(folder), "--json"])["seconds"])
    middle = {name: statistics.median(values) if values else None for name, values in times.items()}
    ratio = middle["peer"] / middle["limn"] if middle["peer"] else None
    bench.table.add("start to first logits, 1B bf16", "", seconds_text(middle["peer"]), seconds_text(middle["limn"]),
                    f"{ratio:.1f}x" if ratio else "", ">= 5x", ratio >= 5 if ratio else None)
    share = middle["limn"] / middle["read"]
    bench.table.add("the same against reading the weights once", "", f"read {seconds_text(middle['read'])}",
                    seconds_text(middle["limn"]), f"{share:.2f}", "<= 1.5", share <= 1.5)
    start_unseen(bench, limn, folder)
    bench.table.add("limn info, 1B", "", "", seconds_text(middle["info"]), "", "< 1 s", middle["info"] < 1.0)


# Families -------------------------------------------------------------------------------------------------------------

SHAPES = json.loads((pathlib.Path(__file__).parent / "peers/family_shapes.json").read_text())
FAMILIES = list(SHAPES)


def families(bench):
    """Tokens a second of each family's 0.5 to 1B shape in float32: all logits of a prompt, then one token at a time."""
    for name in bench.families:
        folder = bench.cache / f"family-{name}-f32"
        opened = [worker.ask(do="open", model=str(folder), dtype="f32") for worker in (bench.limn, bench.peer) if worker]
        failed = [reply["error"] for reply in opened if "error" in reply]
        if failed:
            bench.table.add(f"open {name}", failed[0], equal=False)
            continue
        with tempfile.TemporaryDirectory(dir=bench.cache, prefix="logits-") as scratch:
            attention = family_prompt(bench, name, folder, pathlib.Path(scratch))
        if "ForMaskedLM" not in SHAPES[name]["architectures"][0]:
            family_decoding(bench, name, attention)
        for worker in (bench.limn, bench.peer):
            if worker:
                worker.ask(do="close")


def attentions(name):
    """The reference adds ALiBi twice when attention is eager."""
    return ("sdpa",) if SHAPES[name].get("alibi") else ("eager", "sdpa")


def billions(folder):
    return (folder / "model.safetensors").stat().st_size / 4e9


def family_prompt(bench, name, folder, scratch):
    """Answers the peer's faster attention."""
    length = 128 if bench.quick else 512
    ids = ids_of_length(length)
    what = f"family {name} {billions(folder):.2f}B f32 T={length}"
    ours, theirs = scratch / "limn", scratch / "peer"
    reply = bench.limn.ask(do="forward", ids=ids, save=str(ours))
    if "error" in reply:
        bench.table.add(what, reply["error"], equal=False)
        return None
    for _ in range(2):  # a weight is packed at its third use
        bench.limn.ask(do="forward", ids=ids)
    equality, equal, attention = "", None, None
    if bench.peer:
        warm = {kind: bench.peer.ask(do="forward", ids=ids, attention=kind, save=str(theirs)) for kind in
                attentions(name)}
        attention = min(warm, key=lambda kind: warm[kind].get("seconds", 1e9))
        equality, equal = forward_equality(bench, "f32", length, ours, theirs, scratch)
    medians, _, last = interleave(
        2 if bench.quick else 3,
        (lambda: bench.peer.ask(do="forward", ids=ids, attention=attention)) if bench.peer else None,
        lambda: bench.limn.ask(do="forward", ids=ids))
    add_rates(bench, what, equality, equal, length, medians, last)
    return attention


def family_decoding(bench, name, attention):
    ids, count = ids_of_length(16), 8 if bench.quick else 32
    ask = {"do": "decode", "ids": ids, "count": count}
    medians, _, last = interleave(
        2 if bench.quick else 3, (lambda: bench.peer.ask(**ask, attention=attention)) if bench.peer else None,
        lambda: bench.limn.ask(**ask))
    equal = None if not bench.peer or medians is None else last[0]["ids"] == last[1]["ids"]
    text = "" if equal is None else f"{count} tokens " + ("the same" if equal else "differ")
    add_rates(bench, f"family {name}, {count} tokens after {len(ids)}", text, equal, count, medians, last)


def add_rates(bench, what, equality, equal, tokens, medians, last):
    if medians is None:
        bench.table.add(what, first_error(*last), equal=False)
        return
    rates = [f"{tokens / seconds:.1f} tokens/s" if seconds else "-" for seconds in medians]
    ratio = f"{medians[0] / medians[1]:.2f}x" if medians[0] else ""
    bench.table.add(what, equality, rates[0], rates[1], ratio, equal=equal)


# Sweeps -----------------------------------------------------------------------------------------------------------------

def smollm2_file(bench):
    """SmolLM2 as it is fetched: section `sweep` needs no model made by the peers."""
    fetched = subprocess.run([str(bench.root / "scripts" / "models"), "smollm2"], stdout=subprocess.PIPE, text=True)
    path = pathlib.Path((fetched.stdout.strip().splitlines() or [""])[-1])
    return path if path.is_file() else next(path.glob("*.gguf"), None)


def paper_row_layers(layers, length, positions, key_share):
    """Of patches behind layer l (from 1) at position t (from 0): rows t.. in the layers above, the last of which needs
    keys and values of them and all of one row."""
    total = 0.0
    for above in range(layers):
        for t in positions:
            rows = length - t
            total += (above - 1) * rows + key_share * rows + 1 - key_share if above else 0
    return total


def sweep(bench):
    """Every layer and position of the residual stream patched: a sweep beside full passes, both limn's own."""
    model = smollm2_file(bench)
    opened = bench.limn.ask(do="open", model=str(model), dtype="f32") if model else {"error": "SmolLM2 is not there"}
    if "error" in opened:
        bench.table.add("sweep", opened["error"], equal=False)
        return
    length, layers = 64, 30
    ids = ids_of_length(length)
    ask = {"do": "sweep", "ids": ids, "other": [(i * 104729 + 7) % 30000 for i in range(length)], "target": 42}
    sweep_grid(bench, ask, length, layers)
    sweep_column(bench, ask, length, layers)
    sweep_live(bench, ask, length)
    bench.limn.ask(do="close")


def sweep_grid(bench, ask, length, layers):
    step = 8 if bench.quick else 1
    positions = range(3, length, step) if bench.quick else range(length)
    ask = {**ask, "positions": [positions.start, length, step]}
    full, joined = (bench.limn.ask(how=how, **ask) for how in ("full", "joined"))
    if "error" in full or "error" in joined:
        bench.table.add("sweep", first_error(full, joined), equal=False)
        return
    worst = max(abs(a - b) for a, b in zip(full["objective"], joined["objective"]))
    spread = max(joined["objective"]) - min(joined["objective"])  # patches that change nothing would agree too
    seconds = joined["seconds"] + joined[f"kept_{bench.limn.clock}"]
    ratio = full["seconds"] / seconds
    what = f"patches of the residual stream, SmolLM2 f32, {layers} layers x {len(positions)} of {length} positions"
    bench.table.add(what, f"max diff {worst:.1e} of {spread:.1f}", f"{seconds_text(full['seconds'])} full passes",
                    f"{seconds_text(seconds)} ({joined['runs']} runs)", f"{ratio:.2f}x", ">= 3x", ratio >= 3,
                    worst == 0 and spread > 0.1)
    key_share = 2 * 192 / (2 * 192 + 2 * 576 + 3 * 1536)
    paper = paper_row_layers(layers, length, positions, key_share)
    share = joined["row_layers"] / paper
    bench.table.add("their work, rows x layers", "", f"{full['row_layers']:.0f} full passes",
                    f"{joined['row_layers']:.0f}", f"{share:.3f} of {paper:.0f} on paper", "within 15%",
                    abs(share - 1) <= 0.15)


def sweep_column(bench, ask, length, layers):
    """One position through all layers, the run that is patched being kept, beside one forward."""
    for position in (length - 1, length - 5, 0):  # 1.5 forwards are about 6 rows in each of 30 layers
        column = {**ask, "positions": [position, position + 1], "how": "joined"}
        bench.limn.ask(**column)
        medians, _, last = interleave(3 if bench.quick else 7, lambda: bench.limn.ask(**column),
                                      lambda: bench.limn.ask(do="forward", ids=ask["ids"], rows="last"))
        if medians is None:
            bench.table.add(f"position {position} through all layers", first_error(*last), equal=False)
            continue
        ratio = medians[0] / medians[1]
        goal = ratio <= 1.5 if position > 0 else None  # of the first position the count itself is half the layers
        bench.table.add(f"position {position} through {layers} layers", "", f"{seconds_text(medians[1])} one forward",
                        seconds_text(medians[0]), f"{ratio:.2f} forwards", "<= 1.5" if position > 0 else "", goal)


def sweep_live(bench, ask, length):
    """Patches one by one, as a person would ask for them."""
    live = {**ask, "layers": [1, 29, 3], "positions": [2, length, 7], "how": "live", "clock": bench.limn.clock}
    bench.limn.ask(**live)
    reply = bench.limn.ask(**live)
    if "error" in reply:
        bench.table.add("one live patch", reply["error"], equal=False)
        return
    each = sorted(reply["each"])
    p50, p99 = each[len(each) // 2], each[min(len(each) - 1, int(0.99 * len(each)))]
    bench.table.add(f"one live patch, T={length}, {len(each)} layers and positions", "",
                    f"{bytes_text(reply['kept_bytes'])} kept", f"p50 {seconds_text(p50)}, p99 {seconds_text(p99)}")


# Live edits -----------------------------------------------------------------------------------------------------------

LIVE = (  # name, layers; (layers above) x (positions behind) within which an edit is to be answered in 100 ms; the most asked
    ("SmolLM2", 30, 3000, 30 * 512),
    ("llama-1b-bf16", 16, 256, 2048),
)


def live(bench):
    """`limn live` in bf16, 512 tokens: from an edit's text to the changed distribution in a result document, the prompt's run
    being warm. Each edit is asked twice: the first time its site is new to the engine."""
    for name, layers, near, most in LIVE:
        model = smollm2_file(bench) if name == "SmolLM2" else llama_1b(bench)
        if model:
            live_model(bench, name, model, layers, near, most)
        else:
            bench.table.add("live", f"{name} is not there: give --peers once to make it", equal=False if name == "SmolLM2" else None)


def llama_1b(bench):
    folder = bench.cache / "llama-1b-bf16"
    if not (folder / "config.json").exists() and bench.peers:
        subprocess.run([bench.peers, str(bench.root / "bench" / "peers" / "llama_shape.py"), "1b", str(bench.cache)], check=True)
    return folder if (folder / "config.json").exists() else None


def live_model(bench, name, model, layers, near_reach, most):
    length = 512
    ids = ",".join(map(str, ids_of_length(length)))
    params = {"model": str(model), "ids": ids, "dtype": "bf16", "check": "none", "threads": bench.threads}
    started = bench.limn.ask(do="call", command="live", params=params)
    if "error" in started:
        bench.table.add(f"live, {name}", started["error"], equal=False)
        return
    full = min(live_seconds(bench, {**params, "set": ["hook_embed[pos=0]=times:1.5"]})[0] for _ in range(2))
    bench.table.add(f"live, {name}, T={length} bf16: all rows and layers", "", "", seconds_text(full))
    cells = [(layer, position) for layer in range(1, layers, 8 if bench.quick else 3)
             for position in (511, 503, 479, 412, 312, 112, 8) if (layers - layer) * (length - position) <= most]
    near, far = [], []
    for layer, position in cells:
        ask = {**params, "set": [f"blocks.{layer}.hook_mlp_out[pos={position}]=zero"]}
        first, share = live_seconds(bench, ask)
        again = min(live_seconds(bench, ask)[0] for _ in range(2))
        reach = (layers - layer) * (length - position)
        (near if reach <= near_reach else far).append((again, first, again / (full * share)))
    plain = {**params, "set": [f"blocks.{cells[0][0]}.hook_mlp_out[pos={cells[-1][1]}]=zero"], "check": "pass"}
    checked = next(c for c in bench.limn.ask(do="call", command="live", params=plain)["result"]["checks"]
                   if c["name"] == "plain-pass")
    live_row(bench, f"edits with (L-l)(T-t) <= {near_reach}", near, 0, 0.1, checked)
    live_row(bench, "the same, of a site that is new to the engine", near, 1, None, checked)
    ratios = sorted(cell[2] for cell in far)
    if ratios:
        worst = ratios[min(len(ratios) - 1, int(0.99 * len(ratios)))]
        bench.table.add(f"{len(ratios)} edits that reach further", "", "their share of a pass: 1",
                        f"p50 {ratios[len(ratios) // 2]:.2f}, p99 {worst:.2f}", "", "<= 1.3", worst <= 1.3)


def live_seconds(bench, params):
    reply = bench.limn.ask(do="call", command="live", params=params)
    rows = next(block for block in reply["result"]["blocks"] if block["id"] == "change")["rows"]
    return reply[bench.limn.clock], rows[2][1] / rows[3][1]


def live_row(bench, what, cells, which, goal, checked):
    each = sorted(cell[which] for cell in cells)
    p50, p99 = each[len(each) // 2], each[min(len(each) - 1, int(0.99 * len(each)))]
    bench.table.add(f"{len(each)} {what}", f"max diff {checked['value']:.1e} of a full pass", "",
                    f"p50 {seconds_text(p50)}, p99 {seconds_text(p99)}", "", f"p99 < {1000 * goal:.0f} ms" if goal else "",
                    p99 < goal if goal else None, checked["pass"])


# Patching -----------------------------------------------------------------------------------------------------------

PATCHING = (  # site, window, what, goal
    ("resid_pre", 1, "stream, all layers and positions", 8),
    ("mlp_out", 5, "MLPs, windows of 5 layers", 5),
    ("z", 1, "heads, all layers", 4),
)


def patching(bench):
    """`limn patch` beside TransformerLens on GPT-2 small's shape, 64 tokens that differ from the first on (so that no
    cell is skipped). The peer runs some of the cells, evenly spread: each is a pass over the whole prompt there, whichever
    it is, so their time is taken for all."""
    folder = bench.cache / "gpt2-small-f32"
    if not (folder / "config.json").exists():
        if not bench.peers:
            bench.table.add("patch", f"{folder} is not there: give --peers once to make it")
            return
        subprocess.run([bench.peers, str(bench.root / "bench" / "peers" / "gpt2_small.py"), str(bench.cache)], check=True)
    length = 64
    corrupt = ids_of_length(length)
    clean = [corrupt[i] if i % 9 else corrupt[i] + 1 for i in range(length)]
    if bench.peer:
        bench.peer.ask(do="open", model=str(folder), dtype="f32")
    for site, window, what, goal in PATCHING:
        patching_row(bench, folder, clean, corrupt, site, window, what, goal)


def patching_here(bench, folder, clean, corrupt, site, window):
    params = {"model": str(folder), "ids": ",".join(map(str, clean)), "corrupt-ids": ",".join(map(str, corrupt)),
              "target-id": 42, "site": site, "window": window, "threads": bench.threads}
    reply = bench.limn.ask(do="call", command="patch", params=params)
    if "error" in reply:
        return reply
    result = reply["result"] if isinstance(reply["result"], dict) else json.loads(reply["result"])
    matrix = next(block for block in result["blocks"] if block["id"] == "effects")
    values = {item["name"]: item["value"] for item in result["checks"]}
    return {**reply, "effects": matrix["values"], "base": result["params"]["corrupt-value"],
            "contrast": result["target"]["contrast"]["ids"][0], "plain": values.get("plain pass", 0)}


def patching_row(bench, folder, clean, corrupt, site, window, what, goal):
    patching_here(bench, folder, clean, corrupt, site, window)  # opens the model, packs its weights
    ours = patching_here(bench, folder, clean, corrupt, site, window)
    what = f"patch, GPT-2 small's shape, T={len(clean)}: {what}"
    if "error" in ours or not bench.peer:
        bench.table.add(what, ours.get("error", ""), "", seconds_text(ours.get("seconds")),
                        equal=False if "error" in ours else None)
        return
    layers, columns = len(ours["effects"]), len(ours["effects"][0])
    step = 1 if not bench.quick else 16 if columns == len(clean) else 4
    cells = [(layer, column) for layer in range(layers) for column in range(step // 2, columns, step)]
    theirs = bench.peer.ask(do="patch", clean=clean, corrupt=corrupt, target=42, contrast=ours["contrast"], site=site,
                            window=window, cells=cells)
    if "error" in theirs:
        bench.table.add(what, theirs["error"], equal=False)
        return
    worst = max(abs(value - ours["base"] - ours["effects"][layer][column])
                for value, (layer, column) in zip(theirs["values"], cells))
    spread = max(map(max, ours["effects"])) - min(map(min, ours["effects"]))
    seconds = theirs["seconds"] * layers * columns / len(cells) + theirs["prepare"][bench.peer.clock]
    ratio = seconds / ours["seconds"]
    asked = "" if step == 1 else f" ({len(cells)} of {layers * columns} cells, times {layers * columns / len(cells):g})"
    bench.table.add(what, f"max diff {worst:.1e} of {spread:.1f}", f"{seconds_text(seconds)}{asked}",
                    seconds_text(ours["seconds"]), f"{ratio:.1f}x", f">= {goal}x", ratio >= goal,
                    worst <= 1e-4 and spread > 0.1)


SECTIONS = {"forward": forward, "ig": integrated_gradients, "answer": answer, "predict": predict, "memory": memory,
            "start": start, "families": families, "sweep": sweep, "live": live, "patch": patching, "explain": explain, "ablate": ablate,
            "attribute": attribute, "why": why, "audit": audit}
