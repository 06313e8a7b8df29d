"""Trains pocket on the public splits, on a CPU or a GPU; everything in the loop stays on the device.

  python train.py MODEL --data DATA --out RUN --minutes 6      MODEL is all, photo or draw

Stops at --steps or after --minutes of training by the clock or by the processor, whichever comes first. A run continues from RUN/pocket.pt; a new one may begin from
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

import align
import features
import precision
import weights
from data import augment, build_tokenizer, caption_bank, load, weights as draw_weights
from muon import Muon
from pocket import Pocket
from recipes import RECIPES, SHAPES


def learning_rate(progress, step, peak, cool, warmup):
    """Linear over the first `warmup` steps, then constant, then linear to 2 % over the last share `cool` of the budget; 0 is never."""
    return peak * min(1.0, (step + 1) / warmup) * (min(1.0, max(0.02, (1 - progress) / cool)) if cool else 1.0)


def flow_loss(net, x, ids, t, floor=0.05, *through):
    """Loss of Li and He 2025, "Back to Basics": mean squared error of the velocity (x_hat - z)/(1 - t), the divisor at least `floor` (1: of the image).
    x [B,3,S,S], t [B]. -> loss, x_hat"""
    at = t.view(-1, 1, 1, 1)
    z = at * x + (1 - at) * torch.randn_like(x)
    made = net(z, t, ids, *through)
    return (((made - x) / (1 - at).clamp_min(floor)) ** 2).mean(), made


def optimisers(net, kind, lr, half=False, team=None):
    """muon: the matrices inside the blocks by Muon, with updates as large as AdamW's, in bf16 where `half`, shared by a team of processes; everything else, or
    with adamw all, by AdamW."""
    named = dict(net.named_parameters())
    inner = [n for n in named if kind == "muon" and "blocks." in n and n.endswith("weight")]
    rest = [p for n, p in named.items() if n not in inner]
    adamw = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.02, fused=True)
    return [adamw] + ([Muon([named[n] for n in inner], lr, half=half, team=team)] if inner else [])


COUNTERS = ("step", "seen", "seconds", "cpu_seconds")
"""Steps and images since the first random weights; seconds by the clock and by the processor since the run, or the one it branched off, began."""


def begin(a, meta, dev, team, half):
    """-> (network, its running average, optimisers, tokenizer, counters) of a new or continued run."""
    out, at, recipe = pathlib.Path(a.out), dict.fromkeys(COUNTERS, 0), RECIPES[a.model]
    run = next((pathlib.Path(d) for d in (out, a.init) if d and (pathlib.Path(d) / "pocket.pt").exists()), None)
    state = weights.load_checkpoint(run / "pocket.pt") if run else None
    if state:
        tok, net = Tokenizer.from_file(str(run / "tokenizer.json")), Pocket(**state["cfg"])
        net.load_state_dict(state["net"])
        at = {k: state[k] for k in COUNTERS}
        if run != out and team.rank == 0:
            shutil.copy(run / "log.jsonl", out / "log.jsonl")
    elif a.init:
        net, tok, config = weights.load(a.init)
        at.update(step=config["train_steps"], seen=a.init_seen)
        if a.vocab:
            old, tok = tok, build_tokenizer(meta, a.vocab)
            net = weights.retokenise(net, old, tok)
        if a.patch:
            net = weights.repatch(net, a.patch)
    else:
        torch.manual_seed(a.seed)
        tok = build_tokenizer(meta, a.vocab or 640)
        net = Pocket(tok.get_vocab_size(), **{**SHAPES[dev], **recipe.shape, **json.loads(a.shape)})
    if team.rank == 0:
        # Beside the file first: another process of the team may be reading it.
        tok.save(str(out / "tokenizer.json.new"))
        os.replace(out / "tokenizer.json.new", out / "tokenizer.json")
    net = net.train().to(dev)
    ema = copy.deepcopy(net).requires_grad_(False)
    opts = optimisers(net, a.optimizer, a.lr, half, team)
    if state:
        ema.load_state_dict(state["ema"])
        if state["optimizer"] == a.optimizer:
            for opt, kept in zip(opts, state["opts"]):
                opt.load_state_dict(kept)
    return net, ema, opts, tok, at


class Team:
    """The processes that share a batch, `rank` of `size`. On processors that others use too they lose less than threads, which wait for each
    other in every operation: they meet a few times in a step. What they exchange lies in memory that all see, `boards` [2,size,n], each the next
    one's turn: who is a meeting ahead writes where nobody reads any more. Over sockets a third of a step was spent on it."""

    def __init__(self, rank=0, size=1, boards=None, barrier=None):
        self.rank, self.size, self.boards, self.barrier, self.turn = rank, size, boards, barrier, 0

    def exchange(self, mine):
        """mine [m] -> what each has given [size,m], until the next but one"""
        assert mine.numel() <= self.boards.shape[2], "a larger network than LARGEST says"
        self.turn = 1 - self.turn
        board = self.boards[self.turn, :, : mine.numel()]
        board[self.rank].copy_(mine)
        self.barrier.wait()
        return board

    def agree(self, value):
        """-> the first process's number"""
        # As two numbers of half the digits, for a board of f32.
        if self.size == 1:
            return value
        coarse = torch.tensor(value, dtype=torch.float32)
        fine = torch.tensor(value - float(coarse), dtype=torch.float32)
        first = self.exchange(torch.stack([coarse, fine]))[0].double()
        return float(first.sum())

    def mean(self, parameters, *values):
        """Averages the gradients; -> the sums of the numbers"""
        if self.size == 1:
            return values
        grads = [p.grad for p in parameters]
        flat = self.exchange(torch.cat([g.flatten() for g in grads] + [torch.tensor(values) * self.size])).mean(0)
        parts = flat.split([g.numel() for g in grads] + [len(values)])
        torch._foreach_copy_(grads, [f.view_as(g) for f, g in zip(parts, grads)])
        return parts[-1].tolist()


