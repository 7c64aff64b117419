#!/usr/bin/env python3
"""Makes tests/golden/statistics/statistics.json: what SciPy and statsmodels say, and brute force where they say nothing.

Needs numpy, scipy, statsmodels. Where limn draws, SciPy is given limn's own draws: base/random.c is written out below,
so that both see the same replicates and must agree to rounding.
"""
import itertools
import json
import pathlib

import numpy as np
import scipy.stats as st
from scipy.stats import _resampling
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

MASK = (1 << 64) - 1


class Random:
    """xoshiro256** seeded by splitmix64, as base/random.c has it."""

    def __init__(self, seed):
        self.state = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & MASK
            z = seed
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            self.state.append(z ^ (z >> 31))

    @staticmethod
    def rotate(x, bits):
        return ((x << bits) | (x >> (64 - bits))) & MASK

    def bits(self):
        s = self.state
        result = (self.rotate((s[1] * 5) & MASK, 7) * 9) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = self.rotate(s[3], 45)
        return result

    def below(self, bound):
        limit = MASK - MASK % bound
        while True:
            bits = self.bits()
            if bits < limit:
                return bits % bound


def distributions():
    return {"normal_cdf": [[z, float(st.norm.cdf(z))] for z in (-8.0, -3.1, -0.4, 0.0, 1.5, 6.0)],
            "normal_quantile": [[p, float(st.norm.ppf(p))] for p in (1e-12, 0.0025, 0.3, 0.5, 0.975, 0.9999)],
            "student_cdf": [[t, v, float(st.t.cdf(t, v))] for t, v in ((-4.0, 1), (-1.2, 3), (0.0, 9), (2.4, 31), (9.0, 5), (-0.5, 1),
                                                                       (1.0, 1), (-2.0, 4), (1e-9, 3), (-40.0, 2), (-0.3, 200))],
            "student_quantile": [[p, v, float(st.t.ppf(p, v))] for p, v in
                                 ((0.975, 1), (0.975, 31), (0.0005, 7), (0.9999, 2), (0.5, 4), (0.00125, 31))],
            "beta_cdf": [[x, a, b, float(st.beta.cdf(x, a, b))] for x, a, b in
                         ((0.2, 0.5, 3.0), (0.9, 12.0, 2.5), (0.5, 40.0, 41.0), (0.01, 2.0, 0.3), (0.3, 2.0, 5.0),
                          (0.35, 2.0, 5.0), (0.6, 0.5, 0.5), (1e-8, 0.1, 0.1), (0.999999, 3.0, 0.2), (0.25, 1.0, 1.0),
                          (0.49, 1000.0, 1000.0), (0.51, 1000.0, 990.0))]}


def means(random):
    cases = [random.normal(0.4, 1.0, 8).round(6).tolist(), random.exponential(2.0, 32).round(6).tolist(), [1.5, -0.5]]
    out = []
    for case in cases:
        for level in (0.95, 0.9975):
            half = st.t.ppf(0.5 + level / 2, len(case) - 1) * st.sem(case)
            out.append({"values": case, "level": level, "low": float(np.mean(case) - half),
                        "high": float(np.mean(case) + half), "p": float(st.ttest_1samp(case, 0.0).pvalue)})
    return out


def bootstraps(random):
    out = []
    for n, level, seed in ((12, 0.95, 3), (32, 0.9, 11)):
        values = random.gamma(1.3, 1.0, n).round(6) - 0.5
        stream = Random(seed)

        def resample(sample, n_resamples=None, rng=None, **_):
            rows = [[stream.below(n) for _ in range(n)] for _ in range(n_resamples)]
            return sample[..., np.array(rows)]

        own, _resampling._bootstrap_resample = _resampling._bootstrap_resample, resample
        found = {}
        for kind in ("percentile", "BCa"):
            stream = Random(seed)
            ci = st.bootstrap((values,), np.mean, n_resamples=999, confidence_level=level, method=kind, batch=999,
                              vectorized=True).confidence_interval
            found[kind] = [float(ci.low), float(ci.high)]
        _resampling._bootstrap_resample = own
        out.append({"values": values.tolist(), "level": level, "replicates": 999, "seed": seed, **found})
    return out


