#!/usr/bin/env python3
"""How often does an audit raise an alarm about a model without the planted faults?

    python3 false_alarms.py [--audits 10] [--tweets 400] [--sample N] [--limn ../../build/limn] [--threads N]

Audits adapter-clean/ by demo.yaml again and again, with other seeds: other halves of the first tweets of held-out.jsonl (or
of N drawn from them), other words in their place. Prints every finding; ends with 1 where there is more than one in all.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def plan_of(seed, tweets):
    """demo.yaml about the other adapter: without case pages and gates, which test nothing."""
    text = (HERE / "demo.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^seed: .*$", f"seed: {seed}", text, flags=re.M)
    text = re.sub(r"^( +adapter): adapter$", r"\1: adapter-clean", text, flags=re.M)
    text = re.sub(r"^( +)(file: .*)$", rf"\1\2\n\1limit: {tweets}", text, flags=re.M)
    return text[:text.index("cases:")]


def audit(options, seed, work):
    plan = HERE / f".false-alarms-{seed}.yaml"  # beside demo.yaml: paths of a plan begin at its folder
    plan.write_text(plan_of(seed, options.tweets), encoding="utf-8")
    command = [options.limn, "audit", str(plan), "--work", f"{work}/{seed}", "--json", "--quiet"]
    for name in ("threads", "sample"):
        value = getattr(options, name)
        command += [f"--{name}", str(value)] if value else []
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    finally:
        plan.unlink()
    if done.stdout == "":
        sys.exit(f"audit with seed {seed} gave no report: exit code {done.returncode}")
    return json.loads(done.stdout)


def table(report, name):
    return next(block for block in report["blocks"] if block["id"] == name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audits", type=int, default=10)
    parser.add_argument("--tweets", type=int, default=400, help="so many of the first ones")
    parser.add_argument("--sample", type=int, default=0, help="draw so many of these for each audit")
    parser.add_argument("--limn", default=str(HERE / "../../build/limn"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--work", help="keep the audits here, and go on where they stopped")
    options = parser.parse_args()
    found = tests = 0
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(1, options.audits + 1):
            report = audit(options, seed, options.work or scratch)
            rows = table(report, "findings")["rows"]
            tests += len(table(report, "hypotheses")["rows"])
            found += len(rows)
            print(f"seed {seed}: {len(rows)} findings of {len(table(report, 'hypotheses')['rows'])} tests", flush=True)
            for row in rows:
                print(f"    {row}")
    print(f"{options.audits} audits, {tests} tests: {found} findings")
    sys.exit(0 if found <= 1 else 1)


if __name__ == "__main__":
    main()
