#!/usr/bin/env python3
"""Intervals of two shares: tests/golden/statistics/proportions.json.

    python3 tests/oracle/statistics/make_proportions.py tests/golden/statistics/proportions.json

Needs statsmodels and SciPy. Independent shares by statsmodels (newcomb; log-adjusted). The paired difference by Tango's
definition: the score statistic with the likelihood maximised numerically under each difference, its roots by brentq.
"""
import json
import sys

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import fisher_exact, norm
from statsmodels.stats.proportion import confint_proportions_2indep

TWO = [(30, 100, 20, 90), (5, 40, 0, 35), (0, 40, 0, 35), (40, 40, 30, 31), (1, 1000, 9, 1000), (56, 70, 48, 80)]
PAIRED = [(14, 6, 100), (0, 0, 40), (3, 0, 25), (0, 7, 60), (25, 25, 50), (1, 12, 36), (40, 2, 1000), (5, 0, 5)]
LEVELS = [0.95, 0.99]
GROUPS = [[(40, 100), (60, 110), (33, 80)], [(40, 100), (60, 110)], [(12, 40), (9, 33), (20, 31), (3, 12)]]


def score(gained, lost, n, d):
    """z of the difference d, the other probabilities at their likeliest: q is the share of `lost` alone."""
    low, high = max(0.0, -d), min(1.0, (1 - d) / 2)

    def minus_log(q):
        p, rest = q + d, 1 - 2 * q - d
        value = 0.0
        for count, share in ((gained, p), (lost, q), (n - gained - lost, rest)):
            if count > 0:
                value -= count * np.log(max(share, 1e-300))
        return value

    found = minimize_scalar(minus_log, bounds=(low, high), method="bounded", options={"xatol": 1e-13, "maxiter": 2000})
    q = min((found.x, low, high), key=minus_log)
    variance = n * (2 * q + d - d * d)
    return (gained - lost - n * d) / np.sqrt(variance) if variance > 1e-14 else np.inf * np.sign(gained - lost - n * d)


def tango(gained, lost, n, level):
    z = norm.ppf(0.5 + level / 2)
    value = (gained - lost) / n
    low = -1.0 if lost == n else brentq(lambda d: score(gained, lost, n, d) - z, -1 + 1e-9, value - 1e-9, xtol=1e-12)
    high = 1.0 if gained == n else brentq(lambda d: score(gained, lost, n, d) + z, value + 1e-9, 1 - 1e-9, xtol=1e-12)
    return [value, low, high]


def gaps(groups):
    """Every pair at the level at which all hold together."""
    pairs = [(i, k) for i in range(len(groups)) for k in range(len(groups)) if i != k]
    alpha = 0.05 / (len(pairs) / 2)
    rates = [count / n for count, n in groups]
    def interval(i, k, method, compare):
        return confint_proportions_2indep(*groups[i], *groups[k], method=method, compare=compare, alpha=alpha)
    differences = [interval(i, k, "newcomb", "diff") for i, k in pairs]
    ratios = [interval(i, k, "log-adjusted", "ratio") for i, k in pairs]
    top, bottom = int(np.argmax(rates)), int(np.argmin(rates))
    table = [[groups[g][0], groups[g][1] - groups[g][0]] for g in (top, bottom)]
    return {"groups": groups, "highest": top, "lowest": bottom,
            "difference": [max(rates) - min(rates), max(0, max(low for low, _ in differences)),
                           max(high for _, high in differences)],
            "ratio": [min(rates) / max(rates), min(low for low, _ in ratios),
                      min(1, min(high for _, high in ratios))],
            "p": min(1.0, fisher_exact(table)[1] * len(pairs) / 2)}


def main():
    made = {"two": [], "paired": [], "gaps": []}
    for a, n, b, m in TWO:
        for level in LEVELS:
            low, high = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff", alpha=1 - level)
            r_low, r_high = confint_proportions_2indep(a, n, b, m, method="log-adjusted", compare="ratio", alpha=1 - level)
            made["two"].append({"counts": [a, n, b, m], "level": level, "difference": [a / n - b / m, low, high],
                                "ratio": None if a == 0 or b == 0 else [a / n / (b / m), r_low, r_high]})
    for gained, lost, n in PAIRED:
        for level in LEVELS:
            made["paired"].append({"counts": [gained, lost, n], "level": level, "interval": tango(gained, lost, n, level)})
    for groups in GROUPS:
        large = [group for group in groups if group[1] >= 30]
        made["gaps"].append(dict(gaps(large), groups=groups))
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(made, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
