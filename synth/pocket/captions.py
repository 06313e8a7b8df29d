"""Captions for the training images: domain + class + colour attributes.

The attribute rules are simple and exact, so that a captioner in any language that follows them speaks the vocabulary
the generator was trained on.
"""
import random
import numpy as np

COLOURS = ["black", "white", "gray", "red", "orange", "brown", "yellow",
           "green", "blue", "purple", "pink"]

DOMAIN_PHRASES = {
    "photo": ["a photo of a {c}", "a photograph of a {c}", "{c}, real world image"],
    "sketch": ["a sketch of a {c}", "a pencil drawing of a {c}", "a black and white drawing of a {c}"],
    "cartoon": ["a cartoon of a {c}", "a {c}, cartoon style", "clip art of a {c}"],
    "art_painting": ["a painting of a {c}", "an art painting of a {c}", "an oil painting of a {c}"],
}
# Office-Caltech10's domains are said as the templates of the program say a domain that has no phrase of its own.
OFFICE = ["amazon", "caltech10", "dslr", "webcam"]
DOMAIN_PHRASES |= {d: [f"a {{c}}, {d}", f"a photo of a {{c}}, {d}", f"a {d} picture of a {{c}}"] for d in OFFICE}
EMOJI_STYLES = ["noto", "blob", "twemoji", "emojione", "fluent", "flat", "contrast"]
DOMAIN_PHRASES |= {s: [f"a {s} style emoji of a {{c}}", f"a {{c}}, {s} emoji", f"an emoji of a {{c}}, {s} style"] for s in EMOJI_STYLES}


CLASS_PHRASES = ["a {c}"]
"""Prompts of a class alone, which tell no domain."""
CLASS_ALONE = 0.15
"""Share of the captions that name the class alone."""


def colour_ids(rgb):
    """rgb: uint8 [..., 3] -> index into COLOURS for each pixel."""
    x = rgb.astype(np.float32) / 255.0
    r, g, b = x[..., 0], x[..., 1], x[..., 2]
    mx, mn = x.max(-1), x.min(-1)
    d = mx - mn
    s = np.where(mx > 0, d / np.maximum(mx, 1e-6), 0)
    dd = np.maximum(d, 1e-6)
    h = np.where(mx == r, ((g - b) / dd) % 6, np.where(mx == g, (b - r) / dd + 2, (r - g) / dd + 4)) * 60
    out = np.full(h.shape, COLOURS.index("red"), np.int64)
    out[(h >= 15) & (h < 45)] = COLOURS.index("orange")
    out[(h >= 15) & (h < 45) & (mx < 0.6)] = COLOURS.index("brown")
    out[(h >= 45) & (h < 70)] = COLOURS.index("yellow")
    out[(h >= 70) & (h < 165)] = COLOURS.index("green")
    out[(h >= 165) & (h < 255)] = COLOURS.index("blue")
    out[(h >= 255) & (h < 290)] = COLOURS.index("purple")
    out[(h >= 290) & (h < 345)] = COLOURS.index("pink")
    grey = s < 0.15
    out[grey] = COLOURS.index("gray")
    out[grey & (mx > 0.85)] = COLOURS.index("white")
    out[mx < 0.2] = COLOURS.index("black")
    return out


def attributes(rgb):
    """rgb: uint8 [H, W, 3] -> (centre colour, border colour, tone or None)."""
    h, w, _ = rgb.shape
    ids = colour_ids(rgb)
    cy, cx = h // 4, w // 4
    centre = ids[cy:h - cy, cx:w - cx].ravel()
    by, bx = h // 8, w // 8
    mask = np.ones((h, w), bool)
    mask[by:h - by, bx:w - bx] = False
    border = ids[mask]
    luma = (rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).mean() / 255.0
    tone = "dark" if luma < 0.3 else "bright" if luma > 0.7 else None
    top = lambda v: COLOURS[int(np.bincount(v, minlength=len(COLOURS)).argmax())]
    return top(centre), top(border), tone


def caption(domain, cls, attrs, rng: random.Random, drop=0.1, name=None):
    """A training caption; empty with probability `drop` (classifier-free guidance).

    `name` is a finer name of the object where the data has one (an emoji's own name)."""
    if rng.random() < drop:
        return ""
    phrases = CLASS_PHRASES if rng.random() < CLASS_ALONE else DOMAIN_PHRASES[domain]
    text = rng.choice(phrases).format(c=cls)
    centre, border, tone = attrs
    if name and rng.random() < 0.5:
        text += f", {name}"
    if rng.random() < 0.6:
        text += f", {centre} on {border} background"
    if tone and rng.random() < 0.5:
        text += f", {tone}"
    return text
