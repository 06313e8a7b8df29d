"""Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"), with updates as large as AdamW's (Liu et al. 2025, "Muon is
scalable for LLM training", eq. 4); the same as torch.optim.Muon, but for two things that its price on a processor asks for: the iteration runs in f32 where
that is the faster precision, and the processes that share a batch share the matrices, each of which only one of them iterates on.
"""
import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def orthogonal(g, dtype):
    """Nearly the orthogonal matrix closest to each of g [n,rows,columns], by Newton and Schulz's iteration; singular values end in about 0.7 to 1.2."""
    tall = g.shape[1] > g.shape[2]
    x = (g.transpose(1, 2) if tall else g).to(dtype)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.transpose(1, 2) if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum of Nesterov's kind made orthogonal, for matrices [rows,columns]. In a `team` (train.py), each process iterates on its part of the matrices of a
    shape."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.1, half=False, team=None):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        self.dtype, self.team = torch.bfloat16 if half else torch.float32, team
        self.rank, self.size = (team.rank, team.size) if team else (0, 1)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            ready = [p for p in group["params"] if p.grad is not None]
            moved, shapes = [], {}
            for p in ready:
                kept = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                kept.lerp_(p.grad, 1 - group["momentum"])
                moved.append(p.grad.lerp(kept, group["momentum"]))
                shapes.setdefault(p.shape, []).append(len(moved) - 1)
            made = [torch.zeros_like(m) if self.size > 1 else m for m in moved]
            for alike in shapes.values():
                mine = alike[self.rank::self.size]
                if mine:
                    for i, update in zip(mine, orthogonal(torch.stack([moved[i] for i in mine]), self.dtype)):
                        made[i] = update.to(moved[i].dtype)
            if self.size > 1:
                # What another has made is zero here.
                flat = self.team.exchange(torch.cat([m.flatten() for m in made])).sum(0)
                made = [part.view_as(m) for part, m in zip(flat.split([m.numel() for m in made]), made)]
            for p, update in zip(ready, made):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-0.2 * group["lr"] * max(p.shape) ** 0.5)
