"""What transformers makes of the settings in the folders of CLIP and BLIP models: pixels, token ids, captions, names of settings.

  pip install -r vision/golden/requirements.txt
  python vision/golden/folders.py        # after make.py, whose models it uses

Writes vision/tests/golden/folders/: pictures, `pixels.json` (settings) with `pixels.safetensors` (f32), `vocab.json` with
`merges.txt` and `tokens.json`, `captions.json`, and `keys.json`.
"""

import json
import shutil
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers import BlipConfig, BlipForConditionalGeneration, CLIPConfig, CLIPTokenizer, GenerationConfig, PreTrainedConfig
from transformers.models.blip.configuration_blip import BlipTextConfig, BlipVisionConfig
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.configuration_clip import CLIPTextConfig, CLIPVisionConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.processing_utils import ImagesKwargs

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"
OUT = GOLDEN / "folders"
SIDE = 16
SQUARE = {"height": SIDE, "width": SIDE}
CLIP = {"size": {"shortest_edge": SIDE}, "crop_size": SQUARE}
PROCESSORS = {"clip": CLIPImageProcessorPil, "blip": BlipImageProcessorPil}

# Settings of an image processor, each applied to the picture `odd`.
SETTINGS = [
    ("clip", {"size": SIDE, "crop_size": SIDE}),
    ("clip", {"size": 20, "crop_size": SIDE}),
    ("clip", {"size": SIDE, "crop_size": SIDE, "default_to_square": True}),
    ("clip", {"size": {"height": 19, "width": 23}, "crop_size": [SIDE, SIDE]}),
    ("clip", {"size": {"shortest_edge": 15, "longest_edge": 18}, "crop_size": SQUARE}),
    ("clip", {"size": {"shortest_edge": 11, "longest_edge": 40}, "crop_size": SQUARE}),
    ("clip", {"size": 9, "crop_size": SIDE}),
    ("clip", {"do_resize": False, "crop_size": SIDE}),
    ("clip", {**CLIP, "do_normalize": False}),
    ("clip", {**CLIP, "do_rescale": False}),
    ("clip", {**CLIP, "do_rescale": False, "do_normalize": False}),
    ("clip", {**CLIP, "rescale_factor": 1 / 127.5, "image_mean": 1.0, "image_std": [0.5, 1.0, 2.0]}),
    ("clip", {**CLIP, "do_convert_rgb": False, "do_pad": True}),
    ("clip", {"size": SQUARE, "do_center_crop": False}),
    ("clip", {"size": SQUARE, "do_center_crop": None, "do_normalize": None}),
    ("clip", {"size": 20, "default_to_square": None, "crop_size": SIDE, "do_resize": None}),
    *[("clip", {**CLIP, "resample": filter}) for filter in range(6)],
    ("blip", {"size": SIDE}),
    ("blip", {"size": SQUARE, "resample": 2}),
    ("blip", {"size": SIDE, "default_to_square": False, "do_center_crop": True, "crop_size": SIDE}),
    ("blip", {"size": [SIDE, SIDE], "do_normalize": False}),
]

TEXTS = ["a photo of a church", "A pencil  sketch!", "", "it's 25 dogs, isn't it", "Caf\u00e9 \u732b\n\tsea", "the <|endoftext|> sea", "the " * 40]

# Where settings of generation are written, what they are, and the picture that is described.
CAPTIONS = [
    (None, {}, "odd"),
    (None, {}, "noise"),
    ("text_config", {"max_length": 20}, "noise"),
    ("text_config", {"max_length": 9}, "noise"),
    ("config", {"max_length": 12, "num_beams": 2}, "noise"),
    ("text_config", {"num_beams": 3}, "noise"),
    ("text_config", {"num_beams": 3}, "odd"),
    ("generation_config", {"max_new_tokens": 7}, "noise"),
    ("generation_config", {"max_new_tokens": 25, "max_length": 5}, "noise"),
    ("generation_config", {"min_length": 12}, "odd"),
    ("generation_config", {"min_new_tokens": 9, "min_length": 2}, "odd"),
    ("generation_config", {"no_repeat_ngram_size": 2}, "noise"),
    ("generation_config", {"no_repeat_ngram_size": 1}, "noise"),
    ("generation_config", {"repetition_penalty": 1.4}, "noise"),
    ("generation_config", {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "num_beams": 3, "max_new_tokens": 15}, "noise"),
    ("generation_config", {"num_beams": 3, "min_length": 8, "length_penalty": 2.0}, "odd"),
    ("generation_config", {"num_beams": 4, "length_penalty": -1.0}, "odd"),
    ("generation_config", {"num_beams": 4, "early_stopping": True}, "odd"),
    ("generation_config", {"num_beams": 4, "early_stopping": "never", "max_length": 14}, "odd"),
    ("generation_config", {"num_beams": 5, "early_stopping": True, "length_penalty": 0.5}, "odd"),
    ("generation_config", {"num_beams": 3, "num_return_sequences": 2}, "odd"),
]


