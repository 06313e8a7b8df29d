"""What a generator is worth: train a classifier on its images, test it on real ones.

  python measure.py MODEL --weights DIR --data DATA [--per 60] [--fit-steps 600] [--seeds 3]

For each corpus that MODEL (all, photo, draw) knows: accuracy on the real test split after training on (a) synthetic images from
prompts of class and domain (of the class alone for tinynet10 and office_caltech10) and (b) the public real images, the ceiling of what the generator was
shown; their ratio is the measure. Beside it the share of near-copies: synthetic images closer to a public image (or its mirror image) than 98 % of the
test images are, once by pixels at 16 x 16 px and once by features of EfficientNet-lite0. Prints a table and writes --json. Sampling follows config.json unless told otherwise.
The ceilings do not depend on the weights; --ceilings keeps them in a file that several models may share.
"""
import argparse
import json
import pathlib
import time

import torch
import torch.nn.functional as F

import features
import precision
import weights
from captions import CLASS_PHRASES, DOMAIN_PHRASES
from classifier import accuracy, fit
from data import encode, load, shrink
from pocket import sample
from recipes import RECIPES


SETS = ("imagenette", "pacs", "emoji", "tinynet10", "office_caltech10")
"""Sets with test images."""
BY_CLASS = ("tinynet10", "office_caltech10")
"""Sets whose prompts tell no domain."""


def sets_of(recipe):
    return [c for c in recipe.mix if c in SETS]


def synthesise(net, tok, pairs, per, sampler, dev, half):
    """-> images [len(pairs) * per, 3, S, S] of each (domain, class), the phrasings of a domain in turn, or of a class where it is None; `half`: the network in bf16."""
    g, size, out = torch.Generator().manual_seed(0), net.cfg["size"], []
    for domain, cls in pairs:
        phrases = DOMAIN_PHRASES[domain] if domain else CLASS_PHRASES
        texts = [phrases[i % len(phrases)].format(c=cls) for i in range(per)]
        noise = torch.randn(per, 3, size, size, generator=g).to(dev)
        with torch.autocast(dev, dtype=torch.bfloat16, enabled=half):
            out.append(sample(net, encode(tok, texts).to(dev), encode(tok, [""] * per).to(dev), noise, **sampler))
    return torch.cat(out)


def small(x):
    """x [n,3,S,S] -> its pixels at 16 x 16 px [n,768]"""
    return F.interpolate(x, (16, 16), mode="bilinear", antialias=True).flatten(1)


def near_copies(made, public, test, seen=small):
    """Share of `made` that lies closer to `public` or its mirror images than all but 2 % of `test` do, in the space of `seen`; all [n,3,S,S]."""
    known = seen(torch.cat([public, public.flip(-1)]))
    nearest = lambda x: torch.cat([torch.cdist(b, known).amin(1) for b in seen(x).split(512)])
    return float((nearest(made) < nearest(test).quantile(0.02)).float().mean())


def ceilings(file, names, train):
    """-> train(), a list of accuracies, remembered in the JSON file `file` under what it depends on, `names`."""
    key, file = ", ".join(f"{k} {v}" for k, v in names.items()), file and pathlib.Path(file)
    known = lambda: json.loads(file.read_text()) if file and file.exists() else {}
    if key in known():
        return known()[key]
    found = train()
    if file:
        # Another measurement may have written meanwhile.
        file.write_text(json.dumps(known() | {key: found}, indent=1) + "\n")
    return found


def summary(values):
    return dict(mean=sum(values) / len(values), low=min(values), high=max(values))


