"""Whether bf16 is worth while on a device."""
import torch

CHOICES = ("auto", "f32", "bf16")


def bf16(dev, choice="auto"):
    """`auto` is bf16 where matrix products in it are faster: on GPUs, and on CPUs with instructions for it (AMX or AVX-512 BF16)."""
    if choice == "auto":
        return dev == "cuda" or torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return choice == "bf16"
