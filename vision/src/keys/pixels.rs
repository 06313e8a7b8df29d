//! Keys of `preprocessor_config.json` and `processor_config.json`.

use super::Handling::{Harmless, Only, Read};
use super::Idle::Flag;
use super::Part::{Pixels, Processor};
use super::{Row, row};

pub(super) const PIXEL_KEYS: &[Row] = &[
    row(
        &[Pixels],
        Read,
        &[
            "image_processor_type",
            "feature_extractor_type",
            "do_resize",
            "size",
            "default_to_square",
            "resample",
            "do_center_crop",
            "crop_size",
            "do_rescale",
            "rescale_factor",
            "do_normalize",
            "image_mean",
            "image_std",
        ],
    ),
    // Pictures come as RGB, with what is transparent on white as transformers puts it, and one at a time: without `pad_size`
    // nothing is padded.
    row(
        &[Pixels],
        Harmless,
        &[
            "auto_map",
            "data_format",
            "device",
            "disable_grouping",
            "do_convert_rgb",
            "do_pad",
            "image_seq_length",
            "input_data_format",
            "processor_class",
            "return_tensors",
        ],
    ),
    row(&[Pixels], Only(&[]), &["pad_size"]),
    row(&[Pixels], Only(&[Flag(false)]), &["use_square_size"]),
    row(&[Processor], Read, &["image_processor"]),
    row(&[Processor], Harmless, &["auto_map", "processor_class"]),
];
