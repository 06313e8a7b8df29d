"""Writes tests/golden/linear_head.json: the softmax regressions that scikit-learn finds, with a squared penalty on the weights and none on the biases.

  python eval/golden/linear_head.py     (scikit-learn 1.9.1, numpy)
"""
import json
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression

# Images, width, classes, and the weight of the penalty.
CASES = [(80, 5, 3, 0.01), (200, 12, 4, 0.001)]
rng = np.random.default_rng(1)
made = []
for images, width, classes, decay in CASES:
    centres = rng.normal(size=(classes, width))
    labels = rng.integers(classes, size=images)
    # Features after a rectifier, with a mean far from zero.
    rows = np.maximum(centres[labels] + rng.normal(size=(images, width)) + 1.0, 0).astype(np.float32)
    # The objective there is a sum over images, here a mean.
    model = LogisticRegression(C=1 / (decay * images), tol=1e-10, max_iter=100_000, solver="lbfgs").fit(rows.astype(np.float64), labels)
    probabilities = model.predict_proba(rows.astype(np.float64))
    loss = -np.log(probabilities[np.arange(images), labels]).mean() + decay / 2 * (model.coef_ ** 2).sum()
    made.append(dict(
        width=width, classes=classes, decay=decay, rows=rows.flatten().tolist(), labels=labels.tolist(),
        weight=model.coef_.flatten().tolist(), bias=(model.intercept_ - model.intercept_.mean()).tolist(), loss=float(loss),
    ))
path = pathlib.Path(__file__).parent.parent / "tests" / "golden" / "linear_head.json"
path.write_text(json.dumps(made) + "\n")
