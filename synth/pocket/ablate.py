"""Short runs of equal processor time that decide how to train, measured on the private split.

  python ablate.py tiny --data DATA --out runs/ablate                         the design, from random weights
  python ablate.py all --data DATA --out runs/trunk --init assets/pocket/all \\
    --run "as it was" "" --run "aligned" "--align 0.5"                        named runs with flags of train.py

The design is that of Plackett and Burman (1946) for twelve runs: every factor is on in six and off in six, and any two of them meet in all four ways
equally often, so that each run serves the estimate of every factor: its effect is the mean of the six with it less the mean of the six without.
What may be chance is told by Lenth's margin (1989, "Quick and easy analysis of unreplicated factorials"). Factors that need one another are not seen by it.
OUT/ablate.jsonl gets a line for each run, and a second call goes on after the last; --part K/N runs every N-th beginning with the K-th, for processes side by side. The
tables are printed at the end, also with --table alone. Processor time is counted, not the clock; the images drawn say how far a run got.
"""
import argparse
import json
import pathlib
import shlex
import statistics

import torch

import measure
import train
import weights
from recipes import RECIPES

FACTORS = {
    "alignment, weight 0.5": ["--align", "0.5"],
    "half of the patches pass by": ["--route", "0.5"],
    "times nearer to noise (mean -0.4)": ["--t-mean", "-0.4"],
    "times wider (deviation 1.4)": ["--t-std", "1.4"],
    "least divisor 0.2": ["--floor", "0.2"],
    "perceptual term, weight 0.1": ["--perceptual", "0.1"],
    "batches of 128": ["--batch", "128"],
    "windows of 0.9": ["--crop", "0.9"],
    "20 % empty captions": ["--drop", "0.2"],
    "twice the learning rate": ["--lr", "2e-3"],
    "AdamW in place of Muon": ["--optimizer", "adamw"],
}
GENERATOR = (1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0)
"""The first row of the design; the others are it turned round, and the last has every factor off."""


def design():
    """-> twelve rows of eleven 0 or 1"""
    turned = [GENERATOR[-i:] + GENERATOR[:-i] for i in range(len(GENERATOR))]
    return [*turned, (0,) * len(GENERATOR)]


def runs(a):
    """-> [name, flags of train.py, seed]"""
    if a.run:
        return [(name, shlex.split(flags), i) for i, (name, flags) in enumerate(a.run)]
    rows = enumerate(design())
    return [("design " + "".join(map(str, row)), [f for on, flags in zip(row, FACTORS.values()) if on for f in flags], i) for i, row in rows]


def run(a, name, flags, seed, out):
    """Trains and measures one; -> its line."""
    fixed = ["--data", a.data, "--out", str(out), "--processor-minutes", str(a.minutes), "--cool", "0.4", "--warmup", "50", "--ema", "0.98", "--threads", "1", "--seed", str(seed),
             "--batch", "256", "--features", a.features or str(pathlib.Path(a.out) / "features.pt")] + (["--init", a.init] if a.init else [])
    train.main([a.model] + fixed + flags)
    state = weights.load_checkpoint(out / "pocket.pt")
    weights.export(state["ema"], state["cfg"], state["step"], a.sampler, out / "tokenizer.json", out / "weights")
    (out / "pocket.pt").unlink()
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    return dict(name=name, flags=flags, seed=seed, minutes=a.minutes, seen=last["seen"], loss=last["loss"], **measured(a, out / "weights"))


def measured(a, folder):
    report = measure.main([a.model, "--weights", str(folder), "--data", a.data, "--against", "private", "--no-ceiling", "--no-copies", "--per", str(a.per), "--fit-steps", str(a.fit_steps),
                           "--seeds", str(a.seeds), "--threads", "1"])
    return dict(sets={r["corpus"]: r["synthetic"] for r in report["results"]}, sampler=report["sampler"], per=a.per, fit_steps=a.fit_steps, seeds=a.seeds)


def mean(line, of=None):
    """Mean accuracy over the sets, or that of one, in percent."""
    return 100 * statistics.mean(v["mean"] for k, v in line["sets"].items() if of in (None, k))


def effects(lines, of=None):
    """-> the effect of each factor in points: with it less without."""
    on = lambda i, bit: statistics.mean(mean(l, of) for l in lines if l["name"][7 + i] == bit)
    return {name: on(i, "1") - on(i, "0") for i, name in enumerate(FACTORS)}


def margin(values, t=2.87):
    """Lenth's margin of error of effects, most of which are none; t: the 97.5 % point of Student's t with a third as many degrees as there are effects (11 / 3)."""
    sizes = sorted(map(abs, values))
    first = 1.5 * statistics.median(sizes)
    return t * 1.5 * statistics.median([s for s in sizes if s <= 2.5 * first])


def tables(lines):
    sets = list(dict.fromkeys(s for l in lines for s in l["sets"]))
    head = lambda *first: [f"| {' | '.join((*first, *sets, 'mean'))} |", "|---" * (len(first) + len(sets) + 1) + "|"]
    row = lambda *cells: f"| {' | '.join(cells)} |"
    out, whole = [], [l for l in lines if l["name"].startswith("design ")]
    if len(whole) == len(design()):
        each = {s: effects(whole, s) for s in (*sets, None)}
        out += [*head("factor"), *(row(f, *(f"{each[s][f]:+.1f}" for s in each)) for f in sorted(FACTORS, key=lambda f: -each[None][f]))]
        out += [row("may be chance, up to", *(f"{margin(e.values()):.1f}" for e in each.values())), ""]
    out += head("run", "images drawn")
    out += [row(l["name"], f"{l['seen']:,}", *(f"{mean(l, s):.1f}" if s in l["sets"] else "" for s in sets), f"{mean(l):.1f}") for l in sorted(lines, key=mean, reverse=True)]
    return "\n".join(out)


def main(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--data", required=True)
    p.add_argument("--init", help="exported folder to begin from")
    p.add_argument("--out", required=True)
    p.add_argument("--minutes", type=float, default=6, help="of processor time for each run")
    p.add_argument("--run", nargs=2, action="append", metavar=("NAME", "FLAGS"), help="in place of the design")
    p.add_argument("--part", default="1/1", metavar="K/N")
    p.add_argument("--features", metavar="FILE", help="where the frozen features of the training images are kept; OUT/features.pt where not given")
    p.add_argument("--per", type=int, default=16)
    p.add_argument("--fit-steps", type=int, default=200)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--table", action="store_true", help="print the tables of what there is")
    a = p.parse_args(args)
    out, (part, of) = pathlib.Path(a.out), map(int, a.part.split("/"))
    out.mkdir(parents=True, exist_ok=True)
    journal = out / "ablate.jsonl"
    a.sampler = json.loads((pathlib.Path(a.init) / "config.json").read_text())["sampler"] if a.init else {"kind": "ab2", "steps": 8, "guidance": 2.5, "interval": [0.1, 1.0], "shift": 2.5}
    known = lambda: [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    def note(line):
        with open(journal, "a") as file:
            file.write(json.dumps(line) + "\n")
    if not a.table:
        torch.set_num_threads(1)
        if a.init and part == 1 and not any(l["name"] == "before" for l in known()):
            note(dict(name="before", flags=[], seed=0, minutes=0, seen=0, loss=None, **measured(a, a.init)))
        for name, flags, seed in runs(a)[part - 1::of]:
            if not any(l["name"] == name for l in known()):
                note(run(a, name, flags, seed, out / "".join(c if c.isalnum() else "-" for c in name)))
    print(tables(known()))


if __name__ == "__main__":
    main()
