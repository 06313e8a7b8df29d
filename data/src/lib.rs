//! Labelled images from what people have on disk: readers, bounded parallel decoding, splits and federated partitions.
//!
//! 1. [`open()`] finds out the layout of a path and lists its samples without reading any picture.
//! 2. [`decode()`] streams the pictures as RGB in order, on all cores, in bounded memory; unfit pictures are skipped
//!    and listed by [`SkipReason`], or end the run with [`DecodeOptions::strict`].
//! 3. [`load`] decodes into one array of squares, [`LabelledImages`], that keeps of each picture what a [`Fit`] says.
//! 4. [`partition()`] deals samples to clients, [`stratified_split`] holds some back for validation.
//!
//! ```no_run
//! # fn main() -> Result<(), promptfed_data::DataError> {
//! use promptfed_data::{DecodeOptions, Fit, OpenOptions, load, open};
//!
//! let dataset = open("pictures".as_ref(), &OpenOptions::default())?;
//! let (images, report) = load(&dataset, 64, Fit::Crop, &DecodeOptions::default())?;
//! println!("{} images of {} classes; {report}", images.len(), images.class_names.len());
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adjustment;
mod class_names;
mod dataset;
mod decode;
mod error;
mod fit;
mod folder;
mod folder_layout;
mod folder_names;
mod folder_splits;
mod foreign;
mod image_cache;
mod labelled_images;
mod listing;
mod open;
mod part;
mod partition;
mod picture;
mod readers;
mod resize;
mod same_pictures;
mod seed;
mod skip;
mod split;
mod split_names;
mod tree;
mod unlabelled;
mod warning;

pub use adjustment::Adjustment;
pub use dataset::{Dataset, ImageSource, NO_DOMAIN, Sample};
pub use decode::{
    DecodeLimits, DecodeOptions, DecodedImage, decode, decode_bytes, decode_map, read_encoded,
};
pub use error::DataError;
pub use fit::Fit;
pub use image_cache::{DecodedSet, ImageCache};
pub use labelled_images::{LabelledImages, load};
pub use open::{Layout, OpenOptions, open};
pub use part::{Meaning, Part};
pub use partition::{Partition, client_names, partition};
pub use promptfed_files::ErrorKind;
pub use resize::resize_square;
pub use same_pictures::same_pictures;
pub use skip::{DecodeReport, SkipReason, Skipped};
pub use split::stratified_split;
pub use unlabelled::open_unlabelled;
pub use warning::DatasetWarning;

/// What this crate's functions return.
pub type Result<T, E = DataError> = std::result::Result<T, E>;
