"""Expected attributes of 420 images, computed with the generator's own rules.

    python client/golden/make.py FOUNDATION     # the folder with captions.py; needs numpy, pillow, pyarrow

Writes client/tests/golden/attributes.json:
- `colours`: over all 2^24 RGB values in the order r, g, b: how many have each colour, and an FNV-1a hash of all the indices;
- `emoji`: row number in assets/emoji/private.parquet -> caption, for 180 of the drawings (lossless PNG);
- `synthetic`: captions and mean luma of 240 images made by the integer formula below, which tests/support/mod.rs repeats.
"""
import io
import json
import pathlib
import sys

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, sys.argv[1])
from captions import COLOURS, attributes, colour_ids  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYNTHETIC = 240
EMOJI_STEP, EMOJI_COUNT = 5, 180


def mix(v):
    v = np.asarray(v, np.uint32)
    v = (v ^ (v >> 16)) * np.uint32(0x7FEB352D)
    v = (v ^ (v >> 15)) * np.uint32(0x846CA68B)
    return v ^ (v >> 16)


def synthetic(k):
    """Image number k: noise, tinted noise, gray frame, gradient, or two grays around a tone boundary."""
    with np.errstate(over="ignore"):
        w, h = 1 + int(mix(3 * k)) % 97, 1 + int(mix(3 * k + 1)) % 97
        y, x, c = (a.astype(np.uint32) for a in np.mgrid[0:h, 0:w, 0:3])
        noise = mix(np.uint32(k * 2654435761 & 0xFFFFFFFF) + (y * np.uint32(w) + x) * np.uint32(3) + c) & 255
        base = mix(np.uint32(8 * k) + c) & 255
        style = k % 5
        if style == 0:
            rgb = noise
        elif style == 1:
            rgb = (base * 7 + noise) // 8
        elif style == 2:
            frame = (y < h // 8) | (y >= h - h // 8) | (x < w // 8) | (x >= w - w // 8)
            rgb = np.where(frame, mix(8 * k + 7) & 255, (base * 15 + noise) // 16)
        elif style == 3:
            rgb = (base + x * (c + 1) + y * (3 - c)) & 255
        else:
            rgb = (76 if k % 2 else 178) + (x + y) % 2 + c * 0
    return rgb.astype(np.uint8)


def text(rgb):
    centre, border, tone = attributes(rgb)
    return f"{centre} on {border} background" + (f", {tone}" if tone else "")


def luma(rgb):
    return float((rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).mean() / 255.0)


def all_colours():
    counts, digest = np.zeros(len(COLOURS), np.int64), 0xCBF29CE484222325
    green_blue = np.stack(np.meshgrid(np.arange(256), np.arange(256), indexing="ij"), -1).reshape(-1, 2)
    for r in range(256):
        rgb = np.concatenate([np.full((65536, 1), r), green_blue], 1).astype(np.uint8)
        ids = colour_ids(rgb)
        counts += np.bincount(ids, minlength=len(COLOURS))
        for i in ids.tolist():
            digest = (digest ^ i) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return {"counts": dict(zip(COLOURS, counts.tolist())), "fnv1a": f"{digest:016x}"}


def main():
    rows = pq.read_table(ROOT / "assets/emoji/private.parquet")["image"].to_pylist()
    emoji = {}
    for row in range(0, EMOJI_STEP * EMOJI_COUNT, EMOJI_STEP):
        image = Image.open(io.BytesIO(rows[row]["bytes"]))
        assert image.mode == "RGB" and image.format == "PNG", (row, image.mode)
        emoji[row] = text(np.asarray(image))
    images = [synthetic(k) for k in range(SYNTHETIC)]
    made = [{"width": i.shape[1], "height": i.shape[0], "caption": text(i), "luma": luma(i)} for i in images]
    lines = ",\n".join(json.dumps(m) for m in made)
    out = ROOT / "client/tests/golden/attributes.json"
    out.write_text(
        '{\n"colours": %s,\n"emoji": %s,\n"synthetic": [\n%s\n]\n}\n'
        % (json.dumps(all_colours()), json.dumps(emoji, indent=0), lines))


main()
