//! What columns are called in tables, lists and Parquet files, by what they hold; of several, the first counts.

/// The class.
pub(super) const LABEL: [&str; 8] = [
    "label",
    "labels",
    "fine_label",
    "class",
    "class_name",
    "label_name",
    "category",
    "target",
];

/// The caption.
pub(super) const CAPTION: [&str; 2] = ["caption", "text"];

/// The domain.
pub(super) const DOMAIN: [&str; 1] = ["domain"];

/// The split.
pub(super) const SPLIT: [&str; 3] = ["split", "subset", "partition"];
