"""One tiny checkpoint of random weights for every family of Stable Diffusion, with the settings that the family ships."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

import clip_tokenizer

CONTEXT = 32

TRAINED = {"beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000}
PNDM = {**TRAINED, "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "clip_sample": False,
        "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None}
DDIM_V = {**TRAINED, "_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", "clip_sample": False,
          "prediction_type": "v_prediction", "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
          "trained_betas": None}
PNDM_BASE = {**PNDM, "_diffusers_version": "0.10.0.dev0", "prediction_type": "epsilon"}
EULER = {**TRAINED, "_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.19.0.dev0", "clip_sample": False,
         "interpolation_type": "linear", "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False,
         "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "leading", "trained_betas": None,
         "use_karras_sigmas": False}
TURBO = {**EULER, "_diffusers_version": "0.24.0.dev0", "timestep_spacing": "trailing"}
XL_TURBO = {**TURBO, "_class_name": "EulerAncestralDiscreteScheduler"}
LCM = {**TRAINED, "_class_name": "LCMScheduler", "_diffusers_version": "0.22.0.dev0", "clip_sample": False,
       "clip_sample_range": 1.0, "dynamic_thresholding_ratio": 0.995, "original_inference_steps": 50,
       "prediction_type": "epsilon", "rescale_betas_zero_snr": False, "sample_max_value": 1.0, "set_alpha_to_one": True,
       "steps_offset": 1, "thresholding": False, "timestep_scaling": 10.0, "timestep_spacing": "leading",
       "trained_betas": None}

UNET_15 = dict(
    act_fn="silu", attention_head_dim=2, block_out_channels=[16, 32, 32, 32], center_input_sample=False,
    cross_attention_dim=CONTEXT, downsample_padding=1, flip_sin_to_cos=True, freq_shift=0, in_channels=4,
    down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], layers_per_block=1, mid_block_scale_factor=1,
    norm_eps=1e-05, norm_num_groups=8, out_channels=4, sample_size=8,
    up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
)
UNET_21 = {**UNET_15, "attention_head_dim": [1, 2], "block_out_channels": [32, 64], "norm_num_groups": 32,
           "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "dual_cross_attention": False,
           "num_class_embeds": None, "only_cross_attention": False, "sample_size": 16, "upcast_attention": True,
           "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "use_linear_projection": True}
UNET_TURBO = {**UNET_21, "block_out_channels": [16, 32], "norm_num_groups": 8, "upcast_attention": None}
UNET_LCM = {**UNET_15, "block_out_channels": [16, 32], "time_cond_proj_dim": 16, "sample_size": 16,
            "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]}
UNET_XL = {**UNET_21, "attention_head_dim": [1, 2, 4], "block_out_channels": [16, 16, 32], "norm_num_groups": 8,
           "cross_attention_dim": CONTEXT + 48, "addition_embed_type": "text_time", "addition_time_embed_dim": 8,
           "projection_class_embeddings_input_dim": 24 + 6 * 8, "transformer_layers_per_block": [1, 1, 2],
           "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], "upcast_attention": None,
           "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]}

VAE = dict(
    act_fn="silu", block_out_channels=[8, 16, 16, 16], in_channels=3, latent_channels=4, layers_per_block=1,
    norm_num_groups=4, out_channels=3, sample_size=64,
    down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
)
VAE_SMALL = {**VAE, "block_out_channels": [8, 16], "down_block_types": ["DownEncoderBlock2D"] * 2,
             "up_block_types": ["UpDecoderBlock2D"] * 2, "scaling_factor": 0.18215}
VAE_XL = {**VAE_SMALL, "scaling_factor": 0.13025, "force_upcast": True, "layers_per_block": 2}
TINY_VAE = dict(encoder_block_out_channels=[8, 8, 8, 8], decoder_block_out_channels=[8, 8, 8, 8],
                num_encoder_blocks=[1, 1, 1, 1], num_decoder_blocks=[2, 1, 1, 1])


def text_config(vocab, **changes):
    """The configuration of OpenAI's text encoder as Stable Diffusion 1.5 ships it, `eos_token_id` 2 included."""
    values = dict(
        vocab_size=vocab, hidden_size=CONTEXT, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=77, hidden_act="quick_gelu", layer_norm_eps=1e-5, projection_dim=16, bos_token_id=0,
        eos_token_id=2, pad_token_id=1,
    )
    return CLIPTextConfig(**{**values, **changes})