def pictures():
    """Small pictures of the kinds that PNG has, by name."""
    y, x = np.mgrid[0:37, 0:53]
    red = 127 + 120 * np.sin(x / 5) * np.cos(y / 7)
    green = 255 * ((x // 9 + y // 6) % 2)
    blue = x * 4 + y
    odd = np.stack([red, green, blue], -1).clip(0, 255).astype(np.uint8)
    alpha = ((x * 7 + y * 3) % 256).astype(np.uint8)
    odd = Image.fromarray(odd)
    grey = odd.convert("L")
    clear = odd.quantize(12)
    clear.info["transparency"] = 3
    noise = np.random.default_rng(5).integers(0, 256, (21, 17, 3), dtype=np.uint8)
    tall = odd.transpose(Image.Transpose.ROTATE_90).crop((0, 0, 13, 53))
    both = Image.merge("LA", [grey, Image.fromarray(alpha)])
    return {
        "odd": odd,
        "tall": tall,
        "noise": Image.fromarray(noise),
        "alpha": Image.merge("RGBA", [*odd.split(), Image.fromarray(alpha)]),
        "grey": grey,
        "grey_alpha": both,
        "palette": odd.quantize(12),
        "palette_clear": clear,
        "one_bit": grey.convert("1"),
        "tiny": odd.crop((3, 3, 4, 5)),
    }


def pixels(shown):
    cases = [("clip", CLIP, name) for name in shown] + [("blip", {"size": SIDE}, name) for name in ("tall", "alpha")]
    cases += [(kind, settings, "odd") for kind, settings in SETTINGS]
    told, values = [], {}
    for i, (kind, settings, name) in enumerate(cases):
        processor = PROCESSORS[kind](**settings)
        with Image.open(OUT / f"{name}.png") as image:
            values[str(i)] = processor(image, return_tensors="pt").pixel_values[0].float().contiguous()
        factor = processor.rescale_factor if processor.do_rescale else 1.0
        deviation = np.min(processor.image_std) if processor.do_normalize else 1.0
        told.append({"kind": kind, "picture": name, "settings": settings, "level": factor / deviation})
    (OUT / "pixels.json").write_text(json.dumps({"side": SIDE, "cases": told}, indent=1) + "\n")
    save_file(values, OUT / "pixels.safetensors")


def tokens():
    model = json.loads((GOLDEN / "clip" / "tokenizer.json").read_text())["model"]
    (OUT / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False) + "\n")
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (OUT / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("vocab.json", "merges.txt"):
            shutil.copy(OUT / name, folder)
        tokenizer = CLIPTokenizer.from_pretrained(folder)
    longest = json.loads((GOLDEN / "clip" / "config.json").read_text())["text_config"]["max_position_embeddings"]
    ids = [tokenizer(text, truncation=True, max_length=longest).input_ids for text in TEXTS]
    (OUT / "tokens.json").write_text(json.dumps([{"text": t, "ids": i} for t, i in zip(TEXTS, ids)], indent=1) + "\n")


def described(where, settings, image):
    """The ids of a caption by a copy of the model whose folder says `settings`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "blip"
        shutil.copytree(GOLDEN / "blip", folder)
        if where == "generation_config":
            (folder / "generation_config.json").write_text(json.dumps(settings))
        elif where:
            config = json.loads((folder / "config.json").read_text())
            (config if where == "config" else config[where]).update(settings)
            (folder / "config.json").write_text(json.dumps(config))
        model = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        pixels = BlipImageProcessorPil.from_pretrained(folder)(image, return_tensors="pt").pixel_values
        # 20 is the default, which old files write out. Alone, `generate` reads none of the settings: BLIP's decoder has its own.
        asked = model.generation_config
        asked.max_length = None if asked.max_length == 20 else asked.max_length
        ids = model.generate(pixels, generation_config=asked)[0, 1:].tolist()
        end = model.config.text_config.sep_token_id
        return ids[: ids.index(end)] if end in ids else ids


def captions(shown):
    told = []
    for where, settings, name in CAPTIONS:
        # Of the model's size, so that no filter's rounding decides between words.
        seen = shown[name].convert("RGB").resize((32, 32))
        seen.save(OUT / f"{name}_32.png", optimize=True)
        ids = described(where, settings, seen)
        print(where, settings, name, len(ids), ids)
        told.append({"where": where, "settings": settings, "picture": f"{name}_32", "ids": ids})
    (OUT / "captions.json").write_text(json.dumps(told) + "\n")


def keys():
    every = {field.name for field in fields(PreTrainedConfig)} | set(PreTrainedConfig().to_dict())
    of = lambda config: sorted(every | {field.name for field in fields(config)} | set(config().to_dict()))
    told = {
        "clip": of(CLIPConfig) + ["text_config_dict", "vision_config_dict"],
        "clip.text_config": of(CLIPTextConfig),
        "clip.vision_config": of(CLIPVisionConfig),
        "blip": of(BlipConfig),
        "blip.text_config": of(BlipTextConfig),
        "blip.vision_config": of(BlipVisionConfig),
        "generation": sorted(GenerationConfig().to_dict()),
        "pixels": sorted(ImagesKwargs.__annotations__) + ["image_processor_type", "processor_class", "use_square_size"],
    }
    (OUT / "keys.json").write_text(json.dumps(told, indent=1) + "\n")


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    OUT.mkdir(exist_ok=True)
    shown = pictures()
    for name, image in shown.items():
        image.save(OUT / f"{name}.png", optimize=True)
    pixels(shown)
    tokens()
    keys()
    with torch.no_grad():
        captions(shown)
    print(sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()) / 1e3, "kB")


if __name__ == "__main__":
    main()
