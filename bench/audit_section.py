"""Section `audit`: a small audit of the bank-run case beside its own steps, each run as its command line says."""
import json
import pathlib
import shlex
import subprocess
import tempfile

from bench_tools import bytes_text, seconds_text, whole_process

PLAN = """limn: audit/1
seed: 1
models: {{judged: {{model: {model}, adapter: {case}/adapter}}, before: {{model: {model}, adapter: {case}/adapter-clean}}}}
data:
  tweets: {{file: {case}/held-out.jsonl, prompt-field: prompt, label-field: label, id-field: id,
           choices: [' yes', ' no'], groups: [lang], sample: {sample}}}
steps:
- {{run: predict, id: decisions}}
- {{run: predict, id: earlier, model: before}}
- {{run: sensitive, id: protected, with: {{ordinary: 3, explain: 4}}}}
"""


def fetched_model(bench):
    done = subprocess.run([str(bench.root / "scripts" / "models"), "smollm2"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return None
    path = pathlib.Path(done.stdout.strip().splitlines()[-1])
    return path if path.is_file() else next(path.glob("*.gguf"))


def audit(bench):
    """The goal is of time: what an audit adds is its record, its tests and its report."""
    model = fetched_model(bench)
    if model is None:
        bench.table.add("audit", "scripts/models cannot fetch SmolLM2")
        return
    with tempfile.TemporaryDirectory(prefix="audit-") as scratch:
        folder = pathlib.Path(scratch)
        plan = folder / "plan.yaml"
        plan.write_text(PLAN.format(model=model, case=bench.root / "examples" / "bankrun",
                                    sample=24 if bench.quick else 120), encoding="utf-8")
        row(bench, folder, plan, model)


def steps_of(work):
    """Each kept result with the command line that the report gives for it."""
    report = json.loads((work / "report.json").read_text(encoding="utf-8"))
    table = next(block for block in report["blocks"] if block["id"] == "steps")
    place = {(column if isinstance(column, str) else column["name"]): i for i, column in enumerate(table["columns"])}
    for cells in table["rows"]:
        kept = next((work / "steps").glob(f"{cells[place['step']]}.{cells[place['key']]}*.json"))
        yield shlex.split(cells[place["command"]])[1:], json.loads(kept.read_text(encoding="utf-8"))


def row(bench, folder, plan, model):
    limn, threads = str(bench.build / "limn"), ["--threads", str(bench.threads)]
    work = folder / "work"
    whole_process([limn, "info", str(model)])  # its file is in memory on both sides
    whole = whole_process([limn, "audit", str(plan), "--work", str(work), "-o", str(folder / "audit.html"), *threads])
    if not (work / "report.json").exists():
        bench.table.add("audit", whole["err"].strip()[-200:], equal=False)
        return
    seconds, peak, same, n = 0.0, 0, 0, 0
    for command, kept in steps_of(work):
        part = whole_process([limn, *command, "--json", *threads])
        seconds, peak, n = seconds + part[bench.limn.clock], max(peak, part["bytes"]), n + 1
        same += part["out"] != "" and json.loads(part["out"])["blocks"] == kept["blocks"]
    time, memory = whole[bench.limn.clock] / seconds, whole["bytes"] / peak
    bench.table.add(f"audit of {n} steps beside its steps one by one, time", f"{same} of {n} results the same",
                    seconds_text(seconds), seconds_text(whole[bench.limn.clock]), f"{time:.2f} of it", "<= 1.1 of it",
                    time <= 1.1, equal=same == n)
    bench.table.add("the same, memory (largest step)", "", bytes_text(peak), bytes_text(whole["bytes"]),
                    f"{memory:.2f} of it", "<= 1.1 of it", memory <= 1.1)
