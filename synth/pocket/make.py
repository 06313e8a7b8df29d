"""Makes one of the generators: trains, chooses the sampling, distils, measures, exports, writes the card.

  python make.py MODEL --data DATA --out OUT --minutes 8         MODEL is all, photo, draw or tiny
  python make.py MODEL --data DATA --out OUT --steps 20000       on a CPU; counts training steps, not time
  python make.py MODEL --data DATA --out OUT --init assets/pocket/MODEL --processor-minutes 150       a sitting: goes on from exported weights

OUT/weights gets what ships. The stages leave their results in OUT, and a second call goes on after the last finished one. `training.jsonl` beside the weights
has a line for each sitting that they had, with what the private split said of them then; the next sitting reads it and adds its own.
"""
import argparse
import json
import pathlib
import shutil

import torch

import card
import data
import distill
import measure
import pictures
import precision
import sampling
import train
import weights
import words
from recipes import RECIPES


def stage(done, work):
    """Runs `work` unless the file it leaves is there."""
    if not pathlib.Path(done).exists():
        work()


SITTINGS = "training.jsonl"


def sittings(folder):
    """-> the lines of the sittings that exported weights had; none where nobody wrote them down"""
    file = pathlib.Path(folder) / SITTINGS
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def flags(**settings):
    return [part for k, v in settings.items() for part in ("--" + k.replace("_", "-"), str(v))]


def choose(a, out, distil):
    """-> dict(tuned, compared, chosen): the scores of the guidance scales and of the samplings compared, the cheaper the later, and the chosen one of
    these; `weights` names the folder of each. A cheaper one takes the place of the chosen one where it loses no more than sampling.WITHIN against it."""
    sets = a.choose_sets or measure.sets_of(RECIPES[a.model])
    common = (a.model, out / "teacher", a.data, sets)
    tuned = sampling.tune(*common, a.scales, a.choose_per, a.choose_fit_steps)
    guidance = sampling.best(tuned, a.scales)
    compared = [dict(s, weights="teacher") for s in sampling.compare(*common, guidance, a.choose_per, a.choose_fit_steps, a.choose_seeds)]
    for calls in a.student_calls:
        student = f"student-{calls}"
        distil(student, calls, guidance)
        compared.append(dict(sampling.score(a.model, out / student, a.data, sets, a.choose_per, a.choose_fit_steps, a.choose_seeds), weights=student))
    chosen = compared[0]
    for s in compared[1:]:
        chosen = s if s["mean"] >= chosen["mean"] - sampling.WITHIN else chosen
    return dict(tuned=tuned, compared=compared, chosen=chosen)


