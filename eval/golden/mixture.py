"""Writes tests/golden/mixture.json: what scikit-learn's Gaussian mixtures come to from the same start, after one pass, after four, and at the end.

  python eval/golden/mixture.py     (scikit-learn 1.9.1, numpy)
"""
import json
import pathlib
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

TOLERANCE, FLOOR = 1e-3, 1e-6
# Images, width, components, and how far the clusters lie apart; a width of 8 is one lane of the sums in Rust.
CASES = [(60, 7, 3, 1.5), (90, 19, 4, 1.0), (24, 8, 2, 4.0)]
rng = np.random.default_rng(0)
warnings.simplefilter("ignore", ConvergenceWarning)


def state(mixture):
    return dict(weights=mixture.weights_.tolist(), means=mixture.means_.tolist(), variances=mixture.covariances_.tolist())


made = []
for images, width, components, apart in CASES:
    centres = apart * rng.normal(size=(components, width))
    rows = centres[rng.integers(components, size=images)] + rng.normal(size=(images, width)) * rng.uniform(0.2, 1.5, size=width)
    rows = rows.astype(np.float32)
    start = dict(
        weights=np.full(components, 1 / components),
        means=rows[:components].astype(np.float64),
        variances=np.tile(rows.astype(np.float64).var(axis=0), (components, 1)),
    )

    def after(passes):
        mixture = GaussianMixture(
            components, covariance_type="diag", tol=TOLERANCE, reg_covar=FLOOR, max_iter=passes, random_state=0,
            weights_init=start["weights"], means_init=start["means"], precisions_init=1 / start["variances"],
        )
        return mixture.fit(rows.astype(np.float64))

    end = after(100)
    assert end.converged_
    made.append(dict(
        width=width, rows=rows.flatten().tolist(), start={name: values.tolist() for name, values in start.items()},
        one=state(after(1)), four=state(after(4)), end=state(end), passes=int(end.n_iter_), log_likelihood=float(end.score(rows.astype(np.float64))),
    ))
path = pathlib.Path(__file__).parent.parent / "tests" / "golden" / "mixture.json"
path.write_text(json.dumps(dict(tolerance=TOLERANCE, floor=FLOOR, cases=made)) + "\n")
