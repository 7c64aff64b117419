"""Section `ablate`: heads taken out one by one, beside TransformerLens with a hook for each; rollout and flow of one prompt's
attention beside numpy and networkx."""
import json
import subprocess

from bench_tools import first_error, interleave, seconds_text

LENGTH, TARGET = 64, 42


def ablate(bench):
    """GPT-2 small's shape, 64 tokens, all 144 heads with zeros in their place; the whole command on our side, its backward
    pass and its checks included."""
    folder = bench.cache / "gpt2-small-f32"
    if not (folder / "config.json").exists():
        if not bench.peers:
            bench.table.add("ablate", f"{folder} is not there: give --peers once to make it")
            return
        subprocess.run([bench.peers, str(bench.root / "bench" / "peers" / "gpt2_small.py"), str(bench.cache)], check=True)
    ids = [(i * 7919 + 13) % 50000 for i in range(LENGTH)]
    if bench.peer:
        bench.peer.ask(do="open", model=str(folder), dtype="f32")
    heads_row(bench, folder, ids)
    rollout_rows(bench, folder, ids)


def call(bench, command, params):
    reply = bench.limn.ask(do="call", command=command, params=params)
    if "error" not in reply:
        result = reply["result"] if isinstance(reply["result"], dict) else json.loads(reply["result"])
        reply["blocks"] = {block["id"]: block for block in result["blocks"]}
    return reply


def heads_row(bench, folder, ids):
    what = f"ablation of all heads, GPT-2 small's shape, T={len(ids)}"
    params = {"model": str(folder), "ids": ",".join(map(str, ids)), "target-id": TARGET, "metric": "logit",
              "threads": bench.threads}

    def ours():
        return call(bench, "ablate", params)

    def peers():
        return bench.peer.ask(do="heads", ids=ids, target=TARGET)
    ours()
    medians, _, last = interleave(1 if bench.quick else 3, peers if bench.peer else None, ours)
    if medians is None:
        bench.table.add(what, first_error(*last), equal=False)
        return
    if not bench.peer:
        bench.table.add(what, "", "", seconds_text(medians[1]))
        return
    effects = last[1]["blocks"]["effects"]["values"]
    worst = max(abs(a - b) for ours_row, row in zip(effects, last[0]["effects"]) for a, b in zip(ours_row, row))
    spread = max(map(max, effects)) - min(map(min, effects))
    ratio = medians[0] / medians[1]
    bench.table.add(what, f"max diff {worst:.1e} of {spread:.1f}", seconds_text(medians[0]), seconds_text(medians[1]),
                    f"{ratio:.1f}x", ">= 4x", ratio >= 4, equal=worst <= 1e-4 and spread > 0.1)


def rollout_rows(bench, folder, ids):
    """The peer is given the attentions; ours is the whole command, its forward pass included."""
    for kind, peer, goal in (("plain", "numpy", None), ("flow", "networkx", 50)):
        what = f"rollout, {kind}, T={len(ids)}, beside {peer}"
        params = {"model": str(folder), "ids": ",".join(map(str, ids)), "target-id": TARGET, "kind": kind,
                  "check": "none", "threads": bench.threads}
        call(bench, "rollout", params)
        ours = call(bench, "rollout", params)
        theirs = bench.peer.ask(do="rollout", ids=ids, kind=kind) if bench.peer else {}
        if "error" in ours or "error" in theirs or not bench.peer:
            bench.table.add(what, ours.get("error", theirs.get("error", "")), "", seconds_text(ours.get("seconds")),
                            equal=None if not bench.peer and "error" not in ours else False)
            continue
        row = ours["blocks"]["rollout"]["values"][-1]
        worst = max(abs(a - b) for a, b in zip(row, theirs["row"]))
        ratio = theirs[bench.peer.clock] / ours[bench.limn.clock]
        bench.table.add(what, f"max diff {worst:.1e}", seconds_text(theirs[bench.peer.clock]),
                        seconds_text(ours[bench.limn.clock]), f"{ratio:.1f}x", f">= {goal}x" if goal else "",
                        goal is None or ratio >= goal, equal=worst <= 1e-4)
