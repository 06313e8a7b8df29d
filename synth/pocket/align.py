"""Ways to learn more from a step: alignment of a middle layer with frozen features, tokens that pass by blocks, and a perceptual term.

Alignment is REPA (Yu et al. 2025, "Representation Alignment for Generation", eq. 8): the negative mean cosine similarity between what a small network
makes of a middle layer's patches and the frozen features of the clean image's patches. Routing is TREAD's (Krause et al. 2025): a random
share of the patches passes by the middle blocks and meets the others again before the last. Neither is in the weights that ship.
"""
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F

import features
from data import STORE

SIDE = 128
"""Height and width at which the frozen network sees an image whose features are kept."""


def kept(images, file, half=False, batch=64):
    """-> f16 features [n,CHANNELS,8,8] of uint8 images [n,3,STORE,STORE], each channel with mean 0 and deviation 1; kept in `file`. `half`: worked out in bf16."""
    if file and pathlib.Path(file).exists():
        found = torch.load(file, weights_only=True)
        if len(found) == len(images):
            return found
    net, out = features.network(), []
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        for b in images.split(batch):
            out.append(features.maps(net, b.float() / 127.5 - 1, SIDE).half().contiguous())
    out = torch.cat(out)
    sample = out[:: max(1, len(out) // 4000)].float()
    mean, deviation = sample.mean((0, 2, 3), keepdim=True), sample.std((0, 2, 3), keepdim=True).clamp_min(1e-3)
    for part in out.split(1024):
        part.copy_(((part.float() - mean) / deviation).half())
    if file:
        torch.save(out, file)
    return out


def seen(maps, view, side):
    """The features [B,C,side,side] of what augment() showed; maps [B,C,h,w] of whole images, view: its View."""
    out = []
    for group, (k, top, left) in zip(maps.chunk(8), view.windows):
        at = lambda start: (2 * start + k) / STORE - 1
        theta = torch.tensor([[k / STORE, 0.0, at(left)], [0.0, k / STORE, at(top)]], device=maps.device).expand(len(group), 2, 3)
        grid = F.affine_grid(theta, [len(group), group.shape[1], side, side], align_corners=False)
        out.append(F.grid_sample(group.float(), grid, padding_mode="border", align_corners=False))
    y = torch.cat(out)
    return torch.where(view.mirrored.view(-1, 1, 1, 1), y.flip(-1), y)


class Aligner(nn.Module):
    """Makes features of the output of block `after` (counted from 1), by a network that is thrown away after training."""

    def __init__(self, d, after, width=512):
        super().__init__()
        self.after = after
        self.head = nn.Sequential(nn.Linear(d, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, features.CHANNELS))

    def loss(self, hidden, target):
        """hidden [B,n,d], target [B,C,g,g] with n = g*g -> mean of 1 - cosine"""
        return 1 - F.cosine_similarity(self.head(hidden).float(), target.flatten(2).transpose(1, 2), dim=-1).mean()


class Way:
    """How tokens go through the blocks in training: `share` of the patches passes by all blocks but the first and the last; `after` names the block
    (counted from 1) whose output is kept in `hidden`. The first `text` tokens go through all blocks."""

    def __init__(self, share=0.0, after=0, text=4):
        self.share, self.after, self.text, self.hidden = share, after, text, None

    def __call__(self, blocks, x, c):
        last = len(blocks) - 1
        whole = chosen = None
        for i, block in enumerate(blocks):
            if self.share and i == 1 and last > 1:
                n = x.shape[1] - self.text
                stay = max(1, round(n * (1 - self.share)))
                patches = torch.rand(len(x), n, device=x.device).argsort(1)[:, :stay] + self.text
                words = torch.arange(self.text, device=x.device).expand(len(x), -1)
                chosen = torch.cat([words, patches], 1).unsqueeze(-1).expand(-1, -1, x.shape[2])
                whole, x = x, x.gather(1, chosen)
            if chosen is not None and i == last:
                x, chosen = whole.scatter(1, chosen, x.to(whole.dtype)), None
            x = block(x, c)
            if i + 1 == self.after:
                self.hidden = x[:, self.text:] if chosen is None else whole.scatter(1, chosen, x.to(whole.dtype))[:, self.text:]
        return x


def perceptual(net, made, x, side=64):
    """Mean squared distance of the frozen features of made and x, both [B,3,S,S] in [-1,1], over that of x to its mean."""
    with torch.no_grad():
        there = features.maps(net, x, side)
        spread = (there - there.mean((0, 2, 3), keepdim=True)).square().mean()
    return (features.maps(net, made, side) - there).square().mean() / spread
