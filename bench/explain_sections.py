"""Section `explain`: relevance beside a forward pass, and the causal gradient of all neurons beside PyTorch's."""
import pathlib
import tempfile

from bench_tools import first_error, interleave, seconds_text

LENGTHS = (64, 256)


def explain(bench):
    """On SmolLM2's shape, made by the peers from its GGUF file."""
    folder = bench.cache / "smollm2-f32"
    opened = [worker.ask(do="open", model=str(folder), dtype="f32") for worker in (bench.limn, bench.peer) if worker]
    for reply in opened:
        if "error" in reply:
            bench.table.add("explain", reply["error"], equal=False)
            return
    for length in LENGTHS[:1] if bench.quick else LENGTHS:
        ids = [(i * 7919 + 13) % 30000 for i in range(length)]
        relevance_row(bench, ids)
        neurons_row(bench, folder, ids)
    for worker in (bench.limn, bench.peer):
        if worker:
            worker.ask(do="close")


def relevance_row(bench, ids):
    """Equal: what comes in at the logit arrives at the tokens."""
    what = f"relevance (RelP), T={len(ids)}"
    ask = {"do": "relevance", "ids": ids, "target": 42}
    for _ in range(3):  # a weight is packed at its third use
        bench.limn.ask(**ask)
        bench.limn.ask(do="forward", ids=ids, rows="last")
    medians, _, last = interleave(3 if bench.quick else 7, lambda: bench.limn.ask(do="forward", ids=ids, rows="last"),
                                  lambda: bench.limn.ask(**ask))
    if medians is None:
        bench.table.add(what, first_error(*last), equal=False)
        return
    gap = abs(last[1]["sum"] - last[1]["logit"]) / abs(last[1]["logit"])
    ratio = medians[1] / medians[0]
    bench.table.add(what, f"tokens add up to the logit within {gap:.1e}", f"{seconds_text(medians[0])} one forward",
                    seconds_text(medians[1]), f"{ratio:.2f} forwards", "<= 2.2", ratio <= 2.2, equal=gap <= 1e-3)


def neurons_row(bench, folder, ids):
    """The whole command, its table and six more kinds of sites included, beside PyTorch's neurons alone."""
    what = f"causal gradient of all neurons, T={len(ids)}"
    corrupt = [(i + 1) % 30000 if k % 9 == 4 else i for k, i in enumerate(ids)]
    with tempfile.TemporaryDirectory(dir=bench.cache, prefix="neurons-") as scratch:
        values, theirs = pathlib.Path(scratch) / "ours.safetensors", pathlib.Path(scratch) / "theirs"
        params = {"model": str(folder), "ids": ids, "corrupt-ids": corrupt, "target-id": 42, "metric": "logit",
                  "check": "none", "threads": bench.threads, "values": str(values)}

        def ours():
            return bench.limn.ask(do="call", command="causal-grad", params=params)

        def peers():
            return bench.peer.ask(do="neurons", clean=ids, corrupt=corrupt, target=42, save=str(theirs))
        for _ in range(2):
            ours()
            if bench.peer:
                peers()
        medians, _, last = interleave(2 if bench.quick else 5, peers if bench.peer else None, ours)
        if medians is None:
            bench.table.add(what, first_error(*last), equal=False)
            return
        if not bench.peer:
            bench.table.add(what, "", "", seconds_text(medians[1]))
            return
        error = bench.peer.ask(do="neurons_error", values=str(values), **{"with": str(theirs)})["largest"]
    ratio = medians[0] / medians[1]
    bench.table.add(what, f"{error:.1e} of the largest", seconds_text(medians[0]), seconds_text(medians[1]),
                    f"{ratio:.2f}x", ">= 1x", ratio >= 1, equal=error <= 1e-4)
