"""Writes tests/golden/ranking.json: what scipy says of the critical values of Nemenyi's test, of average ranks and of critical differences.

  python eval/golden/ranking.py     (scipy 1.17.1, numpy)

The values for 2 to 10 methods are compared with table 5(a) of Demsar 2006, "Statistical Comparisons of Classifiers over Multiple Data
Sets", JMLR 7, and the last case has the average ranks of that article's table 6 (3.143, 2.000, 2.893 and 1.964 over 14 data sets).
"""
import json
import pathlib
import sys

sys.path.pop(0)
import numpy as np
from scipy import stats

ARTICLE = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
# Ranks on 14 data sets, 1 the best, which have the averages of the article's four versions of C4.5; no copy of its rows.
RANKS = [
    [4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5], [3, 2, 4, 1], [2.5, 2.5, 4, 1],
    [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5], [3, 2, 4, 1], [4, 1, 2, 3], [3, 1, 4, 2],
]

critical = [float(stats.studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2)) for k in range(2, 21)]
# The article's table has three decimals, the last of some of them cut.
assert np.allclose(critical[: len(ARTICLE)], ARTICLE, atol=1.1e-3), critical


def case(blocks):
    blocks = np.asarray(blocks)
    count, methods = blocks.shape
    ranks = np.mean([stats.rankdata(-row) for row in blocks], axis=0)
    difference = critical[methods - 2] * np.sqrt(methods * (methods + 1) / (6 * count))
    return dict(blocks=blocks.tolist(), ranks=ranks.tolist(), critical_difference=float(difference))


rng = np.random.default_rng(0)
drawn = [(2, 3), (5, 4), (3, 20), (30, 6)]
cases = [case(np.round(rng.random((count, methods)), 1 + count % 2)) for count, methods in drawn]
cases.append(case(-np.asarray(RANKS)))
assert np.allclose(cases[-1]["ranks"], [3.143, 2.000, 2.893, 1.964], atol=5e-4), cases[-1]["ranks"]
path = pathlib.Path(__file__).resolve().parents[1] / "tests/golden/ranking.json"
path.write_text(json.dumps(dict(critical=critical, cases=cases)) + "\n")
