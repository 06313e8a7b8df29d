"""The pictures of a model card: samples of known prompts, and the loss curve."""
import json

import numpy as np
import torch
from PIL import Image, ImageDraw

from captions import DOMAIN_PHRASES, EMOJI_STYLES, OFFICE
from corpora import WNID
from data import encode
from pocket import sample

PACS = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
OFFICE_CLASSES = ("backpack", "bike", "laptop", "mug")
EMOJI = ("mammal", "vehicle", "smiley face", "fruit")


def prompts(recipe):
    """-> up to twenty-four prompts over the domains that a recipe keeps."""
    out = [f"a photo of a {c}" for c in list(WNID.values())[::4]] if recipe.keeps("imagenette", "photo") else []
    for corpus, classes, known in (("pacs", PACS, ("photo", "sketch", "cartoon", "art_painting")), ("emoji", EMOJI, EMOJI_STYLES), ("office_caltech10", OFFICE_CLASSES, OFFICE)):
        domains = [d for d in known if recipe.keeps(corpus, d)]
        out += [DOMAIN_PHRASES[d][0].format(c=classes[i % len(classes)]) for i, d in enumerate(domains * (2 if corpus == "pacs" else 1))]
    return out


def grid(net, tok, recipe, sampler, file, dev, columns=10):
    """Draws a row of samples per prompt, 96 px each; -> the prompts."""
    size, rows, texts = net.cfg["size"], [], prompts(recipe)
    for text in texts:
        noise = torch.stack([torch.randn(3, size, size, generator=torch.Generator().manual_seed(i)) for i in range(columns)]).to(dev)
        images = sample(net, encode(tok, [text] * columns).to(dev), encode(tok, [""] * columns).to(dev), noise, **sampler)
        rows.append(np.concatenate(list(((images.cpu() + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()), 1))
    sheet = Image.fromarray(np.concatenate(rows, 0))
    sheet.resize((columns * 96, len(rows) * 96), Image.NEAREST).save(file)
    return texts


def curve(log, file, width=640, height=320):
    """Draws the training loss of a log.jsonl over steps, both axes labelled at their ends; the first twentieth may leave the top."""
    lines = [json.loads(line) for line in open(log)]
    x, y = [l["step"] for l in lines], [l["loss"] for l in lines]
    low, high = min(y), max(y[len(y) // 20:])
    high = high if high > low else low + 1e-6
    left, top, right, bottom = 60, 10, width - 10, height - 30
    at = lambda i: (left + (right - left) * (x[i] - x[0]) / max(1, x[-1] - x[0]), bottom - (bottom - top) * (min(y[i], high) - low) / (high - low))
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((left, top, right, bottom), outline="gray")
    draw.line([at(i) for i in range(len(x))], fill=(30, 90, 180), width=2)
    draw.text((4, top), f"{high:.3f}", fill="black")
    draw.text((4, bottom - 12), f"{low:.3f}", fill="black")
    draw.text((left, bottom + 8), f"step {x[0]}", fill="black")
    draw.text((right - 80, bottom + 8), f"step {x[-1]}", fill="black")
    draw.text((width // 2 - 40, bottom + 8), "training loss", fill="black")
    image.save(file)
