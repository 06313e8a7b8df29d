"""Whether bf16 is worth while on a device."""
import time

import torch

CHOICES = ("auto", "f32", "bf16")


def bf16(dev, choice="auto"):
    """`auto` is bf16 on GPUs, and on CPUs where a product of the network's size takes less time in it: that instructions for it are there does not say so."""
    if choice == "auto":
        return dev == "cuda" or seconds(torch.bfloat16) < seconds(torch.float32)
    return choice == "bf16"


@torch.no_grad()
def seconds(dtype, times=5):
    """The shortest of a few products [2048,384] x [384,1536], by the clock."""
    x, layer, took = torch.ones(2048, 384, dtype=dtype), torch.nn.Linear(384, 1536, dtype=dtype), []
    for _ in range(times):
        began = time.perf_counter()
        layer(x)
        took.append(time.perf_counter() - began)
    return min(took)
