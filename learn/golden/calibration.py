"""Writes tests/golden/calibration.json: the expected calibration error by the formula of its paper, and scikit-learn's log loss.

  python learn/golden/calibration.py     (numpy, scikit-learn 1.9.1; torchmetrics 1.9.0, whose error is to be the same)
"""
import json
import pathlib

import numpy as np
import torch
from sklearn.metrics import log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

BINS = 15
rng = np.random.default_rng(5)


def calibration_error(probabilities, labels):
    """Guo et al. 2017, equation 3, bin by bin."""
    confidence, right = probabilities.max(1).astype(np.float64), probabilities.argmax(1) == labels
    total, edges = 0.0, np.linspace(0, 1, BINS + 1)
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.sum() / len(labels) * abs(right[inside].mean() - confidence[inside].mean())
    return total


def case(images, classes, sureness):
    logits = sureness * rng.normal(size=(images, classes))
    labels = np.where(rng.random(images) < 0.6, logits.argmax(1), rng.integers(classes, size=images))
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = (exponents / exponents.sum(1, keepdims=True)).astype(np.float32)
    error = calibration_error(probabilities, labels)
    theirs = multiclass_calibration_error(torch.from_numpy(probabilities), torch.from_numpy(labels), classes, BINS, "l1")
    assert abs(error - float(theirs)) < 1e-6, (error, theirs)
    return dict(classes=classes, labels=labels.tolist(), probabilities=[float(p) for p in probabilities.ravel()], calibration_error=error,
                negative_log_likelihood=float(log_loss(labels, probabilities, labels=range(classes))))


# The last is so sure that some labels have no probability at all.
made = [case(200, 4, 1.0), case(60, 10, 3.0), case(25, 3, 60.0)]
(pathlib.Path(__file__).parent.parent / "tests" / "golden" / "calibration.json").write_text(json.dumps(made) + "\n")
