"""What the three generators are trained on, and the shapes they get on a GPU and on a CPU."""
from dataclasses import dataclass, field

DRAWN = ("art_painting", "cartoon", "sketch")
OFFICE = ("amazon", "caltech10", "dslr", "webcam")
EMOJI = ("noto", "blob", "twemoji", "emojione", "fluent", "flat", "contrast")


@dataclass(frozen=True, eq=False)
class Recipe:
    """How often an image of each corpus is drawn, which domains are kept, and where the network's shape differs from SHAPES."""
    mix: dict
    domains: frozenset
    shape: dict = field(default_factory=dict)

    def keeps(self, corpus, domain):
        return corpus in self.mix and domain in self.domains


ALL = {"imagenette": 0.26, "pacs": 0.26, "emoji": 0.18, "tinynet200": 0.16, "tinynet10": 0.08, "office_caltech10": 0.06}
EVERY_DOMAIN = frozenset(("photo",) + DRAWN + EMOJI + OFFICE)

RECIPES = {
    "all": Recipe(ALL, EVERY_DOMAIN),
    "photo": Recipe({"imagenette": 0.45, "pacs": 0.12, "tinynet200": 0.24, "tinynet10": 0.12, "office_caltech10": 0.07}, frozenset(("photo",) + OFFICE)),
    "draw": Recipe({"pacs": 0.55, "emoji": 0.45}, frozenset(DRAWN + EMOJI)),
    "tiny": Recipe(ALL, EVERY_DOMAIN, dict(d=160, depth=4, heads=5, text_width=96, text_heads=3)),
}

# GPU: 10.4 M parameters (20.8 MB as f16), 1.2 GFLOP per network call. CPU: 9.3 M (18.6 MB), 0.3 GFLOP.
SHAPES = {
    "cuda": dict(size=64, patch=8, d=320, depth=7, heads=5),
    "cpu": dict(size=32, patch=8, d=384, depth=4, heads=6),
}
