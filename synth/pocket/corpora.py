"""Which images there are, and what they show; reads no pixels.

A data folder holds `imagenette/SPLIT/<wnid>/*`, `pacs/SPLIT/<domain>/<class>/*` (JPEG or WebP) and `emoji/SPLIT.parquet`, or
some of them. Training reads the split `public` alone; `test` is for measuring.
"""
import io
import json
import pathlib

WNID = {"n01440764": "tench", "n02102040": "english springer", "n02979186": "cassette player", "n03000684": "chain saw", "n03028079": "church",
        "n03394916": "french horn", "n03417042": "garbage truck", "n03425413": "gas pump", "n03445777": "golf ball", "n03888257": "parachute"}


def rows(root, split, recipe):
    """-> list of (file or bytes, corpus, domain, class, name or None), in a fixed order."""
    root = pathlib.Path(root)
    out = [(f, "imagenette", "photo", WNID[f.parent.name], None) for f in sorted(root.glob(f"imagenette/{split}/*/*.*"))]
    out += [(f, "pacs", f.parents[1].name, f.parent.name, None) for f in sorted(root.glob(f"pacs/{split}/*/*/*.*"))]
    table = root / "emoji" / f"{split}.parquet"
    if table.exists():
        import pyarrow.parquet as pq
        t = pq.read_table(table)
        names = json.loads(t.schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
        out += [(io.BytesIO(r["image"]["bytes"]), "emoji", r["domain"], names[r["label"]], r["caption"]) for r in t.to_pylist()]
    return [r for r in out if recipe.keeps(r[1], r[2])]