def counts():
    tables = [(8, 2, 1, 5), (0, 10, 12, 2), (3, 3, 3, 3), (120, 80, 95, 105), (1, 0, 0, 1), (0, 0, 5, 7)]
    return {"fisher": [[*t, float(st.fisher_exact([[t[0], t[1]], [t[2], t[3]]]).pvalue)] for t in tables],
            "mcnemar": [[b, c, float(mcnemar([[0, b], [c, 0]], exact=True).pvalue)]
                        for b, c in ((0, 5), (3, 9), (7, 7), (1, 30), (200, 260))],
            "wilson": [[k, n, level, *map(float, proportion_confint(k, n, 1 - level, "wilson"))]
                       for k, n, level in ((3, 10, 0.95), (0, 7, 0.9), (31, 32, 0.99), (500, 1000, 0.998))]}


def corrections(random):
    p = random.uniform(0, 0.2, 9).round(6)
    p[4] = p[2]
    return {"p": p.tolist(), "holm": multipletests(p, method="holm")[1].tolist(),
            "bonferroni": multipletests(p, method="bonferroni")[1].tolist()}


def max_t(x, flips, two_sided):
    """x: [records, hypotheses], NaN where a record says nothing. Step-down max-T over the given flips, written out."""
    scale = np.sqrt(np.nansum(x * x, 0))

    def t_of(sign):
        t = np.nansum(x * np.array(sign)[:, None], 0) / scale
        return np.abs(t) if two_sided else t

    observed = t_of(np.ones(len(x)))
    order = np.argsort(observed)
    alone, among = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for sign in flips:
        t = t_of(sign)
        alone += t >= observed - 1e-12
        reached = np.empty_like(t)
        reached[order] = np.maximum.accumulate(t[order])
        among += reached >= observed - 1e-12
    adjusted = among.copy()
    adjusted[order[::-1]] = np.maximum.accumulate(among[order[::-1]])
    return alone, adjusted


def drawn_signs(n_records, flips, seed):
    random, out = Random(seed), []
    for _ in range(flips):
        sign = []
        for r in range(n_records):
            bits = random.bits() if r % 64 == 0 else bits >> 1
            sign.append(-1 if bits & 1 else 1)
        out.append(sign)
    return out


def sign_flips(random):
    out = []
    for records, hypotheses, two_sided, flips in ((9, 1, False, 1000), (9, 4, True, 1000), (70, 6, False, 400)):
        x = random.normal(0.35, 1.0, (records, hypotheses)).round(5)
        if hypotheses > 1:
            x[random.random(x.shape) < 0.3] = np.nan
        exact = 2 ** records <= flips
        signs = list(itertools.product((1, -1), repeat=records)) if exact else drawn_signs(records, flips, 5)
        alone, adjusted = max_t(x, signs, two_sided)
        extra = 0 if exact else 1
        if hypotheses == 1:  # SciPy has this one, with the mean for its statistic
            found = st.permutation_test((x[:, 0],), np.mean, permutation_type="samples", alternative="greater",
                                        n_resamples=np.inf).pvalue
            assert abs(found - alone[0] / len(signs)) < 1e-12
        entries = [[int(r), int(h), float(x[r, h])] for r in range(records) for h in range(hypotheses)
                   if not np.isnan(x[r, h])]
        out.append({"entries": entries, "records": records, "hypotheses": hypotheses, "two_sided": two_sided,
                    "flips": flips, "seed": 5, "alone": ((alone + extra) / (len(signs) + extra)).tolist(),
                    "adjusted": ((adjusted + extra) / (len(signs) + extra)).tolist()})
    return out


def main():
    random = np.random.default_rng(12)
    golden = {**distributions(), "means": means(random), "bootstraps": bootstraps(random), **counts(),
              "corrections": corrections(random), "sign_flips": sign_flips(random)}
    out = pathlib.Path(__file__).resolve().parents[2] / "golden" / "statistics" / "statistics.json"
    out.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
