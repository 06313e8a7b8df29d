"""Trains pocket on the public splits, on a CPU (f32) or a GPU (bf16); everything in the loop stays on the device.

  python train.py MODEL --data DATA --out RUN --minutes 6      MODEL is all, photo or draw

Stops at --steps or after --minutes of training, whichever comes first. A run continues from RUN/pocket.pt; a new one may begin from
an exported folder or branch off another run's folder (--init), and counts on from there. While the file --pause exists, it sleeps. Writes
RUN/log.jsonl and RUN/tokenizer.json.
"""
import argparse
import copy
import json
import os
import pathlib
import random
import shutil
import time

import torch
from tokenizers import Tokenizer

import weights
from data import augment, build_tokenizer, caption_bank, load, weights as draw_weights
from pocket import Pocket
from recipes import RECIPES, SHAPES


def learning_rate(progress, step, peak, cool, warmup=200):
    """Linear over the first `warmup` steps, then constant, then linear to 2 % over the last share `cool` of the budget; 0 is never."""
    return peak * min(1.0, (step + 1) / warmup) * (min(1.0, max(0.02, (1 - progress) / cool)) if cool else 1.0)


def flow_loss(net, x, ids, t):
    """Loss of Li and He 2025, "Back to Basics": mean squared error of the velocity (x_hat - z)/(1 - t). x [B,3,S,S], t [B]."""
    at = t.view(-1, 1, 1, 1)
    z = at * x + (1 - at) * torch.randn_like(x)
    return (((net(z, t, ids) - x) / (1 - at).clamp_min(0.05)) ** 2).mean()


COUNTERS = ("step", "seen", "seconds", "cpu_seconds")
"""Steps and images since the first random weights; seconds by the clock and by the processor since the run, or the one it branched off, began."""


def begin(a, meta, dev):
    """-> (network, its running average, optimiser, tokenizer, counters) of a new or continued run."""
    out, at = pathlib.Path(a.out), dict.fromkeys(COUNTERS, 0)
    run = next((pathlib.Path(d) for d in (out, a.init) if d and (pathlib.Path(d) / "pocket.pt").exists()), None)
    state = weights.load_checkpoint(run / "pocket.pt") if run else None
    if state:
        tok, net = Tokenizer.from_file(str(run / "tokenizer.json")), Pocket(**state["cfg"])
        net.load_state_dict(state["net"])
        at = {k: state[k] for k in COUNTERS}
        if run != out:
            shutil.copy(run / "log.jsonl", out / "log.jsonl")
    elif a.init:
        net, tok, config = weights.load(a.init)
        at.update(step=config["train_steps"], seen=config["train_steps"] * a.batch)
    else:
        torch.manual_seed(a.seed)
        tok = build_tokenizer(meta)
        net = Pocket(tok.get_vocab_size(), **{**SHAPES[dev], **json.loads(a.shape)})
    tok.save(str(out / "tokenizer.json"))
    net = net.train().to(dev)
    ema = copy.deepcopy(net).requires_grad_(False)
    opt = torch.optim.AdamW(net.parameters(), lr=a.lr, betas=(0.9, 0.98), weight_decay=0.02, fused=True)
    if state:
        ema.load_state_dict(state["ema"])
        opt.load_state_dict(state["opt"])
    return net, ema, opt, tok, at


def train(a, dev):
    recipe, out = RECIPES[a.model], pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    images, meta = load(a.data, "public", recipe)
    net, ema, opt, tok, at = begin(a, meta, dev)
    chance, bank, images = draw_weights(meta, recipe).to(dev), caption_bank(tok, meta, a.drop).to(dev), images.to(dev)
    save = lambda: weights.save_checkpoint(out / "pocket.pt", cfg=net.cfg, net=net.state_dict(), ema=ema.state_dict(), opt=opt.state_dict(), **at)
    print(f"{len(meta)} images, {sum(p.numel() for p in net.parameters())/1e6:.1f} M parameters, from step {at['step']}", flush=True)
    forward = torch.compile(net) if a.compile else net
    random.seed(a.seed + at["step"])
    torch.manual_seed(a.seed + at["step"])
    # A fresh optimiser warms up, also on weights that are not.
    cold = 0 if opt.state else at["step"]
    total, since, size, log, saved = 0.0, 0, net.cfg["size"], open(out / "log.jsonl", "a"), time.monotonic()
    progress = lambda: max(at["step"] / a.steps, at["seconds"] / 60 / a.minutes)
    while (done := progress()) < 1:
        while a.pause and os.path.exists(a.pause):
            time.sleep(1)
        begun, used = time.monotonic(), time.process_time()
        index = torch.multinomial(chance, a.batch, replacement=True)
        x, ids = augment(images[index], size, a.crop), bank[index, torch.randint(0, bank.shape[1], (a.batch,), device=dev)]
        t = torch.sigmoid(torch.randn(a.batch, device=dev) * a.t_std + a.t_mean)
        with torch.autocast(dev, dtype=torch.bfloat16, enabled=dev == "cuda"):
            loss = flow_loss(forward, x, ids, t)
        for group in opt.param_groups:
            group["lr"] = learning_rate(done, at["step"] - cold, a.lr, a.cool)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        at["step"] += 1
        at["seen"] += a.batch
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(net.parameters()), 1 - min(a.ema, (1 + at["step"]) / (10 + at["step"])))
        total, since = total + loss.detach(), since + 1
        at["seconds"] += time.monotonic() - begun
        at["cpu_seconds"] += time.process_time() - used
        if since == a.log or progress() >= 1:
            line = dict(step=at["step"], seen=at["seen"], loss=round(float(total) / since, 5), seconds=round(at["seconds"], 1), cpu_seconds=round(at["cpu_seconds"], 1))
            log.write(json.dumps(line) + "\n")
            log.flush()
            print(line, flush=True)
            total, since = 0.0, 0
        if time.monotonic() - saved > a.save_seconds:
            save()
            saved = time.monotonic()
    save()


def arguments(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--init", help="exported folder or another run's folder to begin from; its tokenizer and shape are kept")
    p.add_argument("--shape", default="{}", help="JSON that changes entries of recipes.SHAPES")
    p.add_argument("--steps", type=int, default=10**9)
    p.add_argument("--minutes", type=float, default=10**9)
    p.add_argument("--batch", type=int, default=1024 if torch.cuda.is_available() else 128)
    p.add_argument("--lr", type=float, default=1e-3 if torch.cuda.is_available() else 6e-4)
    p.add_argument("--cool", type=float, default=0.4, help="share of the budget over which the learning rate falls at the end; 0 for a run to branch off")
    p.add_argument("--ema", type=float, default=0.9995 if torch.cuda.is_available() else 0.998)
    p.add_argument("--drop", type=float, default=0.1, help="share of empty captions")
    p.add_argument("--crop", type=float, default=0.75, help="smallest side of a training window, as a share")
    p.add_argument("--t-mean", type=float, default=0.0, help="times are the sigmoid of a normal with this mean")
    p.add_argument("--t-std", type=float, default=1.0)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--log", type=int, default=50, help="steps between lines of the log")
    p.add_argument("--save-seconds", type=float, default=180)
    p.add_argument("--threads", type=int, default=0, help="CPU threads; 0 is PyTorch's choice")
    p.add_argument("--pause", help="file that makes it sleep while it exists")
    a = p.parse_args(args)
    if a.steps == a.minutes == 10**9:
        p.error("give --steps or --minutes")
    return a


def main(args=None):
    a = arguments(args)
    if a.threads:
        torch.set_num_threads(a.threads)
    train(a, "cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    main()
