"""Copies the splits that training and measuring need, as small as they can be used: 80 px WebP. One tar file.

  python pack.py --data DATA --out pocket-data.tar
"""
import argparse
import io
import pathlib
import tarfile

from PIL import Image

from corpora import BY_DOMAIN, FLAT, NAMES
from data import STORE


def small(file):
    """The image of a file as WebP bytes, STORE pixels high and wide."""
    out = io.BytesIO()
    Image.open(file).convert("RGB").resize((STORE, STORE), Image.LANCZOS).save(out, "WEBP", quality=85, method=4)
    return out.getvalue()


def main(args=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args(args)
    root, splits = pathlib.Path(a.data), ("public", "private", "test")
    with tarfile.open(a.out, "w") as tar:
        def add(name, content):
            entry = tarfile.TarInfo(str(name))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for split in splits:
            for pattern in [f"{corpus}/{split}/*/*.*" for corpus in FLAT] + [f"{corpus}/{split}/*/*/*.*" for corpus in BY_DOMAIN]:
                for file in sorted(root.glob(pattern)):
                    add(file.relative_to(root).with_suffix(".webp"), small(file))
            table = root / "emoji" / f"{split}.parquet"
            if table.exists():
                add(table.relative_to(root), table.read_bytes())
        if (root / NAMES).exists():
            add(NAMES, (root / NAMES).read_bytes())
    print(f"{a.out}: {pathlib.Path(a.out).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
