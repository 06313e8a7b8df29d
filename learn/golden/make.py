"""Writes tests/golden/*: what PyTorch and scikit-learn compute for the classifier, its training and its measures.

  python learn/golden/make.py     (torch, numpy, safetensors, scikit-learn)
"""
import json
import pathlib
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

OUT = pathlib.Path(__file__).parent.parent / "tests" / "golden"


class ResNet(nn.Module):
    def __init__(self, classes, w):
        super().__init__()
        def block(i, o, s): return nn.ModuleDict({"a": nn.Conv2d(i, o, 3, s, 1, bias=False), "na": nn.BatchNorm2d(o), "b": nn.Conv2d(o, o, 3, 1, 1, bias=False), "nb": nn.BatchNorm2d(o),
                                                  "s": nn.Sequential() if i == o and s == 1 else nn.Conv2d(i, o, 1, s, bias=False)})
        self.stem = nn.Sequential(nn.Conv2d(3, w, 3, 1, 1, bias=False), nn.BatchNorm2d(w), nn.ReLU())
        self.blocks = nn.ModuleList([block(w, w, 2), block(w, 2 * w, 2), block(2 * w, 4 * w, 2), block(4 * w, 4 * w, 1)]); self.head = nn.Linear(4 * w, classes)

    def forward(self, x):
        x = self.stem(x)
        for b in self.blocks: x = F.relu(b["nb"](b["b"](F.relu(b["na"](b["a"](x))))) + b["s"](x))
        return self.head(x.mean((2, 3)))


def state(net, prefix): return {prefix + k: v.detach().clone() for k, v in net.state_dict().items() if "num_batches" not in k}


def classifier(classes=5, width=4, size=16, n=12, steps=5):
    """Images, initial weights, the gradients of the first step, the losses and the weights after `steps` steps of the recipe."""
    torch.manual_seed(1); net = ResNet(classes, width)
    with torch.no_grad():
        for k, v in net.named_parameters():
            if v.dim() == 1: v.add_(0.2 * torch.randn_like(v))
    images = torch.randint(0, 256, (n, size, size, 3), dtype=torch.uint8); labels = torch.randint(0, classes, (n,))
    x = (images.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous()
    out = {"images": images.float(), "labels": labels.float(), **state(net, "before.")}
    opt = torch.optim.SGD(net.parameters(), 0.05, 0.9, nesterov=True, weight_decay=5e-4)
    sch = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=steps, cycle_momentum=False); losses = []
    for i in range(steps):
        loss = F.cross_entropy(net(x), labels, label_smoothing=0.1); opt.zero_grad(); loss.backward()
        if i == 0: out |= {"gradient." + k: v.grad.clone() for k, v in net.named_parameters()}
        losses.append(loss.item()); opt.step(); sch.step()
    out |= state(net, "after.") | {"losses": torch.tensor(losses), "probabilities": net.eval()(x).softmax(1).detach()}
    save_file({k: v.contiguous() for k, v in out.items()}, OUT / "classifier.safetensors")


def bf16_gradients(classes=5, width=4):
    """The gradients of the first step with autocast to bf16, from the same images and weights."""
    told = load_file(OUT / "classifier.safetensors"); net = ResNet(classes, width)
    net.load_state_dict({k.removeprefix("before."): v for k, v in told.items() if k.startswith("before.")}, strict=False)
    x = (told["images"].permute(0, 3, 1, 2) / 127.5 - 1).contiguous()
    with torch.autocast("cpu", torch.bfloat16): loss = F.cross_entropy(net(x), told["labels"].long(), label_smoothing=0.1)
    loss.backward()
    save_file({"gradient." + k: v.grad.contiguous() for k, v in net.named_parameters()}, OUT / "bf16.safetensors")


def schedule():
    out = {}
    for steps in (4, 10, 37):
        p = nn.Parameter(torch.zeros(1)); opt = torch.optim.SGD([p], 0.1); sch = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=steps); rates = []
        for _ in range(steps): rates.append(opt.param_groups[0]["lr"]); opt.step(); (sch.step() if len(rates) < steps else None)
        out[str(steps)] = rates
    return out


def measures():
    g = torch.Generator().manual_seed(3); cases = []
    for n, classes, used in ((50, 4, 4), (30, 6, 3), (1, 3, 3), (8, 5, 2)):
        y = torch.randint(0, used, (n,), generator=g).tolist(); p = torch.randint(0, used, (n,), generator=g).tolist()
        cases.append({"classes": classes, "labels": y, "predicted": p, "accuracy": accuracy_score(y, p), "macro_f1": f1_score(y, p, average="macro", zero_division=0), "confusion": confusion_matrix(y, p, labels=range(classes)).tolist()})
    return cases


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    torch.backends.mkldnn.enabled = False  # without it this backward pass once aborted with a corrupted heap; cause not isolated
    classifier()
    bf16_gradients()
    (OUT / "schedule.json").write_text(json.dumps(schedule()) + "\n")
    (OUT / "measures.json").write_text(json.dumps(measures()) + "\n")
