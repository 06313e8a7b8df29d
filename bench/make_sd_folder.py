#!/usr/bin/env python3
"""Writes a Stable Diffusion folder of full size with random f16 weights: for measuring speed and memory without the trained ones.

    pip install -r synth/golden/sd/requirements.txt
    python bench/make_sd_folder.py --family sd15 --out sd15          # 2.1 GB
    python bench/make_sd_folder.py --family sdxl --out sdxl          # 6.9 GB
    promptfed synth --engine sd:sd15 --prompt "a photo of a church" --steps 5 --out images

Names and shapes of the tensors come from diffusers' and transformers' own classes, the settings are those that the families
ship. Tensors are drawn and written one by one. The tokenizer is the small one of the tests, filled up to CLIP's 49408 entries.
"""
import argparse
import json
import math
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "synth" / "golden" / "sd"))

import clip_tokenizer  # noqa: E402
import families  # noqa: E402

VOCABULARY = 49408
START, END = VOCABULARY - 2, VOCABULARY - 1

UNET = dict(
    act_fn="silu", center_input_sample=False, downsample_padding=1, flip_sin_to_cos=True, freq_shift=0, in_channels=4,
    layers_per_block=2, mid_block_scale_factor=1, norm_eps=1e-05, norm_num_groups=32, out_channels=4,
)
UNET_15 = dict(
    **UNET, attention_head_dim=8, block_out_channels=[320, 640, 1280, 1280], cross_attention_dim=768, sample_size=64,
    down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
)
UNET_XL = dict(
    **UNET, attention_head_dim=[5, 10, 20], block_out_channels=[320, 640, 1280], cross_attention_dim=2048,
    addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    sample_size=128, transformer_layers_per_block=[1, 2, 10], use_linear_projection=True,
    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
)
VAE_15 = dict(
    act_fn="silu", block_out_channels=[128, 256, 512, 512], in_channels=3, latent_channels=4, layers_per_block=2,
    norm_num_groups=32, out_channels=3, sample_size=512,
    down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
)
VAE_XL = {**VAE_15, "force_upcast": True, "sample_size": 1024, "scaling_factor": 0.13025}
CLIP_L = dict(
    vocab_size=VOCABULARY, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
    max_position_embeddings=77, hidden_act="quick_gelu", layer_norm_eps=1e-5, projection_dim=768, bos_token_id=0,
    eos_token_id=2, pad_token_id=1,
)
CLIP_BIG_G = {**CLIP_L, "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
              "hidden_act": "gelu", "projection_dim": 1280, "bos_token_id": START, "eos_token_id": END}


def draw(name, shape, generator):
    """Random weights that keep the size of what flows through them, as the trained ones do."""
    values = torch.randn(shape, generator=generator)
    if len(shape) >= 2:
        values *= 0.02 if "embedding.weight" in name else 1 / math.sqrt(values[0].numel())
    else:
        values = 0.1 * values + (1.0 if name.endswith("weight") else 0.0)
    return values.half()


def write(file: Path, shapes, generator):
    """Writes a safetensors file tensor by tensor."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            out.write(draw(name, shape, generator).numpy().tobytes())


def shapes(model):
    """Names and shapes of what a model's file holds; integer tables are computed, never stored."""
    return {name: tensor.shape for name, tensor in model.state_dict().items() if tensor.is_floating_point()}


def component(folder: Path, kind, config, file, generator):
    """Writes `config.json` and the weights of a UNet or an autoencoder."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        model = kind(**config)
    settings = {"_class_name": kind.__name__, "_diffusers_version": "0.42.1", **config}
    (folder / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    write(folder / file, shapes(model), generator)


def text_encoder(folder: Path, kind, config, generator):
    """Writes `config.json` and the weights of a text encoder."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = CLIPTextConfig(**config)
    with torch.device("meta"):
        model = kind(settings)
    settings.architectures = [kind.__name__]
    settings.save_pretrained(folder)
    named = {families.text_name(name): shape for name, shape in shapes(model).items()}
    write(folder / "model.safetensors", named, generator)


def tokenizer(folder: Path, pad_token):
    """Writes the tests' tokenizer with fillers, so that its last entries have the ids that CLIP's have."""
    clip_tokenizer.save(folder, pad_token)
    entries = list(json.loads((folder / "vocab.json").read_text()))
    used = entries[:-2]
    fillers = [f"<|filler{i}|>" for i in range(VOCABULARY - len(entries))]
    vocabulary = {entry: i for i, entry in enumerate(used + fillers + entries[-2:])}
    assert vocabulary[clip_tokenizer.START] == START and vocabulary[clip_tokenizer.END] == END
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=["sd15", "sdxl"], required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    xl, out = options.family == "sdxl", options.out
    generator = torch.Generator().manual_seed(options.seed)
    weights = "diffusion_pytorch_model.safetensors"
    tokenizer(out / "tokenizer", clip_tokenizer.END)
    text_encoder(out / "text_encoder", CLIPTextModel, CLIP_L, generator)
    if xl:
        tokenizer(out / "tokenizer_2", "!")
        text_encoder(out / "text_encoder_2", CLIPTextModelWithProjection, CLIP_BIG_G, generator)
    component(out / "unet", UNet2DConditionModel, UNET_XL if xl else UNET_15, weights, generator)
    component(out / "vae", AutoencoderKL, VAE_XL if xl else VAE_15, weights, generator)
    families.schedule(out, families.EULER if xl else families.PNDM)
    if xl:
        families.index(out, "StableDiffusionXLPipeline", xl=True, force_zeros_for_empty_prompt=True)
    else:
        families.index(out, "StableDiffusionPipeline")
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"{size / 1e9:.2f} GB in {out}")


if __name__ == "__main__":
    main()
