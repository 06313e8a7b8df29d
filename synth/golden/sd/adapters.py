"""Adapters of the tiny SD 1.5 checkpoint that peft trains with more than plain pairs, saved by diffusers, and what it makes of them.

  python synth/golden/sd/adapters.py

Writes synth/tests/golden/sd/adapters/ and adapters.safetensors alone; `make.py` writes them among the others.
"""

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from reference import noise, write

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "sd"
SCALE = 0.7
LAYER = "down_blocks.0.attentions.0.transformer_blocks.0"

# Layers with biases and without, linear layers and convolutions of kernel 1 and 3.
KINDS = {
    "dora": dict(r=2, lora_alpha=3, use_dora=True, target_modules=["attn2.to_q", "attn1.to_out.0", "conv1", "proj_in"]),
    "patterns": dict(
        r=2, lora_alpha=3, use_rslora=True, target_modules=["to_q", "to_v", "conv2"],
        rank_pattern={"attn2.to_q": 4}, alpha_pattern={"attn2.to_q": 5, f"^{LAYER}.attn1.to_v": 1},
    ),
    "bias": dict(r=2, lora_alpha=3, lora_bias=True, target_modules=["attn1.to_out.0", "time_emb_proj", "conv1"]),
}


def load(out: Path):
    return StableDiffusionPipeline.from_pretrained(out / "sd15", safety_checker=None, torch_dtype=torch.float32)


def train(model, seed):
    """Values that matter in place of zeros; lengths stay near those of the weight's rows. All are rounded to f16."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if "lora_" not in name:
            continue
        values = torch.randn(weight.shape, generator=generator)
        if "magnitude" in name:
            values = weight * (1 + 0.2 * values)
        elif name.endswith("bias"):
            values *= 0.2
        else:
            values /= weight[0].numel() ** 0.5
        weight.copy_(values.half().float())


def build(out: Path):
    folder = out / "adapters"
    folder.mkdir(exist_ok=True)
    z, context = noise(1, 2, 4, 8, 8), noise(2, 2, 77, 32)
    tensors = {}
    for i, (name, settings) in enumerate(KINDS.items()):
        pipe = load(out)
        config = LoraConfig(**settings)
        pipe.unet.add_adapter(config)
        train(pipe.unet, 80 + i)
        layers = {k: v.half() for k, v in get_peft_model_state_dict(pipe.unet).items()}
        StableDiffusionPipeline.save_lora_weights(
            folder, unet_lora_layers=layers, unet_lora_adapter_metadata=pipe.unet.peft_config["default"].to_dict(),
            weight_name=f"{name}.safetensors",
        )
        other = load(out)
        other.load_lora_weights(folder, weight_name=f"{name}.safetensors")
        other.fuse_lora(components=["unet"], lora_scale=SCALE)
        tensors[name] = other.unet(z, 801, encoder_hidden_states=context).sample
    write(out, "adapters", tensors)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        build(OUT)
