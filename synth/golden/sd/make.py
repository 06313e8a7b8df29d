"""Makes the tiny Stable Diffusion checkpoints of the tests, and what diffusers and transformers compute with them.

  pip install -r synth/golden/sd/requirements.txt
  python synth/golden/sd/make.py

Writes synth/tests/golden/sd/: a diffusers folder for every family, and `<family>.safetensors` with the numbers (f32), computed
from the f16 weights of the folder.
"""

import shutil
from pathlib import Path

import diffusers
import torch
import transformers

import adapters
import families
import lora
import reference
import settings

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "sd"
WRITTEN = ["sd15", "sd21", "turbo", "lcm", "sdxl", "sharded", "taesd", "lora", "adapters", "tokenizer_json"]


def main():
    torch.set_num_threads(1)
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    for name in WRITTEN:
        shutil.rmtree(OUT / name, ignore_errors=True)
    families.build(OUT)
    with torch.no_grad():
        reference.sd(OUT, "sd15", size=(8, 8), steps=4, base=None, odd=True)
        reference.sd(OUT, "sd21", size=(8, 16), steps=4, base="base.json")
        reference.sd(OUT, "turbo", size=(16, 8), steps=2, base=None)
        reference.lcm(OUT, "lcm", size=(8, 8), steps=4)
        reference.xl(OUT, "sdxl", size=(12, 8), steps=4, turbo="turbo.json")
        reference.taesd(OUT)
        lora.build(OUT)
        adapters.build(OUT)
        settings.build(OUT)
    size = sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file())
    print(f"{size / 1e6:.2f} MB in {OUT}")


if __name__ == "__main__":
    main()
