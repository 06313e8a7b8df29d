"""Which images there are, and what they show; reads no pixels.

A data folder holds `imagenette/SPLIT/<wnid>/*`, `tinynet10/SPLIT/<wnid>/*`, `tinynet200/SPLIT/<wnid>/*` with `tinynet200/classes.tsv`,
`pacs/SPLIT/<domain>/<class>/*`, `office_caltech10/SPLIT/<domain>/<class>/*` and `emoji/SPLIT.parquet`, or some of them. Training reads the split `public` alone; `test` is
for measuring.
"""
import io
import json
import pathlib

WNID = {"n01440764": "tench", "n02102040": "english springer", "n02979186": "cassette player", "n03000684": "chain saw", "n03028079": "church",
        "n03394916": "french horn", "n03417042": "garbage truck", "n03425413": "gas pump", "n03445777": "golf ball", "n03888257": "parachute",
        "n02056570": "king penguin", "n02099601": "golden retriever", "n02129165": "lion", "n02206856": "bee", "n04146614": "school bus",
        "n07720875": "bell pepper", "n07747607": "orange", "n07749582": "lemon", "n07753592": "banana", "n07768694": "pomegranate"}

FLAT, BY_DOMAIN = ("imagenette", "tinynet10", "tinynet200"), ("pacs", "office_caltech10")
"""Corpora with a folder for each wnid, and for each class of each domain."""
NAMES = "tinynet200/classes.tsv"


def wnids(root):
    """-> the name of every wnid: ours, and the first of those in tinynet200/classes.tsv."""
    table = root / NAMES
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    pairs = (line.split("\t") for line in lines if line.strip())
    return {wnid: names.split(",")[0].strip().lower() for wnid, names in pairs} | WNID


def rows(root, split, recipe):
    """-> list of (file or bytes, corpus, domain, class, name or None), in a fixed order."""
    root = pathlib.Path(root)
    name = wnids(root)
    out = [(f, corpus, "photo", name[f.parent.name], None) for corpus in FLAT for f in sorted(root.glob(f"{corpus}/{split}/*/*.*"))]
    out += [(f, corpus, f.parents[1].name, f.parent.name, None) for corpus in BY_DOMAIN for f in sorted(root.glob(f"{corpus}/{split}/*/*/*.*"))]
    table = root / "emoji" / f"{split}.parquet"
    if table.exists():
        import pyarrow.parquet as pq
        t = pq.read_table(table)
        names = json.loads(t.schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
        out += [(io.BytesIO(r["image"]["bytes"]), "emoji", r["domain"], names[r["label"]], r["caption"]) for r in t.to_pylist()]
    return [r for r in out if recipe.keeps(r[1], r[2])]