def train(a, dev):
    """Alone, or on a CPU as a team of --workers."""
    pathlib.Path(a.out).mkdir(parents=True, exist_ok=True)
    images, meta = load(a.data, "public", RECIPES[a.model])
    # Once for the team: it is chosen by the clock.
    a.precision = "bf16" if precision.bf16(dev, a.precision) else "f32"
    if a.workers > 1:
        boards = torch.empty(2, a.workers, LARGEST).share_memory_()
        barrier = torch.multiprocessing.get_context("spawn").Barrier(a.workers)
        torch.multiprocessing.spawn(run, (a, dev, images, meta, boards, barrier), a.workers)
    else:
        run(0, a, dev, images, meta)


LARGEST = 1 << 24
"""Values that processes can exchange at once: more than any network here has."""


def run(rank, a, dev, images, meta, boards=None, barrier=None):
    """Trains; the first process writes what there is to write."""
    if a.threads:
        torch.set_num_threads(a.threads)
    recipe, out, team = RECIPES[a.model], pathlib.Path(a.out), Team(rank, a.workers, boards, barrier)
    half = precision.bf16(dev, a.precision)
    net, ema, opts, tok, at = begin(a, meta, dev, team, half)
    chance, bank, images = draw_weights(meta, recipe).to(dev), caption_bank(tok, meta, a.drop).to(dev), images.to(dev)
    way, aligner, maps = align.Way(a.route, a.align_after if a.align else 0, net.cfg["text_tokens"]), None, None
    through = (way,) if a.route or a.align else ()
    if a.align:
        torch.manual_seed(a.seed)
        aligner, maps = align.Aligner(net.cfg["d"], a.align_after).to(dev), align.kept(images.cpu(), a.features, half)
        opts.append(torch.optim.AdamW(aligner.parameters(), lr=a.lr, betas=(0.9, 0.98), fused=True))
    learned = [*net.parameters(), *(aligner.parameters() if aligner else ())]
    critic = features.network().to(dev) if a.perceptual else None
    save = lambda: weights.save_checkpoint(out / "pocket.pt", cfg=net.cfg, net=net.state_dict(), ema=ema.state_dict(),
                                           optimizer=a.optimizer, opts=[o.state_dict() for o in opts], **at)
    say = print if rank == 0 else lambda *_, **__: None
    say(f"{len(meta)} images, {sum(p.numel() for p in net.parameters())/1e6:.1f} M parameters, from step {at['step']}, {'bf16' if half else 'f32'}, {a.optimizer}", flush=True)
    forward = torch.compile(net) if a.compile else net
    random.seed(a.seed + at["step"] + 10**6 * rank)
    torch.manual_seed(a.seed + at["step"] + 10**6 * rank)
    # A fresh optimiser warms up, also on weights that are not.
    cold = 0 if opts[0].state else at["step"]
    total, since, size, log, saved = 0.0, 0, net.cfg["size"], open(out / "log.jsonl", "a") if rank == 0 else None, time.monotonic()
    batch, clock = a.batch // a.workers, time.process_time()
    progress = lambda: team.agree(max(at["step"] / a.steps, at["seconds"] / 60 / a.minutes, at["cpu_seconds"] / 60 / a.processor_minutes))
    done = progress()
    while done < 1:
        while a.pause and os.path.exists(a.pause):
            time.sleep(1)
        begun = time.monotonic()
        index = torch.multinomial(chance, batch, replacement=True)
        (x, view), ids = augment(images[index], size, a.crop), bank[index, torch.randint(0, bank.shape[1], (batch,), device=dev)]
        t = torch.sigmoid(torch.randn(batch, device=dev) * a.t_std + a.t_mean)
        with torch.autocast(dev, dtype=torch.bfloat16, enabled=half):
            loss, made = flow_loss(forward, x, ids, t, a.floor, *through)
            whole = loss
            if a.align:
                whole = whole + a.align * aligner.loss(way.hidden, align.seen(maps[index.cpu()].to(dev), view, size // net.cfg["patch"]))
            if a.perceptual:
                part = slice(0, batch // 4)
                whole = whole + a.perceptual * align.perceptual(critic, made[part], x[part])
        for p in learned:
            p.grad = None
        whole.backward()
        (used,) = team.mean(learned, time.process_time() - clock)
        clock = time.process_time()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = learning_rate(done, at["step"] - cold, a.lr, a.cool, a.warmup)
            opt.step()
        at["step"] += 1
        at["seen"] += batch * a.workers
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(net.parameters()), 1 - min(a.ema, (1 + at["step"]) / (10 + at["step"])))
        total, since = total + loss.detach(), since + 1
        at["seconds"] += time.monotonic() - begun
        at["cpu_seconds"] += used
        done = progress()
        if rank == 0 and (since == a.log or done >= 1):
            line = dict(step=at["step"], seen=at["seen"], loss=round(float(total) / since, 5), seconds=round(at["seconds"], 1), cpu_seconds=round(at["cpu_seconds"], 1))
            log.write(json.dumps(line) + "\n")
            log.flush()
            say(line, flush=True)
            total, since = 0.0, 0
        if rank == 0 and time.monotonic() - saved > a.save_seconds:
            save()
            saved = time.monotonic()
    if rank == 0:
        save()


def arguments(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--init", help="exported folder or another run's folder to begin from; its tokenizer and shape are kept")
    p.add_argument("--init-seen", type=int, default=0, help="images that exported weights to begin from have seen")
    p.add_argument("--shape", default="{}", help="JSON that changes entries of recipes.SHAPES")
    p.add_argument("--steps", type=int, default=10**9)
    p.add_argument("--minutes", type=float, default=10**9)
    p.add_argument("--processor-minutes", type=float, default=10**9, help="of processor time, for runs that are compared where other programs use the processors too")
    p.add_argument("--batch", type=int, default=1024 if torch.cuda.is_available() else 256)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--optimizer", choices=["muon", "adamw"], default="muon")
    p.add_argument("--precision", choices=precision.CHOICES, default="auto", help="auto: bf16 where the device has instructions for it")
    p.add_argument("--cool", type=float, default=0.4, help="share of the budget over which the learning rate falls at the end; 0 for a run to branch off")
    p.add_argument("--warmup", type=int, default=200, help="steps over which the learning rate rises at the beginning")
    p.add_argument("--ema", type=float, default=0.9995 if torch.cuda.is_available() else 0.998)
    p.add_argument("--drop", type=float, default=0.1, help="share of empty captions")
    p.add_argument("--crop", type=float, default=0.75, help="smallest side of a training window, as a share")
    p.add_argument("--t-mean", type=float, default=0.0, help="times are the sigmoid of a normal with this mean")
    p.add_argument("--t-std", type=float, default=1.0)
    p.add_argument("--floor", type=float, default=0.05, help="least divisor 1 - t of the loss; 1 weighs every time by the error of the image")
    p.add_argument("--align", type=float, default=0.0, metavar="W", help="weight of the alignment of a block with frozen features")
    p.add_argument("--align-after", type=int, default=2, metavar="BLOCK")
    p.add_argument("--features", metavar="FILE", help="where the frozen features of the training images are kept")
    p.add_argument("--route", type=float, default=0.0, metavar="SHARE", help="share of the patches that pass by the middle blocks")
    p.add_argument("--perceptual", type=float, default=0.0, metavar="W", help="weight of the distance between the frozen features of predicted and clean image, on a quarter of the batch")
    p.add_argument("--vocab", type=int, help="learn the tokenizer anew from the captions, with this many tokens; exported weights to begin from keep what they know")
    p.add_argument("--patch", type=int, help="patch size in place of that of the exported weights to begin from")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--log", type=int, default=50, help="steps between lines of the log")
    p.add_argument("--save-seconds", type=float, default=180)
    p.add_argument("--threads", type=int, default=0, help="CPU threads; 0 is PyTorch's choice")
    p.add_argument("--workers", type=int, default=1, help="processes that share the batch, on a CPU; with --threads 1 for processors that others use too")
    p.add_argument("--pause", help="file that makes it sleep while it exists")
    a = p.parse_args(args)
    if a.steps == a.minutes == a.processor_minutes == 10**9:
        p.error("give --steps, --minutes or --processor-minutes")
    return a


def main(args=None):
    a = arguments(args)
    train(a, "cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    main()
