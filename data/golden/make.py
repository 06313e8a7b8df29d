"""Writes tests/golden/: pictures by Pillow, and what Pillow makes of the good ones. Needs pillow 11 or later, numpy, pyarrow.

    python golden/make.py
"""
import io, json, pathlib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

OUT = pathlib.Path(__file__).parent.parent / "tests" / "golden"
OUT.mkdir(parents=True, exist_ok=True)
W, H = 23, 17
rng = np.random.default_rng(0)
y, x = np.mgrid[0:H, 0:W]
smooth = np.stack([x * 11, y * 15, 255 - x * 5 - y * 5], -1).astype(np.uint8)
alpha = np.concatenate([smooth, ((x + y) * 6).astype(np.uint8)[..., None]], -1)
rgb, rgba, grey = Image.fromarray(smooth), Image.fromarray(alpha), Image.fromarray(smooth[..., 0])
palette = rgb.quantize(16)

# good: decoded pixels must equal Pillow's convert("RGB") (JPEG and lossy WebP: nearly)
good = {
    "rgb.png": (rgb, {}), "rgba.png": (rgba, {}), "grey.png": (grey, {}), "grey_alpha.png": (rgba.convert("LA"), {}),
    "palette.png": (palette, {}), "palette_transparent.png": (palette, {"transparency": 3}),
    "bilevel.png": (grey.convert("1"), {}), "palette.gif": (palette, {}), "palette_transparent.gif": (palette, {"transparency": 3}),
    "rgb.bmp": (rgb, {}), "rgb.tiff": (rgb, {"compression": "tiff_lzw"}), "rgba.webp": (rgba, {"lossless": True, "exact": True}),
    "rgb.jpg": (rgb, {"quality": 90, "subsampling": 0}), "subsampled.jpg": (rgb, {"quality": 90, "subsampling": 2}),
    "grey.jpg": (grey, {"quality": 90}), "progressive.jpg": (rgb, {"quality": 90, "progressive": True}),
}
for name, (image, options) in good.items():
    image.save(OUT / name, **options)
    np.asarray(Image.open(OUT / name).convert("RGB")).tofile(OUT / f"{name}.rgb")
exif = Image.Exif(); exif[0x0112] = 6
rgb.save(OUT / "rotated_by_exif.jpg", quality=90, exif=exif)
np.asarray(Image.open(OUT / "rotated_by_exif.jpg").convert("RGB")).tofile(OUT / "rotated_by_exif.jpg.rgb")

# the largest centred square, resized: 23x17 -> 17x17 -> 8x8 and 40x40
for size in (8, 40):
    square = rgb.crop((3, 0, 20, 17)).resize((size, size), Image.LANCZOS)
    np.asarray(square).tofile(OUT / f"rgb.png.{size}.rgb")

# unfit
rgb.convert("CMYK").save(OUT / "unfit_cmyk.jpg")
rgb.convert("CMYK").save(OUT / "unfit_cmyk.tiff")
deep = Image.fromarray((x * 2000 + y).astype(np.uint16))
deep.save(OUT / "unfit_16bit.png"); deep.save(OUT / "unfit_16bit.tiff")
frames = [rgb, rgb.transpose(Image.FLIP_LEFT_RIGHT)]
for name in ("gif", "webp", "png", "tiff"):
    frames[0].save(OUT / f"unfit_animated.{name}", save_all=True, append_images=frames[1:])

# Parquet by pyarrow, as the hub writes it
def png(shade):
    data = io.BytesIO(); Image.new("RGB", (4, 4), (shade, 0, 0)).save(data, "PNG"); return data.getvalue()
features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog", "owl"], "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
for shard, rows in enumerate(([0, 1, 2, 3, 4], [5, 6, 7])):
    table = pa.table({
        "image": pa.array([{"bytes": png(i), "path": f"{i}.png"} for i in rows], pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "label": pa.array([i % 2 for i in rows], pa.int64()),
        "text": pa.array([None if i == 2 else f"picture {i}" for i in rows], pa.string()),
    }).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    (OUT / "hub").mkdir(exist_ok=True)
    pq.write_table(table, OUT / "hub" / f"train-{shard:05}-of-00002.parquet", row_group_size=2, compression="snappy")
