"""LoRA adapters of the tiny SD 1.5 checkpoint, in the names of peft and of kohya."""

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

from families import text_name
from reference import noise, write

SCALE, RANK, ALPHA = 0.7, 4, 2.0
UNET_LAYERS = ["to_q", "to_k", "to_v", "conv1", "time_emb_proj", "proj_in", "linear_1"]
TEXT_LAYERS = ["q_proj", "v_proj", "fc1"]


def pairs(model, layers, seed):
    """Random low-rank pairs (down, up) for the layers whose names end in one of `layers`."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, module in model.named_modules():
        if name.split(".")[-1] not in layers and not name.endswith("to_out.0"):
            continue
        weight = module.weight
        down = torch.randn((RANK, *weight.shape[1:]), generator=generator) / weight[0].numel() ** 0.5
        up = torch.randn((weight.shape[0], RANK, *[1] * (weight.ndim - 2)), generator=generator) / RANK**0.5
        found[name] = (down.half(), up.half())
    return found


def merge(model, found, scale):
    """W + scale up down (Hu et al. 2022, section 4.1)."""
    for name, (down, up) in found.items():
        weight = model.get_submodule(name).weight
        weight += scale * (up.float().flatten(1) @ down.float().flatten(1)).reshape(weight.shape)


def build(out: Path):
    folder = out / "lora"
    folder.mkdir(exist_ok=True)
    load = lambda: StableDiffusionPipeline.from_pretrained(out / "sd15", safety_checker=None, torch_dtype=torch.float32)
    pipe = load()
    unet, text = pairs(pipe.unet, UNET_LAYERS, 70), pairs(pipe.text_encoder, TEXT_LAYERS, 71)
    peft, kohya = {}, {}
    for prefix, short, found in [("unet", "lora_unet", unet), ("text_encoder", "lora_te", text)]:
        for name, (down, up) in found.items():
            name = text_name(name) if prefix == "text_encoder" else name
            peft[f"{prefix}.{name}.lora_A.weight"] = down
            peft[f"{prefix}.{name}.lora_B.weight"] = up
            key = f"{short}_{name.replace('.', '_')}"
            kohya[f"{key}.lora_down.weight"] = down
            kohya[f"{key}.lora_up.weight"] = up
            kohya[f"{key}.alpha"] = torch.tensor(ALPHA).half()
    tensors = {}
    z, context = noise(1, 2, 4, 8, 8), noise(2, 2, 77, 32)
    for name, contents, scale in [("peft", peft, SCALE), ("kohya", kohya, SCALE * ALPHA / RANK)]:
        save_file(contents, folder / f"{name}.safetensors")
        pipe = load()
        merge(pipe.unet, unet, scale)
        merge(pipe.text_encoder, text, scale)
        tensors[f"{name}.unet"] = pipe.unet(z, 801, encoder_hidden_states=context).sample
        ids = pipe.tokenizer(["a photo of a church"], padding="max_length", return_tensors="pt").input_ids
        tensors[f"{name}.text"] = pipe.text_encoder(ids).last_hidden_state
        other = load()
        other.load_lora_weights({k: v for k, v in contents.items() if "unet" in k})
        other.fuse_lora(lora_scale=SCALE)
        torch.testing.assert_close(other.unet(z, 801, encoder_hidden_states=context).sample, tensors[f"{name}.unet"])
    write(out, "lora", tensors)