def randomise(model, seed):
    """Weights that keep the size of what flows through them, biases and scales that matter, all rounded to f16."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = torch.randn(weight.shape, generator=generator)
            if weight.ndim >= 2 and "embedding.weight" not in name:
                values /= weight[0].numel() ** 0.5
            elif "embedding.weight" in name:
                values *= 0.5
            else:
                values = 0.1 * values + (1.0 if name.endswith("weight") else 0.0)
            weight.copy_(values.half().float())
    return model.eval()


def save(model, folder: Path, keep=None, shard=None):
    """Saves a model in f16; `keep` names the configuration's keys that the family's own file has."""
    model.half().save_pretrained(folder, safe_serialization=True, **({"max_shard_size": shard} if shard else {}))
    model.float()
    if isinstance(model, (CLIPTextModel, CLIPTextModelWithProjection)):
        file = folder / "model.safetensors"
        save_file({text_name(k): v for k, v in load_file(file).items()}, file, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    if keep:
        config = {k: v for k, v in config.items() if k in keep or k.startswith("_class")}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def text_name(name):
    """The name of a text encoder's tensor in the families' own files, written before transformers dropped the prefix."""
    return name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}"


def index(folder: Path, pipeline, xl=False, **more):
    """Writes `model_index.json`."""
    parts = {
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    }
    if xl:
        parts["text_encoder_2"] = ["transformers", "CLIPTextModelWithProjection"]
        parts["tokenizer_2"] = ["transformers", "CLIPTokenizer"]
    else:
        parts["feature_extractor"] = [None, None]
        parts["safety_checker"] = [None, None]
    scheduler = json.loads((folder / "scheduler/scheduler_config.json").read_text())["_class_name"]
    parts["scheduler"] = ["diffusers", scheduler]
    contents = {"_class_name": pipeline, "_diffusers_version": "0.24.0", **parts, **more}
    (folder / "model_index.json").write_text(json.dumps(contents, indent=2, sort_keys=True) + "\n")


def schedule(folder: Path, config, name="scheduler_config.json"):
    """Writes the scheduler's configuration as the family ships it."""
    (folder / "scheduler").mkdir(parents=True, exist_ok=True)
    (folder / "scheduler" / name).write_text(json.dumps(config, indent=2) + "\n")


def sd(folder: Path, seed, scheduler, unet, vae, pad_token, **text):
    """A checkpoint with one text encoder."""
    vocab = clip_tokenizer.save(folder / "tokenizer", pad_token)
    schedule(folder, scheduler)
    encoder = randomise(CLIPTextModel(text_config(vocab, **text)), seed)
    save(encoder, folder / "text_encoder")
    save(randomise(UNet2DConditionModel(**unet), seed + 1), folder / "unet", keep=unet)
    save(randomise(AutoencoderKL(**vae), seed + 2), folder / "vae", keep=vae)


def xl(folder: Path, seed, scheduler):
    """A checkpoint with two text encoders and added conditions."""
    vocab = clip_tokenizer.save(folder / "tokenizer")
    clip_tokenizer.save(folder / "tokenizer_2", "!")
    schedule(folder, scheduler)
    save(randomise(CLIPTextModel(text_config(vocab)), seed), folder / "text_encoder")
    second = text_config(vocab, hidden_size=48, hidden_act="gelu", projection_dim=24, num_attention_heads=3,
                         bos_token_id=vocab - 2, eos_token_id=vocab - 1)
    save(randomise(CLIPTextModelWithProjection(second), seed + 3), folder / "text_encoder_2")
    save(randomise(UNet2DConditionModel(**UNET_XL), seed + 1), folder / "unet", keep=UNET_XL)
    save(randomise(AutoencoderKL(**VAE_XL), seed + 2), folder / "vae", keep=VAE_XL)


def build(out: Path):
    """Writes every checkpoint below `out`."""
    sd(out / "sd15", 10, PNDM, UNET_15, VAE, clip_tokenizer.END)
    index(out / "sd15", "StableDiffusionPipeline")
    gelu = dict(hidden_act="gelu", num_hidden_layers=2)
    sd(out / "sd21", 20, DDIM_V, UNET_21, VAE_SMALL, "!", **gelu)
    schedule(out / "sd21", PNDM_BASE, "base.json")
    index(out / "sd21", "StableDiffusionPipeline")
    sd(out / "turbo", 30, TURBO, UNET_TURBO, VAE_SMALL, "!", **gelu)
    index(out / "turbo", "StableDiffusionPipeline")
    sd(out / "lcm", 40, LCM, UNET_LCM, VAE_SMALL, clip_tokenizer.END)
    index(out / "lcm", "LatentConsistencyModelPipeline", requires_safety_checker=False)
    xl(out / "sdxl", 50, EULER)
    schedule(out / "sdxl", XL_TURBO, "turbo.json")
    index(out / "sdxl", "StableDiffusionXLPipeline", xl=True, force_zeros_for_empty_prompt=True)
    unet = UNet2DConditionModel.from_pretrained(out / "sd15/unet")
    save(unet, out / "sharded/unet", keep=UNET_15, shard="600KB")
    save(randomise(AutoencoderTiny(**TINY_VAE), 60), out / "taesd")
    CLIPTokenizer.from_pretrained(out / "sd21/tokenizer").save_pretrained(out / "tokenizer_json")
