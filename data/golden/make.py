"""Writes tests/golden/: pictures by Pillow, and what Pillow shows of the good ones. Needs pillow 11 or later, numpy, pyarrow.

    python golden/make.py
"""
import io, json, pathlib, struct, zlib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageOps

OUT = pathlib.Path(__file__).parent.parent / "tests" / "golden"
OUT.mkdir(parents=True, exist_ok=True)
W, H = 23, 17
rng = np.random.default_rng(0)
y, x = np.mgrid[0:H, 0:W]
smooth = np.stack([x * 11, y * 15, 255 - x * 5 - y * 5], -1).astype(np.uint8)
alpha = np.concatenate([smooth, ((x + y) * 6).astype(np.uint8)[..., None]], -1)
rgb, rgba, grey = Image.fromarray(smooth), Image.fromarray(alpha), Image.fromarray(smooth[..., 0])
palette = rgb.quantize(16)

# good: decoded pixels must equal what Pillow shows (JPEG and lossy WebP: nearly)
def shown(file):
    image = Image.open(file)
    image.seek(0)
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I;16", "I;16B", "I"):
        return ((np.asarray(image).astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)[..., None].repeat(3, -1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.asarray(image.convert("RGB"))

good = {
    "rgb.png": (rgb, {}), "rgba.png": (rgba, {}), "grey.png": (grey, {}), "grey_alpha.png": (rgba.convert("LA"), {}),
    "palette.png": (palette, {}), "palette_transparent.png": (palette, {"transparency": 3}),
    "palette_translucent.png": (palette, {"transparency": bytes(range(0, 256, 16))}), "rgb_transparent.png": (rgb, {"transparency": (22, 0, 245)}),
    "bilevel.png": (grey.convert("1"), {}), "palette.gif": (palette, {}), "palette_transparent.gif": (palette, {"transparency": 3}),
    "rgb.bmp": (rgb, {}), "rgb.tiff": (rgb, {"compression": "tiff_lzw"}), "rgba.tiff": (rgba, {}), "rgba.webp": (rgba, {"lossless": True, "exact": True}),
    "rgb.jpg": (rgb, {"quality": 90, "subsampling": 0}), "subsampled.jpg": (rgb, {"quality": 90, "subsampling": 2}),
    "grey.jpg": (grey, {"quality": 90}), "progressive.jpg": (rgb, {"quality": 90, "progressive": True}),
    "cmyk.jpg": (rgb.convert("CMYK"), {"quality": 95}), "cmyk.tiff": (rgb.convert("CMYK"), {}),
    "profile.png": (rgb, {"icc_profile": bytes(200)}),
}
deep = Image.fromarray((x * 2900 + y).astype(np.uint16))
good |= {"deep.png": (deep, {}), "deep.tiff": (deep, {})}
# orientations 2 to 4 keep the shape, 5 to 8 lay the picture on its side
for orientation in range(2, 9):
    exif = Image.Exif(); exif[0x0112] = orientation
    good[f"{'flipped' if orientation < 5 else 'turned'}_{orientation}.png"] = (rgb, {"exif": exif})
    if orientation == 6:
        good |= {"turned.jpg": (rgb, {"quality": 90, "exif": exif}), "turned.webp": (rgb, {"lossless": True, "exif": exif})}
        good["turned.tiff"] = (rgb, {"exif": exif})
# animations: the first frame
frames = [rgb, rgb.transpose(Image.FLIP_LEFT_RIGHT)]
for name in ("gif", "webp", "png"):
    good[f"animated.{name}"] = (frames[0], {"save_all": True, "append_images": frames[1:], "lossless": True})
for name, (image, options) in good.items():
    image.save(OUT / name, **options)
    shown(OUT / name).tofile(OUT / f"{name}.rgb")

# YCCK, which Pillow reads but does not write: its three first components are inverted CMY as Y, Cb, Cr
ycc = np.asarray(rgb.convert("YCbCr"))
black = np.full((H, W, 1), 40, np.uint8)
# Pillow inverts what it writes; the byte after the flags of the Adobe marker says which components these are
Image.fromarray(255 - np.concatenate([ycc, 255 - black], -1), "CMYK").save(OUT / "ycck.jpg", quality=95)
data = bytearray((OUT / "ycck.jpg").read_bytes())
data[data.index(b"Adobe") + 11] = 2
(OUT / "ycck.jpg").write_bytes(data)
shown(OUT / "ycck.jpg").tofile(OUT / "ycck.jpg.rgb")

# 16-bit colours, which Pillow cannot write and reads with their lower halves cut off
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
wide = np.stack([x * 2900 + y, y * 3800 + x, 65535 - x * 1000 - y * 900, (x + y) * 1600], -1)
for name, kind, channels in (("deep_rgb.png", 2, 3), ("deep_rgba.png", 6, 4)):
    rows = b"".join(b"\0" + row.tobytes() for row in wide[..., :channels].astype(">u2"))
    header = struct.pack(">IIBBBBB", W, H, 16, kind, 0, 0, 0)
    (OUT / name).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    alpha = wide[..., 3:] if channels == 4 else 65535
    blended = (wide[..., :3] * alpha + 65535 * (65535 - alpha) + 32767) // 65535
    ((blended * 255 + 32767) // 65535).astype(np.uint8).tofile(OUT / f"{name}.rgb")

# squares of 8 and 40 pixels from 23x17: the largest centred square, the whole stretched, the whole between grey bars
for size in (8, 40):
    short = round(size * H / W)
    padded = Image.new("RGB", (size, size), (128, 128, 128))
    padded.paste(rgb.resize((size, short), Image.LANCZOS), (0, (size - short) // 2))
    squares = {
        "crop": rgb.crop((3, 0, 20, 17)).resize((size, size), Image.LANCZOS),
        "squash": rgb.resize((size, size), Image.LANCZOS),
        "pad": padded,
    }
    for fit, square in squares.items():
        np.asarray(square).tofile(OUT / f"rgb.png.{fit}.{size}.rgb")

# unfit
frames[0].save(OUT / "unfit_pages.tiff", save_all=True, append_images=frames[1:])
Image.fromarray(smooth[..., 0].astype(np.float32) / 255).save(OUT / "unfit_float.tiff")

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
