"""Writes tests/golden/*.safetensors: what PyTorch computes for the layers of this crate.

  python nn/golden/make.py     (torch, safetensors)
"""
import pathlib
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent.parent / "tests" / "golden"
nhwc = lambda t: t.permute(0, 2, 3, 1).contiguous()


def convolution(name, n, ci, co, h, w, k, s, p):
    x = torch.randn(n, ci, h, w, requires_grad=True)
    weight = torch.randn(co, ci, k, k, requires_grad=True)
    y = F.conv2d(x, weight, stride=s, padding=p)
    g = torch.randn_like(y)
    y.backward(g)
    save_file({"x": nhwc(x.detach()), "weight": weight.detach(), "y": nhwc(y.detach()), "g": nhwc(g), "dx": nhwc(x.grad), "dweight": weight.grad.contiguous()}, OUT / f"{name}.safetensors")


def batch_norm(n, c, h, w):
    x = torch.randn(n, c, h, w) * 3 + 100 * torch.rand(1, c, 1, 1)
    x.requires_grad_()
    residual = torch.randn(n, c, h, w, requires_grad=True)
    net = torch.nn.BatchNorm2d(c)
    with torch.no_grad():
        for t in (net.weight, net.bias, net.running_mean): t.normal_()
        net.running_var.uniform_(0.5, 2)
    before = {"mean": net.running_mean.clone(), "var": net.running_var.clone()}
    y = F.relu(net(x) + residual)
    g = torch.randn_like(y)
    y.backward(g)
    eval_y = F.relu(net.eval()(x) + residual)
    save_file({"x": nhwc(x.detach()), "residual": nhwc(residual.detach()), "gamma": net.weight.detach(), "beta": net.bias.detach(), "mean": before["mean"], "var": before["var"],
               "y": nhwc(y.detach()), "g": nhwc(g), "dx": nhwc(x.grad), "dresidual": nhwc(residual.grad), "dgamma": net.weight.grad, "dbeta": net.bias.grad,
               "mean_after": net.running_mean, "var_after": net.running_var, "y_eval": nhwc(eval_y.detach())}, OUT / "batch_norm.safetensors")


def cross_entropy(n, classes):
    logits = (torch.randn(n, classes) * 3).requires_grad_()
    labels = torch.randint(0, classes, (n,))
    weights = torch.rand(n)
    out = {"logits": logits.detach(), "labels": labels.float(), "weights": weights}
    for smoothing in (0.0, 0.1):
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        out[f"loss_{smoothing}"] = loss.detach()[None]; out[f"gradient_{smoothing}"], = torch.autograd.grad(loss, logits)
    loss = (F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none") * weights).sum() / weights.sum()
    out["loss_weighted"] = loss.detach()[None]; out["gradient_weighted"], = torch.autograd.grad(loss, logits)
    save_file(out, OUT / "cross_entropy.safetensors")


if __name__ == "__main__":
    torch.backends.mkldnn.enabled = False  # without it this backward pass once aborted with a corrupted heap; cause not isolated
    torch.manual_seed(0)
    OUT.mkdir(parents=True, exist_ok=True)
    convolution("convolution_3x3_s1", 2, 5, 24, 6, 7, 3, 1, 1)
    convolution("convolution_3x3_s2", 2, 6, 17, 8, 7, 3, 2, 1)
    convolution("convolution_1x1_s2", 3, 8, 16, 5, 6, 1, 2, 0)
    batch_norm(3, 13, 4, 5)
    cross_entropy(9, 7)
