"""The numbers that the measures of synthetic sets are tested against: prdc (the authors of density and coverage) and vendi-score
(the authors of the Vendi score) on random features.

  pip install numpy prdc vendi-score
  python eval/golden/quality.py

Writes eval/tests/golden/quality.json.
"""
import json
from pathlib import Path

import numpy as np
from prdc import compute_prdc
from vendi_score import vendi

CASES = [(12, 9, 3, 2, 0.0), (40, 55, 6, 5, 0.4), (30, 80, 20, 3, 1.5), (64, 64, 4, 5, 3.0)]


def main():
    rng = np.random.default_rng(0)
    cases = []
    for reals, synthetics, width, k, shift in CASES:
        real = rng.standard_normal((reals, width)).astype(np.float32)
        synthetic = (rng.standard_normal((synthetics, width)) * 0.8 + shift).astype(np.float32)
        found = compute_prdc(real, synthetic, k)
        units = synthetic / np.linalg.norm(synthetic, axis=1, keepdims=True)
        score = vendi.score_dual(units, normalize=False) if width < synthetics else vendi.score_X(units)
        cases.append({
            "width": width, "k": k, "real": real.flatten().tolist(), "synthetic": synthetic.flatten().tolist(),
            **{name: float(found[name]) for name in ("precision", "recall", "density", "coverage")}, "vendi": float(score),
        })
    out = Path(__file__).resolve().parents[1] / "tests" / "golden" / "quality.json"
    out.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
