"""Short runs of equal processor time that decide how to train: each begins from the same weights, changes one thing, and is measured on the private split.

  python ablate.py MODEL --data DATA --init assets/pocket/all --out runs/ablate [--minutes 6] [--only NAME ...]

OUT/ablate.jsonl gets a line for each run, and a second call goes on after the last; the table is printed at the end, also with --table alone. Processor
time is counted, not the clock, so that other programs may use the machine; the images drawn say how far a run got.
"""
import argparse
import json
import pathlib

import torch

import measure
import train
import weights
from recipes import RECIPES

RUNS = {
    "as it was": [],
    "alignment, weight 0.5": ["--align", "0.5"],
    "times nearer to noise": ["--t-mean", "-0.4"],
    "1,024 tokens": ["--vocab", "1024"],
    "patches of 4 px": ["--patch", "4"],
    "least divisor 0.2": ["--floor", "0.2"],
    "perceptual term, weight 0.1": ["--perceptual", "0.1"],
    "batches of 128": ["--batch", "128"],
    "as it was, another seed": ["--seed", "1"],
    "times nearer to the image": ["--t-mean", "0.4"],
    "windows of 0.9": ["--crop", "0.9"],
    "half of the patches pass by": ["--route", "0.5"],
    "5 % empty captions": ["--drop", "0.05"],
    "20 % empty captions": ["--drop", "0.2"],
    "alignment, weight 2": ["--align", "2"],
    "half the learning rate": ["--lr", "5e-4"],
    "twice the learning rate": ["--lr", "2e-3"],
    "batches of 512": ["--batch", "512"],
    "loss of the image": ["--floor", "1"],
}


def run(a, name, out):
    """Trains and measures one; -> its line."""
    flags = ["--data", a.data, "--out", str(out), "--init", a.init, "--processor-minutes", str(a.minutes), "--cool", "0.4", "--ema", "0.98", "--threads", "1",
             "--batch", "256", "--features", str(pathlib.Path(a.out) / f"features-{a.model}.pt")]
    train.main([a.model] + flags + RUNS[name])
    state = weights.load_checkpoint(out / "pocket.pt")
    weights.export(state["ema"], state["cfg"], state["step"], a.sampler, out / "tokenizer.json", out / "weights")
    (out / "pocket.pt").unlink()
    found = measured(a, out / "weights")
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    return dict(name=name, flags=RUNS[name], minutes=a.minutes, seen=last["seen"], loss=last["loss"], **found)


def measured(a, folder):
    report = measure.main([a.model, "--weights", str(folder), "--data", a.data, "--against", "private", "--no-ceiling", "--no-copies", "--per", str(a.per), "--fit-steps", str(a.fit_steps),
                           "--seeds", str(a.seeds), "--threads", "1"])
    return dict(sets={r["corpus"]: r["synthetic"] for r in report["results"]}, sampler=report["sampler"], per=a.per, fit_steps=a.fit_steps, seeds=a.seeds)


def table(lines):
    sets = list(dict.fromkeys(s for l in lines for s in l["sets"]))
    mean = lambda l: sum(v["mean"] for v in l["sets"].values()) / len(l["sets"])
    out = [f"| run | images drawn | {' | '.join(sets)} | mean |", "|---|---|" + "---|" * (len(sets) + 1)]
    for l in sorted(lines, key=mean, reverse=True):
        out.append(f"| {l['name']} | {l['seen']:,} | {' | '.join(format(100 * l['sets'][s]['mean'], '.1f') for s in sets)} | {100 * mean(l):.1f} |")
    return "\n".join(out)


def main(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--data", required=True)
    p.add_argument("--init", required=True, help="exported folder")
    p.add_argument("--out", required=True)
    p.add_argument("--minutes", type=float, default=6, help="of processor time for each run")
    p.add_argument("--only", nargs="+", choices=list(RUNS), help="these runs alone")
    p.add_argument("--per", type=int, default=16)
    p.add_argument("--fit-steps", type=int, default=200)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--table", action="store_true", help="print the table of what there is")
    a = p.parse_args(args)
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    journal, a.sampler = out / "ablate.jsonl", json.loads((pathlib.Path(a.init) / "config.json").read_text())["sampler"]
    known = lambda: [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    def note(line):
        with open(journal, "a") as file:
            file.write(json.dumps(line) + "\n")
    if not a.table:
        torch.set_num_threads(1)
        if not any(l["name"] == "before" for l in known()):
            note(dict(name="before", flags=None, minutes=0, seen=0, loss=None, **measured(a, a.init)))
        for name in a.only or RUNS:
            if not any(l["name"] == name for l in known()):
                note(run(a, name, out / name.replace(" ", "-").replace(",", "").replace("%", "percent")))
    print(table(known()))


if __name__ == "__main__":
    main()