def measure(a, dev):
    recipe = RECIPES[a.model]
    net, tok, config = weights.load(a.weights, dev)
    sampler = {**config["sampler"], **{k: v for k, v in (("steps", a.steps), ("guidance", a.guidance), ("kind", a.kind), ("shift", a.shift)) if v is not None}}
    sets, results = {split: load(a.data, split, recipe) for split in ("public", a.against)}, []
    critic = None if a.no_copies else features.network().to(dev)
    for corpus in a.sets or sets_of(recipe):
        part = {}
        for split, (images, meta) in sets.items():
            keep = [i for i, m in enumerate(meta) if m.corpus == corpus]
            part[split] = shrink(images[keep], net.cfg["size"]).to(dev), [meta[i] for i in keep]
        if not part["public"][1] or not part[a.against][1]:
            continue
        (public, known), (test, asked) = part["public"], part[a.against]
        names = sorted({m.cls for m in known})
        label = lambda meta: torch.tensor([names.index(m.cls) for m in meta], device=dev)
        pairs = sorted({(None if corpus in BY_CLASS else m.domain, m.cls) for m in known}, key=str)
        # A corpus of one domain gets as many images as one of several.
        per = max(4, a.per * (4 if len({d for d, _ in pairs}) == 1 else 1))
        began = time.monotonic()
        made = synthesise(net, tok, pairs, per, sampler, dev, precision.bf16(dev, a.precision))
        seconds = time.monotonic() - began
        classes = torch.tensor([names.index(c) for _, c in pairs], device=dev).repeat_interleave(per)
        score = lambda x, y: [accuracy(fit(x, y, len(names), a.fit_steps, seed), test, label(asked)) for seed in range(a.seeds)]
        synthetic, real = score(made, classes), None
        if not a.no_ceiling:
            depends = dict(set=corpus, domains=" ".join(sorted({m.domain for m in known})), images=len(public), size=net.cfg["size"], against=a.against, fit_steps=a.fit_steps, seeds=a.seeds)
            real = ceilings(a.ceilings, depends, lambda: score(public, label(known)))
        results.append(dict(corpus=corpus, chance=1 / len(names), synthetic=summary(synthetic), real=real and summary(real), ratio=real and sum(synthetic) / sum(real),
                            images=len(made), near_copies=critic and near_copies(made, public, test), seconds=round(seconds, 1),
                            near_copies_by_features=critic and near_copies(made, public, test, lambda x: features.vectors(critic, x))))
        print(row(results[-1]), flush=True)
    report = dict(against=a.against, sampler=sampler, per=a.per, fit_steps=a.fit_steps, seeds=a.seeds, results=results)
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(report, indent=1) + "\n")
    return report


def row(r):
    part = lambda v: "not measured" if v is None else f"{100*v['mean']:.1f} ({100*v['low']:.1f} to {100*v['high']:.1f})"
    share = lambda v: "not measured" if v is None else f"{100*v:.1f} %"
    ratio = "" if r["ratio"] is None else f"{r['ratio']:.2f}"
    return f"| {r['corpus']} | {part(r['synthetic'])} | {part(r['real'])} | {ratio} | {100*r['chance']:.0f} | {r['images']} | {share(r['near_copies'])} | {share(r['near_copies_by_features'])} |"


HEADER = "| set | synthetic, % | public real, % | ratio | chance, % | images | near copies by pixels | by features |\n|---|---|---|---|---|---|---|---|"


def main(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--weights", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--per", type=int, default=60, help="images per domain and class; four times as many where there is one domain")
    p.add_argument("--fit-steps", type=int, default=600, help="steps of the classifier, 64 images each, on synthetic and on real images alike")
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--against", choices=["test", "private", "public"], default="test", help="split to test on; choose settings on another one than test")
    p.add_argument("--sets", nargs="+", choices=SETS, help="measure on these alone")
    p.add_argument("--kind", choices=["euler", "heun", "ab2"])
    p.add_argument("--steps", type=int)
    p.add_argument("--guidance", type=float)
    p.add_argument("--shift", type=float)
    p.add_argument("--no-ceiling", action="store_true", help="leave out the training on real images")
    p.add_argument("--no-copies", action="store_true", help="leave out the search for near copies")
    p.add_argument("--ceilings", metavar="FILE", help="JSON file of ceilings that are known")
    p.add_argument("--precision", choices=precision.CHOICES, default="auto", help="of the generator; auto: bf16 where the device has instructions for it")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--json")
    a = p.parse_args(args)
    if a.threads:
        torch.set_num_threads(a.threads)
    print(HEADER, flush=True)
    return measure(a, "cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    main()
