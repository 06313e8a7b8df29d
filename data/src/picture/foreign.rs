//! Content that is not read, by name, with what to do.

/// First bytes of a kind, its name, and the way to a picture that is read.
const KINDS: &[(&[u8], &str, &str)] = &[
    (
        b"\0\0\0\x0cJXL \r\n\x87\n",
        "JPEG XL",
        "convert it with `djxl IN OUT.png`",
    ),
    (b"\xff\x0a", "JPEG XL", "convert it with `djxl IN OUT.png`"),
    (
        b"\0\0\0\x0cjP  \r\n\x87\n",
        "JPEG 2000",
        "convert it with `opj_decompress -i IN -o OUT.png`",
    ),
    (
        b"\xff\x4f\xff\x51",
        "JPEG 2000",
        "convert it with `opj_decompress -i IN -o OUT.png`",
    ),
    (b"FUJIFILMCCD-RAW", "camera raw", RAW),
    (b"IIRO", "camera raw", RAW),
    (b"IIU\0", "camera raw", RAW),
    (b"FOVb", "camera raw", RAW),
    (b"8BPS", "a Photoshop document", PNG),
    (b"gimp xcf", "a GIMP document", PNG),
    (b"\0\0\x01\0", "an icon", PNG),
    (
        b"\x76\x2f\x31\x01",
        "OpenEXR",
        "map its tones to 0-255 and save an 8-bit PNG",
    ),
    (
        b"#?RADIANCE",
        "Radiance HDR",
        "map its tones to 0-255 and save an 8-bit PNG",
    ),
    (b"qoif", "QOI", PNG),
    (b"DDS ", "DDS", PNG),
    (b"P1", "PNM", PNG),
    (b"P2", "PNM", PNG),
    (b"P3", "PNM", PNG),
    (b"P4", "PNM", PNG),
    (b"P5", "PNM", PNG),
    (b"P6", "PNM", PNG),
    (
        b"%PDF",
        "PDF",
        "make pictures of its pages with `pdftoppm -png IN OUT`",
    ),
    (
        b"%!PS",
        "PostScript",
        "make a picture of it with `gs -sDEVICE=png16m -o OUT.png IN`",
    ),
    (
        b"\xc5\xd0\xd3\xc6",
        "PostScript",
        "make a picture of it with `gs -sDEVICE=png16m -o OUT.png IN`",
    ),
    (
        b"SIMPLE  =",
        "FITS",
        "scale its values to 0-255 and save an 8-bit PNG",
    ),
    (
        b"\x93NUMPY",
        "a NumPy array",
        "save each picture of it as a PNG",
    ),
    (b"\x89HDF", "HDF5", "save each picture of it as a PNG"),
    (
        b"ARROW1",
        "an Arrow file",
        "write it as Parquet: `datasets.load_from_disk(FOLDER).to_parquet(\"OUT.parquet\")`",
    ),
    (
        b"PAR1",
        "a Parquet file",
        "give its own path, or that of a folder of Parquet files alone",
    ),
    (b"PK\x03\x04", "a ZIP archive", "unpack it"),
    (b"\x1f\x8b", "a gzip file", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"\x1a\x45\xdf\xa3", "a video", VIDEO),
    (
        b"version https://git-lfs",
        "a Git LFS pointer",
        "fetch the picture with `git lfs pull`",
    ),
];

const PNG: &str = "save it as PNG";
const RAW: &str = "develop it to JPEG or PNG, for example with `darktable-cli IN OUT.jpg`";
const VIDEO: &str = "take pictures from it with `ffmpeg -i IN OUT%04d.png`";

/// Extensions of pictures that are not read, so that a folder of them counts as one of pictures and each is named.
pub(crate) const EXTENSIONS: &[&str] = &[
    "heic", "heif", "avif", "jxl", "jp2", "j2k", "svg", "cr2", "cr3", "nef", "arw", "dng", "orf",
    "raf", "rw2", "psd",
];

/// Bytes in which SVG and HTML are looked for.
const HEAD: usize = 1024;

/// Name and remedy of content that is known but not read.
pub(super) fn name(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if let Some(&(_, name, remedy)) = KINDS.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return Some((name, remedy));
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return Some(by_brand(bytes));
    }
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    let has = |text: &[u8]| {
        head.windows(text.len())
            .any(|w| w.eq_ignore_ascii_case(text))
    };
    if has(b"<svg") {
        return Some((
            "SVG",
            "make a picture of it with `rsvg-convert IN -o OUT.png`",
        ));
    }
    if has(b"<!doctype html") || has(b"<html") {
        return Some((
            "a web page, perhaps an error that was saved as a picture",
            "download the picture again",
        ));
    }
    None
}

/// The ISO base media family (ISO/IEC 14496-12), told apart by major and compatible brands.
fn by_brand(bytes: &[u8]) -> (&'static str, &'static str) {
    let length = bytes
        .first_chunk::<4>()
        .map_or(0, |length| u32::from_be_bytes(*length) as usize)
        .clamp(12, 256);
    let brands = bytes.get(8..length.min(bytes.len())).unwrap_or_default();
    let has = |names: &[&[u8; 4]]| {
        let mut brands = brands.as_chunks::<4>().0.iter();
        brands.any(|brand| names.contains(&brand))
    };
    if has(&[b"avif", b"avis"]) {
        ("AVIF", "convert it with `avifdec IN OUT.png`")
    } else if has(&[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1",
    ]) {
        (
            "HEIC",
            "convert it with `heif-convert IN OUT.jpg`, or export it as JPEG",
        )
    } else if has(&[b"crx "]) {
        ("camera raw", RAW)
    } else {
        ("a video", VIDEO)
    }
}