def make(a):
    out, dev = pathlib.Path(a.out), "cuda" if torch.cuda.is_available() else "cpu"
    recipe = RECIPES[a.model]
    torch.set_float32_matmul_precision("high")
    out.mkdir(parents=True, exist_ok=True)
    # On a CPU it takes a C++ compiler.
    fast = ["--compile"] if not a.no_compile and (dev == "cuda" or shutil.which("g++")) else []
    if a.processor_minutes:
        lengths, distilling = flags(processor_minutes=a.processor_minutes), flags(minutes=a.processor_minutes / 3)
    elif a.minutes:
        lengths, distilling = flags(minutes=a.minutes), flags(minutes=a.minutes / 3)
    else:
        lengths, distilling = flags(steps=a.steps), flags(steps=a.distill_steps)
    extra, before = json.loads(a.training), sittings(a.init) if a.init else []
    if before:
        extra.setdefault("init_seen", before[-1]["seen"])
    def teach():
        train.main([a.model] + flags(data=a.data, out=out, **extra) + lengths + fast + (flags(init=a.init) if a.init else []))
        state = weights.load_checkpoint(out / "pocket.pt")
        weights.export(state["ema"], state["cfg"], state["step"], weights.SAMPLER, out / "tokenizer.json", out / "teacher")
    stage(out / "teacher" / "config.json", teach)
    if a.distill_minutes:
        distilling = flags(minutes=a.distill_minutes)
    def distil(student, calls, guidance):
        stage(out / student / "config.json", lambda: distill.main([a.model] + flags(teacher=out / "teacher", data=a.data, out=out / student, calls=calls, guidance=guidance) + distilling + fast))
    kept = lambda: dict(tuned=[], compared=[], chosen=dict(sampler=json.loads((pathlib.Path(a.keep) / "config.json").read_text())["sampler"], weights="teacher"))
    stage(out / "choice.json", lambda: (out / "choice.json").write_text(json.dumps(kept() if a.keep else choose(a, out, distil), indent=1) + "\n"))
    choice, ship = json.loads((out / "choice.json").read_text()), out / "weights"
    def finish():
        chosen = choice["chosen"]
        net, tok, config = weights.load(out / chosen["weights"], dev)
        weights.export(net.state_dict(), net.cfg, config["train_steps"], chosen["sampler"], out / "tokenizer.json", ship)
        words.write(recipe, a.data, ship)
        log = [json.loads(line) for line in open(out / "log.jsonl")]
        private = sampling.score(a.model, ship, a.data, a.choose_sets or measure.sets_of(recipe), a.choose_per, a.choose_fit_steps, a.choose_seeds)
        now = dict({k: log[-1][k] for k in ("step", "seen", "seconds", "cpu_seconds")}, settings={k: v for k, v in extra.items() if k not in ("init_seen", "features", "pause")},
                   private={k: private[k] for k in ("mean", "low", "high", "sets", "per", "fit_steps", "seeds")})
        (ship / SITTINGS).write_text("".join(json.dumps(line) + "\n" for line in [*before, now]))
        report = measure.main([a.model] + flags(weights=ship, data=a.data, per=a.per, fit_steps=a.fit_steps, seeds=a.seeds, ceilings=out.parent / "ceilings.json", json=out / "measure.json"))
        texts = pictures.grid(net, tok, recipe, chosen["sampler"], ship / "samples.png", dev)
        pictures.curve(out / "log.jsonl", ship / "curve.png")
        how = [f"{'one GPU' if dev == 'cuda' else 'CPU'}, {'bf16' if precision.bf16(dev, extra.get('precision', 'auto')) else 'f32'}", *a.history]
        card.write(a.model, recipe, ship, log, "; ".join(how), report, choice, texts, a.failures, a.notes, {m.corpus for m in data.load(a.data, "public", recipe)[1]}, [*before, now])
    stage(ship / "README.md", finish)


def main(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--minutes", type=float, help="for training, and a third as many for distilling; measuring comes on top")
    p.add_argument("--processor-minutes", type=float, help="the same of processor time, in place of --minutes")
    p.add_argument("--steps", type=int, help="training steps, in place of --minutes")
    p.add_argument("--student-calls", type=int, nargs="*", default=[4], metavar="CALLS", help="network calls of each student to distil and to compare with the teacher; none: do not distil")
    p.add_argument("--distill-minutes", type=float, help="by the clock, for each student; where not given, a third of the minutes of training")
    p.add_argument("--distill-steps", type=int, default=1600)
    p.add_argument("--init", help="exported folder or another run's folder to begin from")
    p.add_argument("--keep", metavar="DIR", help="take the sampling of this exported folder as it is, in place of choosing")
    p.add_argument("--history", nargs="+", default=[], help="what the card says of earlier training that the weights to begin from had")
    p.add_argument("--notes", nargs="+", default=[], help="what the card says below the table of the measure")
    p.add_argument("--failures", nargs="+", default=[], help="what the card lists as known failures beside those that the measure shows")
    p.add_argument("--training", default="{}", help="JSON of further settings of train.py, as {\"batch\": 64, \"crop\": 0.7}")
    p.add_argument("--per", type=int, default=60)
    p.add_argument("--fit-steps", type=int, default=600)
    p.add_argument("--seeds", type=int, default=3)
    sampling.arguments(p)
    p.add_argument("--no-compile", action="store_true")
    a = p.parse_args(args)
    if not (a.minutes or a.processor_minutes or a.steps):
        p.error("give --minutes, --processor-minutes or --steps")
    make(a)


if __name__ == "__main__":
    main()
