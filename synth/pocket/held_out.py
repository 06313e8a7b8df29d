"""How far a network's prediction of the clean image is from it, on images that it was not trained on: a number with next to no chance in it, for comparing
networks that do not teach much yet.

  python held_out.py MODEL --weights DIR --data DATA
"""
import argparse

import torch

import weights
from captions import DOMAIN_PHRASES
from data import encode, load, shrink
from recipes import RECIPES

TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)


@torch.no_grad()
def error(net, tok, root, recipe, split="private", images=2000, batch=250):
    """-> the mean squared error of the predicted image, levels told as -1 to 1, by prompts of class and domain: for each of TIMES, and the mean. Noise and images are
    always the same."""
    pixels, meta = load(root, split, recipe)
    g = torch.Generator().manual_seed(0)
    corpora = sorted({m.corpus for m in meta})
    chosen = []
    for corpus in corpora:
        of = torch.tensor([i for i, m in enumerate(meta) if m.corpus == corpus])
        chosen += of[torch.randperm(len(of), generator=g)[: images // len(corpora)]].tolist()
    x = shrink(pixels[chosen], net.cfg["size"])
    ids = encode(tok, [DOMAIN_PHRASES[meta[i].domain][0].format(c=meta[i].cls) for i in chosen])
    noise, found = torch.randn(x.shape, generator=g), []
    for t in TIMES:
        z = t * x + (1 - t) * noise
        parts = zip(z.split(batch), x.split(batch), ids.split(batch))
        errors = [((net(zb, torch.full((len(zb),), t), ib) - xb) ** 2).mean((1, 2, 3)) for zb, xb, ib in parts]
        found.append(float(torch.cat(errors).mean()))
    return dict(by_time=dict(zip(map(str, TIMES), found)), mean=sum(found) / len(found))


def main(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--weights", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--split", choices=["private", "public"], default="private")
    p.add_argument("--threads", type=int, default=0)
    a = p.parse_args(args)
    if a.threads:
        torch.set_num_threads(a.threads)
    net, tok, _ = weights.load(a.weights)
    found = error(net, tok, a.data, RECIPES[a.model], a.split)
    print(found)
    return found


if __name__ == "__main__":
    main()
