"""The small classifier that generators are measured with."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class ResNet(nn.Module):
    """A small residual network for 32 to 64 px. x [B,3,S,S] -> logits [B,classes]."""

    def __init__(self, classes, width=32):
        super().__init__()
        def block(i, o, stride):
            return nn.ModuleDict({
                "a": nn.Conv2d(i, o, 3, stride, 1, bias=False), "na": nn.BatchNorm2d(o), "b": nn.Conv2d(o, o, 3, 1, 1, bias=False), "nb": nn.BatchNorm2d(o),
                "s": nn.Sequential() if i == o and stride == 1 else nn.Conv2d(i, o, 1, stride, bias=False)})
        w = width
        self.stem = nn.Sequential(nn.Conv2d(3, w, 3, 1, 1, bias=False), nn.BatchNorm2d(w), nn.ReLU())
        self.blocks = nn.ModuleList([block(w, w, 2), block(w, 2 * w, 2), block(2 * w, 4 * w, 2), block(4 * w, 4 * w, 1)])
        self.head = nn.Linear(4 * w, classes)

    def forward(self, x):
        x = self.stem(x)
        for b in self.blocks:
            x = F.relu(b["nb"](b["b"](F.relu(b["na"](b["a"](x))))) + b["s"](x))
        return self.head(x.mean((2, 3)))


def fit(x, y, classes, steps, seed, batch=64):
    """x [n,3,S,S] in [-1,1], y [n] -> trained ResNet: SGD, one cycle, label smoothing, flips and shifted crops."""
    torch.manual_seed(seed)
    dev = x.device.type
    # Convolutions on a CPU take half the time in this layout.
    net, x = ResNet(classes).to(dev, memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    n, size = len(x), x.shape[-1]
    pad = size // 8
    opt = torch.optim.SGD(net.parameters(), 0.05, 0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, 0.05, total_steps=steps)
    for _ in range(steps):
        index = torch.randint(0, n, (min(batch, n),), device=dev)
        b = F.pad(x[index], (pad,) * 4, mode="reflect")
        i, j = torch.randint(0, 2 * pad + 1, (2,)).tolist()
        b = b[..., i:i + size, j:j + size]
        if torch.rand(()) < 0.5:
            b = b.flip(-1)
        # f32 on CPUs, also on those with bf16 instructions: PyTorch's bf16 gradients of convolutions on 4 x 4 maps are slower there.
        with torch.autocast(dev, dtype=torch.bfloat16, enabled=dev == "cuda"):
            loss = F.cross_entropy(net(b).float(), y[index], label_smoothing=0.1)
        opt.zero_grad()
        loss.backward()
        opt.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def accuracy(net, x, y):
    """Share of right answers, 0 to 1."""
    return float((torch.cat([net(b).argmax(1) for b in x.split(256)]) == y).float().mean())
