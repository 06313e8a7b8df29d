"""Makes one of the three generators: trains, distils, chooses the sampling, measures, exports, writes the card.

  python make.py MODEL --data DATA --out OUT --minutes 8         MODEL is all, photo or draw
  python make.py MODEL --data DATA --out OUT --steps 20000       on a CPU; counts training steps, not time

OUT/weights gets what ships. The stages leave their results in OUT, and a second call goes on after the last finished one.
"""
import argparse
import json
import pathlib

import torch

import card
import distill
import measure
import pictures
import train
import weights
from recipes import RECIPES

HEUN = dict(kind="heun", steps=20)
FEW = dict(kind="ab2", steps=8, shift=2.5)
WITHIN = 0.01
"""Fewer network calls are chosen where they lose no more accuracy than this against Heun's 39."""


def stage(done, work):
    """Runs `work` unless the file it leaves is there."""
    if not pathlib.Path(done).exists():
        work()


def flags(**settings):
    return [part for k, v in settings.items() for part in ("--" + k.replace("_", "-"), str(v))]


def choose(a, out):
    """-> list of (name, sampler, mean accuracy), the chosen one first. The classifier is tested on the public images: the test
    images are for the report alone."""
    guided = dict(HEUN, guidance=a.guidance)
    candidates = [("teacher", out / "teacher", guided), ("teacher", out / "teacher", dict(FEW, guidance=a.guidance)), ("student", out / "student", {})]
    tried = []
    for name, folder, sampler in candidates:
        if folder.exists():
            report = measure.main([a.model, "--against", "public", "--no-ceiling"] + flags(weights=folder, data=a.data, per=a.choose_per, epochs=a.choose_epochs, seeds=1, **sampler))
            mean = sum(r["synthetic"]["mean"] for r in report["results"]) / len(report["results"])
            tried.append((name, report["sampler"], mean))
    best = next(t for t in reversed(tried) if t[2] >= tried[0][2] - WITHIN)
    return [best] + [t for t in tried if t is not best]


def make(a):
    out, dev = pathlib.Path(a.out), "cuda" if torch.cuda.is_available() else "cpu"
    recipe = RECIPES[a.model]
    torch.set_float32_matmul_precision("high")
    out.mkdir(parents=True, exist_ok=True)
    fast = ["--compile"] if dev == "cuda" and not a.no_compile else []
    if a.minutes:
        lengths, distilling = flags(minutes=0.78 * a.minutes), flags(minutes=0.22 * a.minutes)
    else:
        lengths, distilling = flags(steps=a.steps), flags(steps=a.distill_steps)
    extra = json.loads(a.training)
    def teach():
        train.main([a.model] + flags(data=a.data, out=out, **extra) + lengths + fast + (flags(init=a.init) if a.init else []))
        state = weights.load_checkpoint(out / "pocket.pt")
        weights.export(state["ema"], state["cfg"], state["step"], dict(weights.SAMPLER, guidance=a.guidance), out / "tokenizer.json", out / "teacher")
    stage(out / "teacher" / "config.json", teach)
    stage(out / "student" / "config.json", lambda: distill.main([a.model] + flags(teacher=out / "teacher", data=a.data, out=out / "student") + distilling + fast))
    stage(out / "choice.json", lambda: (out / "choice.json").write_text(json.dumps(choose(a, out))))
    choice, ship = json.loads((out / "choice.json").read_text()), out / "weights"
    def finish():
        name, sampler, _ = choice[0]
        net, tok, config = weights.load(out / name, dev)
        weights.export(net.state_dict(), net.cfg, config["train_steps"], sampler, out / "tokenizer.json", ship)
        report = measure.main([a.model] + flags(weights=ship, data=a.data, per=a.per, epochs=a.epochs, seeds=a.seeds, json=out / "measure.json"))
        texts = pictures.grid(net, tok, recipe, sampler, ship / "samples.png", dev)
        pictures.curve(out / "log.jsonl", ship / "curve.png")
        log = [json.loads(line) for line in open(out / "log.jsonl")]
        how = ("one GPU, bf16" if dev == "cuda" else "CPU, f32") + (f"; begun from {a.init}" if a.init else "")
        card.write(a.model, recipe, ship, log, how, report, choice, texts)
    stage(ship / "README.md", finish)


def main(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--minutes", type=float, help="for training and distilling; measuring comes on top")
    p.add_argument("--steps", type=int, help="training steps, in place of --minutes")
    p.add_argument("--distill-steps", type=int, default=1600)
    p.add_argument("--init", help="exported folder to begin from")
    p.add_argument("--guidance", type=float, default=2.5)
    p.add_argument("--training", default="{}", help="JSON of further settings of train.py, as {\"batch\": 64, \"crop\": 0.7}")
    p.add_argument("--per", type=int, default=60)
    p.add_argument("--epochs", type=int, default=30)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--choose-per", type=int, default=24)
    p.add_argument("--choose-epochs", type=int, default=15)
    p.add_argument("--no-compile", action="store_true")
    a = p.parse_args(args)
    if not a.minutes and not a.steps:
        p.error("give --minutes or --steps")
    make(a)


if __name__ == "__main__":
    main()
