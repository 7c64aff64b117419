#!/usr/bin/env python3
"""Makes tests/golden/predict/metrics.json: decisions and what scikit-learn and SciPy say about them.

Needs scikit-learn, scipy, numpy. Calibration error after Guo et al. 2017 is written out here: neither has it. The
bootstrap is the ordinary one (resampling records), against which the streaming one must come close.
"""
import json
import pathlib

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_score, recall_score

BINS, RECORDS, CHOICES, REPLICATES = 15, 400, 3, 4000


def interval(k, n):
    found = binomtest(int(k), int(n)).proportion_ci(0.95, method="wilson")
    return [k / n, found.low, found.high]


def ece(confidence, correct):
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return sum(abs(correct[bins == b].sum() - confidence[bins == b].sum()) for b in range(BINS)) / len(correct)


def measures(labels, p):
    chosen = p.argmax(1)
    return {"ece": ece(p.max(1), (chosen == labels).astype(float)),
            "brier": float(((p - np.eye(CHOICES)[labels]) ** 2).sum(1).mean()),
            "log_loss": float(log_loss(labels, p, labels=range(CHOICES))),
            "macro_f1": float(f1_score(labels, chosen, average="macro")),
            "f1": f1_score(labels, chosen, average=None, labels=range(CHOICES)).tolist()}


def main():
    random = np.random.default_rng(7)
    labels = random.choice(CHOICES, RECORDS, p=[0.6, 0.3, 0.1])
    logs = random.normal(0, 1.5, (RECORDS, CHOICES)) + 1.6 * np.eye(CHOICES)[labels] - 3
    logs = np.round(logs, 6)
    p = np.exp(logs - logs.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    chosen = p.argmax(1)
    golden = {"labels": labels.tolist(), "log_probabilities": logs.tolist(),
              "accuracy": interval((chosen == labels).sum(), RECORDS),
              "confusion": confusion_matrix(labels, chosen, labels=range(CHOICES)).tolist(),
              "precision": precision_score(labels, chosen, average=None).tolist(),
              "recall": recall_score(labels, chosen, average=None).tolist(), **measures(labels, p)}
    golden["wilson"] = [[k, n, *interval(k, n)] for k, n in [(0, 1), (1, 1), (0, 30), (30, 30), (7, 9), (500, 1000)]]
    found = []
    for _ in range(REPLICATES):
        rows = random.integers(0, RECORDS, RECORDS)
        found.append(measures(labels[rows], p[rows]))
    golden["bootstrap"] = {name: np.quantile([one[name] for one in found], [0.025, 0.975]).tolist()
                           for name in ("ece", "brier", "log_loss", "macro_f1")}
    out = pathlib.Path(__file__).resolve().parents[2] / "golden" / "predict" / "metrics.json"
    out.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
