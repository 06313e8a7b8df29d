"""What diffusers and transformers compute with the tiny checkpoints."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import diffusers
import torch
from diffusers import (AutoencoderTiny, LatentConsistencyModelPipeline, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline,
                       StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline)
from diffusers.schedulers import scheduling_lcm as scheduling
from safetensors.torch import save_file

PROMPTS = [
    "a photo of a church",
    "",
    "A Café's   DOG!! 123 🙂, it's 35mm",
    "snow on the hills " * 40,
    "a <|endoftext|> b",
]
PROMPT, NEGATIVE = PROMPTS[0], "blurry, low quality"


def noise(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def write(out: Path, name, tensors):
    tensors = {k: v.detach().contiguous() for k, v in tensors.items()}
    save_file(tensors, out / f"{name}.safetensors")


def ids(tokenizer):
    padded = tokenizer(PROMPTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    return padded.input_ids.to(torch.int32)


def autoencoder(vae, size):
    """Mean of the latents of an image and the image of latents, both as the network gives them (unscaled)."""
    h, w = (s * 2 ** (len(vae.config.block_out_channels) - 1) for s in size)
    image = noise(3, 1, 3, h, w).clamp(-1, 1)
    latents = noise(4, 1, 4, *size)
    return {
        "vae.image": image,
        "vae.mean": vae.encode(image).latent_dist.mean,
        "vae.latents": latents,
        "vae.decoded": vae.decode(latents).sample,
    }


def images(pipe, latents, **settings):
    """[n, h, w, 3] in 0 to 1."""
    return torch.from_numpy(pipe(latents=latents.clone(), output_type="np", **settings).images)


def changed(kind, folder: Path, size, strength, steps):
    """An image changed by diffusers' image-to-image pipeline, with the image and the noise that it began with."""
    pipe = kind.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    h, w = (s * pipe.vae_scale_factor for s in size)
    start, drawn = noise(8, 1, 3, h, w).clamp(-1, 1), noise(9, 1, 4, *size)
    module = sys.modules[kind.__module__]
    original = module.randn_tensor
    module.randn_tensor = lambda shape, **kwargs: drawn
    # Given as latents: from pixels the pipeline would draw a sample of the latents' distribution and not its mean.
    latents = pipe.vae.encode(start).latent_dist.mean * pipe.vae.config.scaling_factor
    image = pipe(image=latents, prompt=PROMPT, negative_prompt=NEGATIVE, strength=strength, num_inference_steps=steps,
                 guidance_scale=5.0, output_type="np").images
    module.randn_tensor = original
    return {"changed.start": start, "changed.noise": drawn, "changed.image": torch.from_numpy(image)}


def with_scheduler(pipe, folder: Path, file):
    """The same weights with the scheduler of another family."""
    with tempfile.TemporaryDirectory() as other:
        shutil.copy(folder / "scheduler" / file, Path(other) / "scheduler_config.json")
        kind = json.loads((Path(other) / "scheduler_config.json").read_text())["_class_name"]
        pipe.scheduler = getattr(diffusers, kind).from_pretrained(other)
    return pipe


def common(pipe, size, extra=None):
    """Token ids, one call of the UNet at two timesteps for two images, the autoencoder."""
    context = pipe.unet.config.cross_attention_dim
    z, text = noise(1, 2, 4, *size), noise(2, 2, 77, context)
    calls = {
        f"unet.{t}": pipe.unet(z, t, encoder_hidden_states=text, **(extra or {})).sample for t in (1, 801)
    }
    return {"ids": ids(pipe.tokenizer), "unet.z": z, "unet.text": text, **calls, **autoencoder(pipe.vae, size)}


def corners(pipe):
    """Latents whose sides are odd on every level, and a decode in tiles."""
    z, text = noise(8, 1, 4, 9, 11), noise(2, 2, 77, pipe.unet.config.cross_attention_dim)[:1]
    odd = pipe.unet(z, 401, encoder_hidden_states=text).sample
    latents = noise(9, 1, 4, 14, 21)
    pipe.vae.enable_tiling()
    tiled = pipe.vae.decode(latents).sample
    pipe.vae.disable_tiling()
    return {"odd.z": z, "odd.unet": odd, "tiled.latents": latents, "tiled.decoded": tiled}


