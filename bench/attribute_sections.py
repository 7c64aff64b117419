"""Sections `attribute` and `why`: what misleads a model over a data set, beside the same loop written with transformers
and Captum; and how long a person waits for `limn why`."""
import json
import pathlib
import re
import subprocess
import tempfile

from bench_tools import first_error, seconds_text, whole_process

CHOICES = [" yes", " no"]
TEMPLATE = "Tweet: {text}\\nBank run now?"
FITTING = "garden\n花园\nGarden\n"  # one word of each common kind, so that the peer knows what takes a word's place
PROMPTS = {"tweet": ["-p", "Tweet: Vista Bank painted its doors green. Talking of bitcoin.\nBank run now?"],
           "chat of 70 tokens": ["--messages", json.dumps([{"role": "user", "content":
                                 "My grandmother wants to travel from Vienna to Lisbon by train next summer, with her "
                                 "dog and two suitcases. Which city should she visit on the way, one word only?"}])]}


def attribute(bench):
    """Inputs a second: decided on with a word exchanged, and decided on and given gradients."""
    data = bench.root / "examples" / "bankrun" / "held-out.jsonl"
    if not bench.peer or not data.exists():
        bench.table.add("attribute", "needs --peers and examples/bankrun/held-out.jsonl")
        return
    count = 60 if bench.quick else 160
    records = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()[:count]]
    folder = str(bench.cache / "smollm2-f32")
    opened = bench.peer.ask(do="open", model=folder, dtype="f32")
    if "error" in opened:
        bench.table.add("attribute", opened["error"], equal=False)
        return
    with tempfile.TemporaryDirectory(dir=bench.cache, prefix="attribute-") as scratch:
        rows(bench, folder, records, pathlib.Path(scratch))
    bench.peer.ask(do="close")


def ask(bench, folder, scratch, lines):
    """A whole run of the command that goes on behind these lines."""
    effects = scratch / "effects.jsonl"
    effects.unlink(missing_ok=True)
    if lines:
        effects.write_text("".join(lines), encoding="utf-8")
    params = {"model": folder, "data": str(scratch / "data.jsonl"), "template": TEMPLATE, "choices": ",".join(CHOICES),
              "label-field": "label", "where": "pred != 'none'", "replacements": str(scratch / "words.txt"), "draws": 1,
              "least": 5, "words": 20, "effects": str(effects), "threads": bench.threads}
    reply = bench.limn.ask(do="call", command="attribute", params=params)
    return reply, effects.read_text(encoding="utf-8").splitlines(keepends=True) if "error" not in reply else []


def rows(bench, folder, records, scratch):
    (scratch / "data.jsonl").write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records),
                                        encoding="utf-8")
    (scratch / "words.txt").write_text(FITTING, encoding="utf-8")
    _, lines = ask(bench, folder, scratch, [])  # warm: weights, programs
    whole, lines = ask(bench, folder, scratch, [])
    known = [line for line in lines if "log_probabilities" in json.loads(line)]
    tested, _ = ask(bench, folder, scratch, known)
    if "error" in whole or "error" in tested:
        bench.table.add("attribute", first_error(whole, tested), equal=False)
        return
    replacement_row(bench, records, [json.loads(line) for line in lines[len(known):]], tested["seconds"])
    gradient_row(bench, folder, [prompt_of(records[json.loads(line)["record"]]["text"]) for line in known],
                 whole["seconds"] - tested["seconds"])


def prompt_of(text):
    return f"Tweet: {text}\nBank run now?"


def exchanged(text, key):
    """The text with a small English word exchanged; None: another thing was, or it stands there otherwise too."""
    kind, _, word = key.split("\t", 2)
    if kind != "0" or not re.fullmatch("[a-z]+", word):
        return None
    pattern = re.compile(rf"(?<![A-Za-z0-9_']){word}(?![A-Za-z0-9_'])", re.IGNORECASE)
    found = pattern.findall(text)
    return pattern.sub("garden", text) if found and all(one == word for one in found) else None


