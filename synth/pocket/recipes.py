"""What the three generators are trained on, and the shapes they get on a GPU and on a CPU."""
from dataclasses import dataclass

DRAWN = ("art_painting", "cartoon", "sketch")
EMOJI = ("noto", "blob", "twemoji", "emojione", "fluent", "flat", "contrast")


@dataclass(frozen=True, eq=False)
class Recipe:
    """How often an image of each corpus is drawn, and which domains are kept."""
    mix: dict
    domains: frozenset

    def keeps(self, corpus, domain):
        return corpus in self.mix and domain in self.domains


RECIPES = {
    "all": Recipe({"imagenette": 0.40, "pacs": 0.35, "emoji": 0.25}, frozenset(("photo",) + DRAWN + EMOJI)),
    "photo": Recipe({"imagenette": 0.80, "pacs": 0.20}, frozenset(("photo",))),
    "draw": Recipe({"pacs": 0.55, "emoji": 0.45}, frozenset(DRAWN + EMOJI)),
}

# GPU: 10.4 M parameters (20.8 MB as f16), 1.2 GFLOP per network call. CPU: 9.3 M (18.6 MB), 0.3 GFLOP.
SHAPES = {
    "cuda": dict(size=64, patch=8, d=320, depth=7, heads=5),
    "cpu": dict(size=32, patch=8, d=384, depth=4, heads=6),
}
