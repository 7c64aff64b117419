#!/usr/bin/env python3
"""Agreement with marked words by ERASER's own metrics: tests/golden/rationale/eraser.json.

    git clone https://github.com/jayded/eraserbenchmark
    python3 make_rationale.py eraserbenchmark

Random scores (some equal) and marks; `chosen` are the highest of them. Python needs scikit-learn, scipy, torch, and what
the benchmark imports.
"""
import json
import pathlib
import random
import sys

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "golden" / "rationale" / "eraser.json"


def spans(flags):
    out, begin = [], None
    for i, flag in enumerate(list(flags) + [False]):
        if flag and begin is None:
            begin = i
        if not flag and begin is not None:
            out.append((begin, i))
            begin = None
    return out


def main():
    sys.path.insert(0, sys.argv[1])
    from rationale_benchmark import metrics
    draw = random.Random(7)
    cases, hard_truth, hard_chosen = [], [], []
    for number in range(12):
        n = draw.randint(3, 18)
        begin = draw.randrange(n - 1)
        end = draw.randint(begin + 1, n - 1)
        marked = [begin <= i < end or draw.random() < 0.15 for i in range(n)]
        if all(marked):
            marked[draw.randrange(n)] = False
        scores = [round(draw.gauss(1.0 if marked[i] else 0.0, 1.0), 1) for i in range(n)]
        k = draw.randint(1, n)
        order = sorted(range(n), key=lambda i: (-scores[i], i))
        chosen = [i in order[:k] for i in range(n)]
        key = str(number)
        one = metrics.PositionScoredDocument(key, key, tuple(scores), tuple(marked))
        soft = metrics.score_soft_tokens([one])
        truth = [metrics.Rationale(key, key, a, b) for a, b in spans(marked)]
        found = [metrics.Rationale(key, key, a, b) for a, b in spans(chosen)]
        token = metrics.score_hard_rationale_predictions([t for r in truth for t in r.to_token_level()],
                                                         [t for r in found for t in r.to_token_level()])
        part = metrics.partial_match_score(truth, found, [0.5])[0]["macro"]
        hard_truth += truth
        hard_chosen += found
        cases.append({"scores": scores, "marked": marked, "chosen": chosen, "auprc": soft["auprc"],
                      "average_precision": soft["average_precision"], "token_f1": token["instance_macro"]["f1"],
                      "span_precision": part["p"], "span_recall": part["r"]})
    together = metrics.partial_match_score(hard_truth, hard_chosen, [0.5])[0]["macro"]["f1"]
    GOLDEN.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(case) for case in cases)
    GOLDEN.write_text(f'{{"iou_f1": {together}, "cases": [\n{lines}\n]}}\n')
    print(GOLDEN, len(cases))


if __name__ == "__main__":
    main()