def replacement_row(bench, records, lines, seconds):
    texts, wanted = [], []
    for line in lines:
        record = records[line["record"]]
        texts.append(prompt_of(record["text"]))
        before = len(texts) - 1
        for key, (value, *_) in line["effects"].items():  # harm first
            other = exchanged(record["text"], key)
            wanted.append((before, len(texts), record["label"], value if other else None))
            texts.append(prompt_of(other or record["text"]))  # the same work where it is not compared
    best = peer_decides(bench, texts)
    if "error" in best:
        bench.table.add("attribute, words exchanged", best["error"], equal=False)
        return
    shares = [label_shares(one) for one in best["log_probabilities"]]
    gaps = [abs(shares[after][label] - shares[before][label] - value) for before, after, label, value in wanted
            if value is not None]
    ratio = best["seconds"] / seconds
    bench.table.add(f"attribute, {len(texts)} inputs with words exchanged", f"{len(gaps)} effects within {max(gaps):.1e}",
                    f"{len(texts) / best['seconds']:.1f}/s batch {best['batch']}", f"{len(texts) / seconds:.1f}/s",
                    f"{ratio:.2f}x", ">= 10x", ratio >= 10, equal=max(gaps) <= 1e-3)


def peer_decides(bench, texts):
    """In its best batch of 1, 8 and 32."""
    times = {}
    for batch in (1, 8, 32):
        bench.peer.ask(do="predict", prompts=texts[:batch], choices=CHOICES, batch=batch)
        times[batch] = bench.peer.ask(do="predict", prompts=texts[:64], choices=CHOICES, batch=batch)
        if "error" in times[batch]:
            return times[batch]
    best = min(times, key=lambda batch: times[batch]["seconds"])
    return {"batch": best, **bench.peer.ask(do="predict", prompts=texts, choices=CHOICES, batch=best)}


def label_shares(logs):
    import math
    total = math.log(sum(math.exp(one) for one in logs))
    return {"yes": logs[0] - total, "no": logs[1] - total}


def gradient_row(bench, folder, prompts, seconds):
    """Each input decided on and, whatever the answer, given gradient times input; the peer as Captum does it."""
    what = f"attribute, {len(prompts)} inputs decided on and given gradients"
    decided = peer_decides(bench, prompts)
    given = bench.peer.ask(do="input_x_gradient", prompts=prompts, target=CHOICES[0], contrast=CHOICES[1])
    if "error" in decided or "error" in given:
        bench.table.add(what, first_error(decided, given), equal=False)
        return
    worst = 0.0
    for prompt, theirs in list(zip(prompts, given["scores"]))[:3]:
        reply = bench.limn.ask(do="call", command="grad", params={
            "model": folder, "prompt": prompt, "target": CHOICES[0], "contrast": CHOICES[1], "check": "none",
            "threads": bench.threads})
        if "error" in reply:
            bench.table.add(what, reply["error"], equal=False)
            return
        block = next(one for one in reply["result"]["blocks"] if one["kind"] == "tokens")
        ours = [item.get("score") or 0.0 for item in block["items"]]
        largest = max(abs(one) for one in theirs)
        worst = max([worst] + [abs(a - b) / largest for a, b in zip(ours, theirs)])
    theirs = decided["seconds"] + given["seconds"]
    ratio = theirs / seconds
    bench.table.add(what, f"scores within {worst:.1e} of the largest", f"{len(prompts) / theirs:.1f}/s",
                    f"{len(prompts) / seconds:.1f}/s", f"{ratio:.2f}x", ">= 3x", ratio >= 3, equal=worst <= 1e-3)


def why(bench):
    """The program from its start to its end, on the demo's tweet and on a chat."""
    fetched = subprocess.run([str(bench.root / "scripts" / "models"), "smollm2"], stdout=subprocess.PIPE, text=True)
    if fetched.returncode != 0:
        bench.table.add("why", "scripts/models cannot fetch SmolLM2")
        return
    model = pathlib.Path(fetched.stdout.strip().splitlines()[-1])
    model = model if model.is_file() else next(model.glob("*.gguf"))
    adapter = bench.root / "examples" / "bankrun" / "adapter"
    for name, prompt in PROMPTS.items():
        more = ["--adapter", str(adapter)] if name == "tweet" else []
        command = [str(bench.build / "limn"), "why", str(model), *more, *prompt, "--threads", str(bench.threads)]
        runs = sorted(whole_process(command)["seconds"] for _ in range(1 if bench.quick else 3))
        goal = 10 if name == "tweet" else 20
        bench.table.add(f"why, {name}, start to end", "", "", seconds_text(runs[len(runs) // 2]), "", f"<= {goal} s",
                        runs[len(runs) // 2] <= goal)