def sd(out: Path, name, size, steps, base, odd=False):
    pipe = StableDiffusionPipeline.from_pretrained(out / name, safety_checker=None, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    tensors = common(pipe, size) | (corners(pipe) if odd else {})
    tensors["text"] = pipe.text_encoder(tensors["ids"]).last_hidden_state
    z = noise(5, 1, 4, *size)
    factor = pipe.vae_scale_factor
    settings = dict(height=size[0] * factor, width=size[1] * factor, prompt=PROMPT, num_inference_steps=steps)
    tensors["latents"] = z
    tensors["image"] = images(pipe, z, guidance_scale=5.0, negative_prompt=NEGATIVE, **settings)
    tensors["image.unguided"] = images(pipe, z, guidance_scale=0.0, **settings)
    if base:
        pipe = with_scheduler(pipe, out / name, base)
        tensors["image.base"] = images(pipe, z, guidance_scale=5.0, negative_prompt=NEGATIVE, **settings)
    tensors |= changed(StableDiffusionImg2ImgPipeline, out / name, size, strength=0.6, steps=5)
    write(out, name, tensors)


def lcm(out: Path, name, size, steps):
    """A consistency model whose UNet is told the guidance scale; the noise of its steps is saved."""
    pipe = LatentConsistencyModelPipeline.from_pretrained(out / name, safety_checker=None, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    condition = pipe.get_guidance_scale_embedding(torch.tensor([4.0, 6.5]), pipe.unet.config.time_cond_proj_dim)
    tensors = common(pipe, size, {"timestep_cond": condition})
    tensors["text"] = pipe.text_encoder(tensors["ids"]).last_hidden_state
    z = noise(5, 1, 4, *size)
    drawn = []

    original = scheduling.randn_tensor

    def saved(shape, **kwargs):
        drawn.append(noise(100 + len(drawn), *shape))
        return drawn[-1]

    scheduling.randn_tensor = saved
    factor = pipe.vae_scale_factor
    tensors["latents"] = z
    tensors["image"] = images(pipe, z, height=size[0] * factor, width=size[1] * factor, prompt=PROMPT,
                              num_inference_steps=steps, guidance_scale=5.0)
    scheduling.randn_tensor = original
    tensors["step_noise"] = torch.cat(drawn)
    write(out, name, tensors)


def xl(out: Path, name, size, steps, turbo):
    pipe = StableDiffusionXLPipeline.from_pretrained(out / name, add_watermarker=False, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    added = {"text_embeds": noise(6, 2, 24), "time_ids": torch.tensor([[512.0, 384, 0, 16, 1024, 768]] * 2)}
    tensors = common(pipe, size, {"added_cond_kwargs": added})
    tensors |= {"unet.pooled": added["text_embeds"], "unet.time_ids": added["time_ids"]}
    tensors["ids_2"] = ids(pipe.tokenizer_2)
    text, _, pooled, _ = pipe.encode_prompt(PROMPTS, do_classifier_free_guidance=False)
    tensors |= {"text": text, "pooled": pooled}
    z = noise(5, 1, 4, *size)
    factor = pipe.vae_scale_factor
    settings = dict(height=size[0] * factor, width=size[1] * factor, prompt=PROMPT)
    tensors["latents"] = z
    guided = dict(num_inference_steps=steps, guidance_scale=5.0, **settings)
    tensors["image"] = images(pipe, z, negative_prompt=NEGATIVE, **guided)
    tensors["image.empty_negative"] = images(pipe, z, **guided)
    pipe = with_scheduler(pipe, out / name, turbo)
    tensors["image.turbo"] = images(pipe, z, num_inference_steps=1, guidance_scale=0.0, **settings)
    tensors |= changed(StableDiffusionXLImg2ImgPipeline, out / name, size, strength=0.6, steps=5)
    write(out, name, tensors)


def taesd(out: Path):
    vae = AutoencoderTiny.from_pretrained(out / "taesd")
    z = noise(7, 1, 4, 8, 8)
    write(out, "taesd", {"latents": z, "decoded": vae.decode(z).sample})
