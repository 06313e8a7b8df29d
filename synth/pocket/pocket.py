# The definition of the `pocket` network in PyTorch. The Rust engine in `synth/src/engines/pocket` follows it, and
# `synth/golden/make.py` makes the numbers with it that the tests of the engine compare with.
"""pocket: a small text-to-image transformer in pixel space.

Flow matching with x-prediction: z_t = t*x + (1-t)*noise, the network predicts x, and the loss
is on the velocity (x_hat - z_t)/(1-t). The prompt is encoded once (small transformer, pooled to a
vector and K tokens); the image network sees [K text tokens | patches], full attention, no mask;
the timestep and the pooled text enter through one shared adaLN with per-block offsets.
Everything heavy is a matrix product.
"""
import math
import torch
import torch.nn as nn
import torch.nn.functional as F


def norm(x): return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def attend(q, k, v, heads):
    """q [B,Lq,d], k/v [B,Lk,d] -> [B,Lq,d]"""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    if q.is_cuda:
        y = F.scaled_dot_product_attention(q, k, v)
    else:
        # On a CPU the gradient of PyTorch's fused attention takes two fifths of a training step, for so few tokens.
        y = torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), -1).to(v.dtype) @ v
    return y.transpose(1, 2).flatten(2)


class TextBlock(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        x = x + self.proj(attend(*self.qkv(norm(x)).chunk(3, -1), self.heads))
        return x + self.fc2(F.gelu(self.fc1(norm(x)), approximate="tanh"))


class TextEncoder(nn.Module):
    """ids [B,T] -> (pooled [B,d], tokens [B,K,d]); padding is a learned token, so no mask."""
    def __init__(self, vocab, length, width, depth, heads, d, k):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, width), nn.Parameter(torch.randn(length, width) * 0.02)
        self.blocks = nn.ModuleList(TextBlock(width, heads) for _ in range(depth))
        self.query, self.kv = nn.Parameter(torch.randn(k, width) * 0.02), nn.Linear(width, 2 * width)
        self.heads, self.to_tokens, self.to_pooled = heads, nn.Linear(width, d), nn.Linear(width, d)
        nn.init.normal_(self.tok.weight, std=0.02)

    def forward(self, ids):
        x = self.tok(ids) + self.pos
        for b in self.blocks: x = b(x)
        x = norm(x)
        q = self.query.unsqueeze(0).expand(len(ids), -1, -1)
        return self.to_pooled(x.mean(1)), self.to_tokens(attend(q, *self.kv(x).chunk(2, -1), self.heads))


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.fc1, self.fc2, self.ada = nn.Linear(d, 4 * d), nn.Linear(4 * d, d), nn.Parameter(torch.zeros(6, d))

    def forward(self, x, c):
        """x [B,L,d], c [B,6,d] -> [B,L,d]"""
        s1, b1, g1, s2, b2, g2 = (c + self.ada).to(x.dtype).unsqueeze(2).unbind(1)
        x = x + g1 * self.proj(attend(*self.qkv(norm(x) * (1 + s1) + b1).chunk(3, -1), self.heads))
        return x + g2 * self.fc2(F.gelu(self.fc1(norm(x) * (1 + s2) + b2), approximate="tanh"))


def straight(blocks, x, c):
    for b in blocks: x = b(x, c)
    return x


