//! Folder names that hold pictures and mean nothing by themselves.

/// Names of folders that hold pictures of any class.
const CONTAINERS: [&str; 20] = [
    "image",
    "images",
    "img",
    "imgs",
    "jpg",
    "jpeg",
    "jpegimages",
    "png",
    "pictures",
    "pics",
    "photos",
    "data",
    "dataset",
    "datasets",
    "raw",
    "all",
    "files",
    "masks",
    "annotations",
    "labels",
];

/// Whether a folder of this name only holds pictures, and cannot name a class or domain.
pub(crate) fn is_container(name: &str) -> bool {
    CONTAINERS.iter().any(|c| name.eq_ignore_ascii_case(c))
}
