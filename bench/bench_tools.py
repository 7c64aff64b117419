"""Workers asked in turns, medians, and the table of bench/run."""
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import time


class Worker:
    """A process that answers one JSON object per line."""

    def __init__(self, command, clock="seconds"):
        self.clock = clock
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return {"error": f"the worker ended with {self.process.wait()}"}
        reply = json.loads(line)
        if self.clock in reply:
            reply["seconds"] = reply[self.clock]
        return reply

    def close(self):
        try:
            self.process.stdin.write('{"do": "quit"}\n')
            self.process.stdin.close()
        except (BrokenPipeError, ValueError):
            pass
        self.process.wait()


class Table:
    """Rows of: what, equality, peer, limn, ratio, goal, verdict. Printed as they come."""

    def __init__(self):
        self.rows = []
        self.equal = True

    def head(self):
        print("| what | equality | peer | limn | ratio | goal | |")
        print("|---|---|---|---|---|---|---|", flush=True)

    def add(self, what, equality="", peer="", limn="", ratio="", goal="", met=None, equal=None):
        verdict = "" if met is None else ("met" if met else "**missed**")
        if equal is False:
            self.equal = False
            verdict = "**NOT EQUAL**"
        self.rows.append({"what": what, "equality": equality, "peer": peer, "limn": limn, "ratio": ratio,
                          "goal": goal, "met": met, "equal": equal})
        print(f"| {what} | {equality} | {peer} | {limn} | {ratio} | {goal} | {verdict} |", flush=True)

    def foot(self):
        goals = [row for row in self.rows if row["met"] is not None]
        met = sum(bool(row["met"]) for row in goals)
        print(f"\n{met} of {len(goals)} goals met; answers {'agree' if self.equal else 'DO NOT all agree'}")


@dataclasses.dataclass
class Bench:
    root: pathlib.Path
    build: pathlib.Path
    cache: pathlib.Path
    limn: Worker
    peer: Worker
    peers: str
    threads: int
    quick: bool
    models: list
    families: list
    lengths: list
    table: Table
    notes: dict = dataclasses.field(default_factory=dict)


def seconds_text(seconds):
    if seconds is None:
        return "-"
    if seconds >= 10:
        return f"{seconds:.1f} s"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.1f} ms"


def bytes_text(count):
    return "-" if count is None else f"{count / 2**20:.0f} MiB"


def interleave(repeats, *calls):
    """Asks each call in turn, repeats times; returns the medians of their "seconds", the least and the last replies."""
    times = [[] for _ in calls]
    last = [None] * len(calls)
    for _ in range(repeats):
        for index, call in enumerate(calls):
            if call is None:
                continue
            last[index] = call()
            if "error" in last[index]:
                return None, None, last
            times[index].append(last[index]["seconds"])
            time.sleep(0.02)  # lets the other side's threads go to sleep
    return [statistics.median(t) if t else None for t in times], [min(t, default=None) for t in times], last


def whole_process(command, environment=None):
    """Seconds (and of a processor), peak resident bytes, exit code and output of a program run from start to end."""
    env = dict(os.environ, **(environment or {}))
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    out = process.stdout.read()
    err = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {"seconds": time.perf_counter() - started, "processor": usage.ru_utime + usage.ru_stime, "bytes": usage.ru_maxrss * 1024,
            "code": process.returncode, "out": out.decode(errors="replace"), "err": err.decode(errors="replace")}


def first_error(*replies):
    for reply in replies:
        if reply and "error" in reply:
            return reply["error"]
    return "no answer"
