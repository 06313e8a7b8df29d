"""The words of a generator's training captions: `words.txt` beside its weights, one word a line, sorted.

  python words.py MODEL --data DATA --out assets/pocket/MODEL         MODEL is all, photo or draw

Words are runs of letters or digits in lower case; all other signs separate them. `promptfed` tells of prompts with others.
"""
import argparse
import pathlib
import re

from captions import CLASS_PHRASES, COLOURS, DOMAIN_PHRASES
from corpora import rows
from recipes import RECIPES

TEXT = " ".join(COLOURS) + " on background dark bright"
"""What captions.caption() adds to a phrase."""


def of(recipe, data):
    """-> the words, as a set"""
    texts = {TEXT}
    for _, _, domain, cls, name in rows(data, "public", recipe):
        texts |= {phrase.format(c=cls) for phrase in DOMAIN_PHRASES[domain] + CLASS_PHRASES} | {name or ""}
    return set(re.findall(r"[^\W_]+", " ".join(texts).lower()))


def write(recipe, data, to):
    (pathlib.Path(to) / "words.txt").write_text("".join(f"{word}\n" for word in sorted(of(recipe, data))), encoding="utf-8")


def main(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=list(RECIPES))
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args(args)
    write(RECIPES[a.model], a.data, a.out)


if __name__ == "__main__":
    main()
