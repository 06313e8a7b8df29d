"""Makes the golden numbers of the pocket engine's tests from the PyTorch definition.

  python synth/golden/make.py          # needs torch, numpy, tokenizers, safetensors

Writes synth/tests/golden/: pocket.json (prompts, ids, settings) and pocket.safetensors (f32 tensors).
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "pocket"))
from pocket import Pocket, sample  # noqa: E402

WEIGHTS = HERE.parents[1] / "assets" / "pocket" / "all"
OUT = HERE.parent / "tests" / "golden"

TEXTS = [
    "", " ", "a photo of a tench", "A Photo Of A TENCH", "a sketch of a horse, black on white background, bright",
    "an emoji of a smiley face, fluent style, grinning face", "low quality, low resolution", "tench, real world images, high resolution ",
    "caf\u00e9", "cafe\u0301", "\u4f60\u597d", "\U0001f600 emoji", "100 dogs; 2 cats: (and 'one' bird) & more.", "garbage-truck", "x" * 200,
    "a photo of a church " * 20, "<bos> a <eos> <pad>", "\tgolf\nball\r\n", "fluent style emoji of a mammal, brown on gray background, dark", "\u0130stanbul \u00df \u2126",
]
SAMPLES = [  # prompt, negative, steps, guidance, sampler, noise seed
    ("a fluent style emoji of a vehicle", "", 20, 2.5, "heun", 1),
    ("a photo of a church", "low quality, low resolution", 20, 2.5, "heun", 2),
    ("a noto style emoji of a smiley face", "", 20, 2.5, "heun", 3),
    ("a sketch of a guitar", "", 6, 1.0, "euler", 4),
    ("a cartoon of a dog", "", 5, 4.0, "euler", 5),
    ("a painting of a house", "", 1, 2.5, "heun", 6),
    ("a flat style emoji of a mammal", "", 8, 2.5, "ab2", 7),
    ("a photo of a golf ball", "", 4, 1.0, "ab2", 8),
]


@torch.no_grad()
def main():
    config = json.loads((WEIGHTS / "config.json").read_text())
    shape = {k: v for k, v in config.items() if k not in ("architecture", "prediction", "sampler", "train_steps")}
    net = Pocket(**shape).eval()
    net.load_state_dict({k: v.float() for k, v in load_file(str(WEIGHTS / "model.safetensors")).items()})
    tokenizer = Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))
    ids = lambda text: torch.tensor([tokenizer.encode(text).ids])
    size, sampler = config["size"], config["sampler"]
    noise = lambda seed: torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed))

    tensors = {}
    for i in (2, 0, 4):
        pooled, tokens = net.text(ids(TEXTS[i]))
        tensors[f"text.{i}.pooled"], tensors[f"text.{i}.tokens"] = pooled[0], tokens[0]
    call = {"text": 2, "t": 0.3}
    tensors["call.z"] = noise(0)[0]
    tensors["call.x"] = net.denoise(noise(0), torch.tensor([call["t"]]), net.text(ids(TEXTS[call["text"]])))[0]
    samples = []
    for i, (prompt, negative, steps, guidance, kind, seed) in enumerate(SAMPLES):
        settings = dict(steps=steps, guidance=guidance, kind=kind, interval=sampler["interval"], shift=sampler.get("shift", 1.0))
        image = sample(net, ids(prompt), ids(negative), noise(seed), **settings)
        tensors[f"sample.{i}.noise"], tensors[f"sample.{i}.image"] = noise(seed)[0], image[0]
        samples.append(dict(prompt=prompt, negative=negative, steps=steps, guidance=guidance, sampler=kind))

    OUT.mkdir(parents=True, exist_ok=True)
    save_file({k: np.ascontiguousarray(v.numpy().astype(np.float32)) for k, v in tensors.items()}, str(OUT / "pocket.safetensors"))
    texts = [dict(text=t, ids=tokenizer.encode(t).ids) for t in TEXTS]
    (OUT / "pocket.json").write_text(json.dumps(dict(texts=texts, encoded=[2, 0, 4], call=call, samples=samples), indent=1) + "\n")


if __name__ == "__main__":
    main()
