"""What diffusers computes where a configuration of the tiny checkpoints says something else.

  python synth/golden/sd/settings.py

Writes synth/tests/golden/sd/settings.safetensors alone; `make.py` writes it among the others.
"""

import json
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import load_file

from reference import NEGATIVE, PROMPT, images, noise, write

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "sd"

# timestep_post_act, time_embedding_act_fn
ACTIVATIONS = [("mish", None), (None, "relu"), ("gelu", "swish")]
MEAN, DEVIATION, FACTOR = [0.5, -0.25, 0.125, 1.0], [2.0, 1.0, 0.5, 1.5], 0.2605


def activations(out: Path):
    """The UNet of sd15 with activations behind the timestep's embedding."""
    config = json.loads((out / "sd15/unet/config.json").read_text())
    config = {k: v for k, v in config.items() if not k.startswith("_")}
    weights = load_file(out / "sd15/unet/diffusion_pytorch_model.safetensors")
    z, text = noise(1, 2, 4, 8, 8), noise(2, 2, 77, 32)
    tensors = {}
    for post, last in ACTIVATIONS:
        unet = UNet2DConditionModel(**config, timestep_post_act=post, time_embedding_act_fn=last).eval()
        unet.load_state_dict({k: v.float() for k, v in weights.items()})
        tensors[f"unet.{post}.{last}"] = unet(z, 801, encoder_hidden_states=text).sample
    return tensors


def statistics(out: Path):
    """An image of sdxl whose autoencoder names statistics of latents, which XL alone heeds, and a shift, which none does."""
    named = dict(latents_mean=MEAN, latents_std=DEVIATION, shift_factor=0.3)
    xl = StableDiffusionXLPipeline.from_pretrained(out / "sdxl", torch_dtype=torch.float32)
    xl.vae.register_to_config(**named, scaling_factor=FACTOR)
    image = guided(xl, (12, 8), negative_prompt=NEGATIVE)
    sd = StableDiffusionPipeline.from_pretrained(out / "sd15", safety_checker=None, torch_dtype=torch.float32)
    sd.vae.register_to_config(**named)
    plain = load_file(out / "sd15.safetensors")["image"]
    torch.testing.assert_close(guided(sd, (8, 8), negative_prompt=NEGATIVE), plain, atol=1e-4, rtol=0)
    return {"sdxl.statistics": image}


def guided(pipe, size, **prompts):
    """The image of `reference.py` of four steps."""
    pipe.set_progress_bar_config(disable=True)
    height, width = (side * pipe.vae_scale_factor for side in size)
    return images(pipe, noise(5, 1, 4, *size), height=height, width=width, prompt=PROMPT, num_inference_steps=4,
                  guidance_scale=5.0, **prompts)


def empty_text(out: Path):
    """An image of sdxl with an empty negative prompt, which is a text, where none at all is zeros."""
    pipe = StableDiffusionXLPipeline.from_pretrained(out / "sdxl", torch_dtype=torch.float32)
    return {"sdxl.empty_text": guided(pipe, (12, 8), negative_prompt="")}


def build(out: Path):
    write(out, "settings", {**activations(out), **statistics(out), **empty_text(out)})


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        build(OUT)
