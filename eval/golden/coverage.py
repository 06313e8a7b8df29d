"""Prints how often the interval of a difference (src/statistics/bootstrap.rs) holds what is true, with the stretch of its draws and without.

  python eval/golden/coverage.py     (numpy, scipy; about a minute)
"""
import numpy as np
from scipy import stats

IMAGES, TRIALS, RESAMPLES = 300, 400, 1000
rng = np.random.default_rng(0)


def stretch(count):
    return np.sqrt(count / (count - 1)) * stats.t.ppf(0.975, count - 1) / stats.norm.ppf(0.975)


def coverage(seeds, of_seeds, of_images, of_both):
    """The share of intervals with the true difference, 0, where seeds, images and both together add so much noise."""
    hits = np.zeros(2)
    for _ in range(TRIALS):
        noise = rng.normal(0, of_seeds, (seeds, 1)) + rng.normal(0, of_images, IMAGES) + rng.normal(0, of_both, (seeds, IMAGES))
        centre, by_seed, by_image = noise.mean(), noise.mean(1), noise.mean(0)
        drawn_seeds = (rng.multinomial(seeds, [1 / seeds] * seeds, RESAMPLES) - 1) @ by_seed / seeds
        drawn_images = (rng.multinomial(IMAGES, [1 / IMAGES] * IMAGES, RESAMPLES) - 1) @ by_image / IMAGES
        for index, (s, i) in enumerate(((stretch(seeds), stretch(IMAGES)), (1, 1))):
            low, high = np.quantile(centre + s * drawn_seeds + i * drawn_images, [0.025, 0.975])
            hits[index] += low <= 0 <= high
    return hits / TRIALS


for seeds in (2, 3, 5):
    for noise in ((0.02, 0.3, 0.3), (0.02, 0.05, 0.5), (0.0, 0.3, 0.3), (0.05, 0.2, 0.2)):
        stretched, plain = coverage(seeds, *noise)
        print(f"{seeds} seeds, noise of seeds, images and both {noise}: {stretched:.3f} stretched, {plain:.3f} plain")
