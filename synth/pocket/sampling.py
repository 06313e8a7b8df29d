"""Chooses how weights are sampled, by the measure on the private split: the generator has not seen it, and the test split is for the
report alone.

  python sampling.py MODEL --weights DIR --data DATA          prints the guidance scales and the samplers compared
"""
import argparse
import json

import measure
from recipes import RECIPES

FEW = dict(kind="ab2", steps=8, shift=2.5)
"""8 network calls; a guided one is two passes, counted once."""
MANY = dict(kind="heun", steps=20, shift=1.0)
"""39 network calls."""
WITHIN = 0.01
"""Few calls are chosen where they lose no more accuracy than this against many."""


def score(model, folder, data, sets, per, fit_steps, seeds, **sampler):
    """-> accuracy of a classifier trained on the images of `folder`, 0 to 1: mean over the sets, and its lowest and highest seed."""
    report = measure.main([model, "--against", "private", "--no-ceiling", "--no-copies", "--weights", str(folder), "--data", str(data), "--per", str(per), "--fit-steps", str(fit_steps),
                           "--seeds", str(seeds), "--sets", *sets] + [part for k, v in sampler.items() for part in (f"--{k}", str(v))])
    mean = lambda what: sum(r["synthetic"][what] for r in report["results"]) / len(report["results"])
    return dict(sampler=report["sampler"], mean=mean("mean"), low=mean("low"), high=mean("high"), sets=sets, seeds=seeds, per=per, fit_steps=fit_steps)


def tune(model, folder, data, sets, scales, per, fit_steps):
    """-> a score for each guidance scale, the best first; 8 calls, one seed. Nothing where there is no choice."""
    if len(scales) == 1:
        return []
    scores = [score(model, folder, data, sets, per, fit_steps, 1, guidance=g, **FEW) for g in scales]
    return sorted(scores, key=lambda s: -s["mean"])


def best(tuned, scales):
    return tuned[0]["sampler"]["guidance"] if tuned else scales[0]


def compare(model, folder, data, sets, guidance, per, fit_steps, seeds):
    """-> the scores of many and of few calls."""
    return [score(model, folder, data, sets, per, fit_steps, seeds, guidance=guidance, **kind) for kind in (MANY, FEW)]


def main(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--weights", required=True)
    p.add_argument("--data", required=True)
    arguments(p)
    a = p.parse_args(args)
    common = (a.model, a.weights, a.data, a.choose_sets or measure.sets_of(RECIPES[a.model]))
    tuned = tune(*common, a.scales, a.choose_per, a.choose_fit_steps)
    compared = compare(*common, best(tuned, a.scales), a.choose_per, a.choose_fit_steps, a.choose_seeds)
    print(json.dumps(dict(tuned=tuned, compared=compared), indent=1))


def arguments(p):
    """Adds what make.py shares to a parser."""
    p.add_argument("--scales", type=float, nargs="+", default=[1.0, 1.5, 2.0, 2.5, 3.5], help="guidance scales to choose from")
    p.add_argument("--choose-sets", nargs="+", help="sets to choose on; all of the model where not given")
    p.add_argument("--choose-per", type=int, default=24, help="images per domain and class while choosing")
    p.add_argument("--choose-fit-steps", type=int, default=300, help="steps of the classifier while choosing")
    p.add_argument("--choose-seeds", type=int, default=3)


if __name__ == "__main__":
    main()
