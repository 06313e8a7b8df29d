"""Writes tests/golden/dicom/: small DICOM files and what pydicom shows of them. Needs pydicom 3, pillow, numpy.

    python golden/dicom.py

Every text of their headers begins with MARKER, so that tests can see that none of it gets anywhere.
"""
import io, pathlib
import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_rescale, apply_windowing, convert_color_space
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless, generate_uid

OUT = pathlib.Path(__file__).parent.parent / "tests" / "golden" / "dicom"
OUT.mkdir(parents=True, exist_ok=True)
W, H = 23, 17
y, x = np.mgrid[0:H, 0:W]
colours = np.stack([x * 11, y * 15, 255 - x * 5 - y * 5], -1).astype(np.uint8)
counts = (x * 90 + y * 60).astype(np.uint16)

def dataset(name, syntax=ExplicitVRLittleEndian, **elements):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])
    ds = FileDataset(name, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID = "MARKER^PATIENT", "MARKER-ID"
    ds.StudyDescription = ds.SeriesDescription = ds.ImageComments = ds.InstitutionName = "MARKER text"
    ds.BodyPartExamined, ds.AccessionNumber, ds.OperatorsName = "MARKER", "MARKER", "MARKER^OPERATOR"
    # a picture inside the header, whose attributes are not those of the frame
    icon = FileDataset("icon", {})
    icon.Rows = icon.Columns = 1
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME1"
    icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation, icon.PixelData = 8, 8, 7, 0, b"\0\0"
    ds.IconImageSequence = [icon]
    ds.Rows, ds.Columns = H, W
    for key, value in elements.items():
        setattr(ds, key, value)
    return ds

def grey(bits, stored=None, signed=0, photometric="MONOCHROME2", **more):
    stored = stored or bits
    return dict(SamplesPerPixel=1, PhotometricInterpretation=photometric, BitsAllocated=bits, BitsStored=stored, HighBit=stored - 1,
                PixelRepresentation=signed, **more)

def colour(photometric="RGB", planar=0):
    return dict(SamplesPerPixel=3, PhotometricInterpretation=photometric, PlanarConfiguration=planar, BitsAllocated=8, BitsStored=8, HighBit=7,
                PixelRepresentation=0)

def even(data):
    return data + b"\0" * (len(data) % 2)

def save(name, ds, pixels, expected):
    ds.PixelData = pixels
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 or ds.file_meta.TransferSyntaxUID.is_compressed else "OW"
    ds.save_as(OUT / f"{name}.dcm", enforce_file_format=True)
    if expected is not None:
        np.asarray(expected, np.uint8).tofile(OUT / f"{name}.dcm.rgb")

def windowed(values, ds):
    """Through pydicom's rescale and window, over the range that it maps windows to."""
    out = apply_windowing(apply_rescale(values, ds), ds)
    lowest = -(2 ** (ds.BitsStored - 1)) if ds.PixelRepresentation else 0
    lowest, highest = (v * ds.get("RescaleSlope", 1) + ds.get("RescaleIntercept", 0) for v in (lowest, lowest + 2**ds.BitsStored - 1))
    shade = np.round((out - lowest) / (highest - lowest) * 255)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        shade = 255 - shade
    return shade[..., None].repeat(3, -1)

def stretched(values):
    return np.round((values - values.min()) / (values.max() - values.min()) * 255)[..., None].repeat(3, -1)

window = dict(WindowCenter=[900, 40], WindowWidth=[700, 400])
for name, syntax, options, values in (
    ("window", ExplicitVRLittleEndian, grey(16, 12, **window), counts),
    ("implicit", ImplicitVRLittleEndian, grey(16, 12, **window), counts),
    ("monochrome1", ExplicitVRLittleEndian, grey(16, 12, photometric="MONOCHROME1", **window), counts),
    ("rescaled", ExplicitVRLittleEndian, grey(16, 16, 1, WindowCenter=40, WindowWidth=400, RescaleSlope=2, RescaleIntercept=-1024), counts.astype(np.int16) - 700),
    ("sigmoid", ExplicitVRLittleEndian, grey(16, 12, VOILUTFunction="SIGMOID", **window), counts),
    ("exact", ExplicitVRLittleEndian, grey(16, 12, VOILUTFunction="LINEAR_EXACT", **window), counts),
):
    ds = dataset(name, syntax, **options)
    save(name, ds, even(values.tobytes()), windowed(values, ds))

save("no_window", dataset("no_window", **grey(16, 12)), even(counts.tobytes()), stretched(counts))
eight = colours[..., 0]
save("eight_bits", dataset("eight_bits", **grey(8)), even(eight.tobytes()), eight[..., None].repeat(3, -1))
save("rgb", dataset("rgb", **colour()), even(colours.tobytes()), colours)
save("planar", dataset("planar", **colour(planar=1)), even(colours.transpose(2, 0, 1).tobytes()), colours)
ybr = convert_color_space(colours, "RGB", "YBR_FULL")
save("ybr", dataset("ybr", **colour("YBR_FULL")), even(ybr.tobytes()), convert_color_space(ybr, "YBR_FULL", "RGB"))

ds = dataset("rle", **grey(16, 12, **window))
ds.PixelData = even(counts.tobytes()); ds["PixelData"].VR = "OW"
ds.compress(RLELossless, generate_instance_uid=False)
ds.save_as(OUT / "rle.dcm", enforce_file_format=True)
windowed(counts, ds).astype(np.uint8).tofile(OUT / "rle.dcm.rgb")
ds = dataset("rle_rgb", **colour())
ds.PixelData = even(colours.tobytes()); ds["PixelData"].VR = "OB"
ds.compress(RLELossless, generate_instance_uid=False)
ds.save_as(OUT / "rle_rgb.dcm", enforce_file_format=True)
colours.tofile(OUT / "rle_rgb.dcm.rgb")

def jpeg(image):
    data = io.BytesIO(); image.save(data, "JPEG", quality=95, subsampling=0); return data.getvalue()
picture = jpeg(Image.fromarray(eight))
save("jpeg_grey", dataset("jpeg_grey", JPEGBaseline8Bit, **grey(8)), encapsulate([picture]), np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")))
picture = jpeg(Image.fromarray(colours))
# in two fragments
save("jpeg", dataset("jpeg", JPEGBaseline8Bit, **colour("YBR_FULL")), encapsulate([picture], fragments_per_frame=2), np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")))

# unfit
save("unfit_frames", dataset("unfit_frames", NumberOfFrames=2, **grey(8)), even(eight.tobytes() * 2), None)
save("unfit_jpeg2000", dataset("unfit_jpeg2000", JPEG2000Lossless, **grey(8)), encapsulate([b"\xff\x4f\xff\x51" + bytes(60)]), None)
save("unfit_palette", dataset("unfit_palette", **grey(8, photometric="PALETTE COLOR")), even(eight.tobytes()), None)
report = dataset("unfit_report")
del report.Rows, report.Columns
report.save_as(OUT / "unfit_report.dcm", enforce_file_format=True)
