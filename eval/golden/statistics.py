"""Writes tests/golden/statistics.json: what scipy and statsmodels say of means, paired differences and several tests at once.

  python eval/golden/statistics.py     (scipy 1.17.1, statsmodels 0.15.0, numpy)
"""
import json
import pathlib
import sys

# This file has the name of a module that others import.
sys.path.pop(0)
import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

rng = np.random.default_rng(0)


def mean(values):
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return dict(values=list(values), low=low, high=high)


def counts(first, second):
    return dict(first=first, second=second, p=float(mcnemar([[50, first], [second, 20]], exact=True).pvalue))


def sign_flips(images, models):
    """Images that two methods' models have right: the mean difference of each, and the p over all 2^images signs."""
    first, second = rng.binomial(models, 0.7, images) / models, rng.binomial(models, 0.5, images) / models
    test = stats.permutation_test((first, second), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples",
                                  n_resamples=np.inf, vectorized=True)
    return dict(values=list(first - second), p=float(test.pvalue))


def bootstrap(images):
    values = rng.choice([-1.0, 0.0, 1.0], images, p=[0.1, 0.7, 0.2])
    interval = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=rng).confidence_interval
    return dict(values=list(values), low=interval.low, high=interval.high)


def holm(p):
    return dict(p=p, corrected=list(multipletests(p, method="holm")[1]))


made = dict(
    quantiles=[(level, freedom, float(stats.t.ppf(0.5 + level / 2, freedom))) for level in (0.5, 0.95, 0.99)
               for freedom in (1, 2, 3, 4, 5, 9, 10, 30, 101, 2000)],
    means=[mean([0.612, 0.598, 0.634]), mean([0.4, 0.5]), mean([0.1, 0.12, 0.09, 0.2, 0.15, 0.11])],
    mcnemar=[counts(*c) for c in ((0, 0), (5, 0), (3, 9), (12, 12), (41, 70), (700, 500), (900, 100))],
    sign_flips=[sign_flips(14, 3), sign_flips(12, 1), sign_flips(15, 6)],
    holm=[holm([0.01, 0.04, 0.03, 0.005]), holm([0.5, 0.9, 0.2]), holm([0.02]), holm([0.001, 0.001, 0.6, 0.02, 0.02])],
    bootstrap=bootstrap(400),
)
(pathlib.Path(__file__).parent.parent / "tests" / "golden" / "statistics.json").write_text(json.dumps(made) + "\n")