class Pocket(nn.Module):
    def __init__(self, vocab, size=64, patch=8, d=384, depth=6, heads=6, text_len=24, text_width=128, text_depth=2, text_heads=4, text_tokens=4):
        super().__init__()
        self.cfg = dict(vocab=vocab, size=size, patch=patch, d=d, depth=depth, heads=heads, text_len=text_len, text_width=text_width,
                        text_depth=text_depth, text_heads=text_heads, text_tokens=text_tokens)
        n, k = (size // patch) ** 2, 3 * patch * patch
        self.text = TextEncoder(vocab, text_len, text_width, text_depth, text_heads, d, text_tokens)
        self.pos, self.patch_in = nn.Parameter(torch.randn(n, d) * 0.02), nn.Linear(k, d)
        self.t1, self.t2, self.ada = nn.Linear(256, d), nn.Linear(d, d), nn.Linear(d, 6 * d)
        self.blocks = nn.ModuleList(Block(d, heads) for _ in range(depth))
        self.ada_out, self.patch_out = nn.Linear(d, 2 * d), nn.Linear(d, k)
        for m in (self.ada, self.ada_out, self.patch_out): nn.init.zeros_(m.weight); nn.init.zeros_(m.bias)

    def patchify(self, x):
        B, C, H, W = x.shape; p = self.cfg["patch"]
        return x.view(B, C, H // p, p, W // p, p).permute(0, 2, 4, 1, 3, 5).reshape(B, (H // p) * (W // p), C * p * p)

    def unpatchify(self, y):
        B, n, _ = y.shape; p = self.cfg["patch"]; g = self.cfg["size"] // p
        return y.view(B, g, g, 3, p, p).permute(0, 3, 1, 4, 2, 5).reshape(B, 3, g * p, g * p)

    def denoise(self, z, t, text, through=straight):
        """z [B,3,S,S], t [B] in [0,1] (1 = data), text = TextEncoder output -> x_hat [B,3,S,S]; `through` is how training leads tokens through the blocks."""
        pooled, tokens = text
        f = torch.exp(-math.log(10000.0) * torch.arange(128, device=z.device, dtype=torch.float32) / 128)
        a = t.float()[:, None] * 1000 * f
        s = F.silu(self.t2(F.silu(self.t1(torch.cat([a.cos(), a.sin()], -1)))) + pooled)
        c = self.ada(s).unflatten(-1, (6, -1))
        x = torch.cat([tokens, self.patch_in(self.patchify(z)) + self.pos], 1)
        x = through(self.blocks, x, c)
        sc, sh = self.ada_out(s).unsqueeze(1).chunk(2, -1)
        return self.unpatchify(self.patch_out(norm(x[:, tokens.shape[1]:]) * (1 + sc) + sh)).float()

    def forward(self, z, t, ids, through=straight): return self.denoise(z, t, self.text(ids), through)


def times(steps, shift=1.0):
    """Times 0 = t_0 < .. < t_steps = 1; a shift above 1 takes smaller steps near the noise: t = u/(u + shift (1 - u))."""
    u = torch.linspace(0, 1, steps + 1)
    return u if shift == 1.0 else u / (u + shift * (1 - u))


@torch.no_grad()
def sample(net, ids, null, noise, steps=20, guidance=2.5, interval=(0.1, 1.0), kind="heun", shift=1.0):
    """Integrates the velocity field. ids/null [B,T], noise [B,3,S,S] -> images in [-1,1].

    kind: "euler"; "heun", two network calls per step and one in the last; "ab2", the two-step method of Adams and Bashforth
    for uneven steps, one call each, begun with a step of Euler's."""
    ts, (pc, tc), (pu, tu) = times(steps, shift), net.text(ids), net.text(null)
    both = (torch.cat([pc, pu]), torch.cat([tc, tu]))
    def vel(z, t):
        tb = torch.full((len(z),), t, device=z.device)
        if guidance == 1.0 or not interval[0] <= t <= interval[1]: x = net.denoise(z, tb, (pc, tc))
        else: c, u = net.denoise(torch.cat([z, z]), torch.cat([tb, tb]), both).chunk(2); x = u + guidance * (c - u)
        return (x - z) / max(1 - t, 0.05)
    z, before = noise, None
    for i in range(steps):
        t, n = float(ts[i]), float(ts[i + 1]); v = vel(z, t); z1 = z + (n - t) * v
        if kind == "heun" and i < steps - 1: z1 = z + (n - t) * 0.5 * (v + vel(z1, n))
        if kind == "ab2" and before: z1 = z + (n - t) * (v + (n - t) / (2 * (t - before[0])) * (v - before[1]))
        z, before = z1, (t, v)
    return z.clamp(-1, 1)
