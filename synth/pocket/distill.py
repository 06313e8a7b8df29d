"""Teaches a copy of a generator to make in a few unguided network calls what the generator makes in many guided ones.

  python distill.py MODEL --teacher DIR --data DATA --out DIR --minutes 2

The student walks from noise to image in --calls Euler steps. In each step the teacher integrates the same span in --substeps
guided steps of Heun's method, and the student learns the prediction with which one Euler step ends where the teacher
ended (Salimans and Ho 2022, progressive distillation, and Meng et al. 2023 for guidance). Half of the batch walks on
from where the teacher ended, half from where the student did, so that the student learns to mend its own errors. Images are
not used, only their captions. DIR gets the student, to be sampled with Euler's method and no guidance.
"""
import argparse
import copy
import json
import pathlib
import random
import time

import torch

import precision
import weights
from captions import DOMAIN_PHRASES
from data import caption_bank, encode, load
from pocket import times
from recipes import RECIPES


def velocity(x, z, t):
    """t is a number."""
    return (x - z) / max(1 - t, 0.05)


@torch.no_grad()
def teach(net, z, begin, end, text, empty, guidance, interval, substeps):
    """Where the guided field carries z [B,3,S,S] from time `begin` to `end`, by Heun's method."""
    both = tuple(torch.cat(pair) for pair in zip(text, empty))
    def field(z, t):
        at = torch.full((len(z),), t, device=z.device)
        if not interval[0] <= t <= interval[1]:
            return velocity(net.denoise(z, at, text), z, t)
        c, u = net.denoise(torch.cat([z, z]), torch.cat([at, at]), both).chunk(2)
        return velocity(u + guidance * (c - u), z, t)
    for i in range(substeps):
        t, n = (begin + (end - begin) * k / substeps for k in (i, i + 1))
        v = field(z, t)
        step = z + (n - t) * v
        z = step if n >= 1 else z + (n - t) * 0.5 * (v + field(step, n))
    return z


def goal(z, end, t, n):
    """The prediction with which one Euler step from z at time t ends at `end` at time n."""
    return z + max(1 - t, 0.05) / (n - t) * (end - z)


def prompts(data, recipe, tok):
    """-> ids [n, T]: the training captions, and as many prompts of domain and class alone."""
    _, meta = load(data, "public", recipe)
    bank = caption_bank(tok, meta, drop=0.05, variants=8).flatten(0, 1)
    rng = random.Random(2)
    plain = [rng.choice(DOMAIN_PHRASES[m.domain]).format(c=m.cls) for m in rng.choices(meta, k=len(bank))]
    return torch.cat([bank, encode(tok, plain)])


def distill(a, dev):
    teacher, tok, config = weights.load(a.teacher, dev)
    teacher.requires_grad_(False)
    if a.guidance is not None:
        config["sampler"]["guidance"] = a.guidance
    student, sampler = copy.deepcopy(teacher).requires_grad_(True), config["sampler"]
    ema = copy.deepcopy(student).requires_grad_(False)
    opt = torch.optim.AdamW(student.parameters(), lr=a.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    bank, null, ts = prompts(a.data, RECIPES[a.model], tok).to(dev), encode(tok, [""]).to(dev), times(a.calls, a.shift).tolist()
    call = torch.compile(student.denoise) if a.compile else student.denoise
    guide = torch.compile(teacher.denoise) if a.compile else teacher.denoise
    teacher_net = type("Teacher", (), {"denoise": staticmethod(guide)})
    torch.manual_seed(a.seed)
    led = torch.arange(a.batch, device=dev).view(-1, 1, 1, 1) % 2 == 0
    half = precision.bf16(dev, a.precision)
    step, began, losses = 0, time.monotonic(), []
    progress = lambda: max(step / a.steps, (time.monotonic() - began) / 60 / a.minutes)
    while (done := progress()) < 1:
        ids = bank[torch.randint(0, len(bank), (a.batch,), device=dev)]
        with torch.no_grad():
            text, empty = teacher.text(ids), tuple(e.expand(a.batch, *e.shape[1:]) for e in teacher.text(null))
        z = torch.randn(a.batch, 3, student.cfg["size"], student.cfg["size"], device=dev)
        for t, n in zip(ts, ts[1:]):
            with torch.autocast(dev, dtype=torch.bfloat16, enabled=half):
                end = teach(teacher_net, z, t, n, text, empty, sampler["guidance"], sampler["interval"], a.substeps)
                x = call(z, torch.full((a.batch,), t, device=dev), student.text(ids))
                loss = ((x - goal(z, end, t, n)) ** 2).mean() / max(1 - t, 0.05)
            for group in opt.param_groups:
                group["lr"] = a.lr * min(1.0, (step + 1) / 50) * max(0.02, min(1.0, (1 - done) / 0.5))
            opt.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            opt.step()
            step += 1
            with torch.no_grad():
                torch._foreach_lerp_(list(ema.parameters()), list(student.parameters()), 1 - min(a.ema, (1 + step) / (10 + step)))
                z = torch.where(led, end, z + (n - t) * velocity(x.detach(), z, t))
            losses.append(loss.detach())
        if len(losses) >= a.log:
            print(json.dumps(dict(step=step, loss=round(float(torch.stack(losses).mean()), 5), seconds=round(time.monotonic() - began, 1))), flush=True)
            losses = []
    told = {"kind": "euler", "steps": a.calls, "guidance": 1.0, "interval": [0.0, 1.0], "shift": a.shift}
    weights.export(ema.state_dict(), student.cfg, config["train_steps"], told, pathlib.Path(a.teacher) / "tokenizer.json", a.out)


def main(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--teacher", required=True, help="exported folder")
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--calls", type=int, default=8)
    p.add_argument("--shift", type=float, default=2.5)
    p.add_argument("--guidance", type=float, help="of the teacher; its config.json's where not given")
    p.add_argument("--substeps", type=int, default=2)
    p.add_argument("--steps", type=int, default=10**9, help="optimiser steps, --calls of them per batch of noise")
    p.add_argument("--minutes", type=float, default=10**9)
    p.add_argument("--batch", type=int, default=512 if torch.cuda.is_available() else 32)
    p.add_argument("--lr", type=float, default=2e-4)
    p.add_argument("--ema", type=float, default=0.998)
    p.add_argument("--precision", choices=precision.CHOICES, default="auto", help="auto: bf16 where the device has instructions for it")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--log", type=int, default=200)
    p.add_argument("--threads", type=int, default=0)
    a = p.parse_args(args)
    if a.steps == a.minutes == 10**9:
        p.error("give --steps or --minutes")
    if a.threads:
        torch.set_num_threads(a.threads)
    distill(a, "cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    main()
