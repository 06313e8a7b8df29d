//! The settings of an image processor; what a file leaves out is as in transformers 5.

use std::path::{Path, PathBuf};

use fast_image_resize::ResizeAlg;
use promptfed_nn::load::folder::model_fault;
use serde_json::Value;

use super::resize::{self, Size};
use crate::Result;
use crate::keys::{self, Part};
use crate::kind::Kind;
use crate::section::{Section, whole};

/// CLIP's (Radford et al. 2021), which BLIP has too.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];

/// As [`MEAN`].
const DEVIATION: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// Most pixels of a side that a file may ask for.
const LONGEST: u32 = 1 << 14;

/// What is done with a picture, in this order.
pub(super) struct Settings {
    pub(super) file: PathBuf,
    pub(super) resize: Option<(Size, ResizeAlg)>,
    /// Height and width of the centre that is cut out.
    pub(super) crop: Option<(u32, u32)>,
    /// By what 8-bit values are multiplied.
    pub(super) factor: Option<f64>,
    /// What is subtracted and then divided by, for each channel.
    pub(super) standard: Option<([f32; 3], [f32; 3])>,
}

impl Settings {
    /// Reads `image_processor` in `processor_config.json`, and where that is not there `preprocessor_config.json`.
    pub(super) fn read(folder: &Path, kind: Kind) -> Result<Self> {
        let section = section(folder)?;
        keys::check(&section, Part::Pixels)?;
        let kind = writer(&section)?.unwrap_or(kind);
        let resize = match section.flag("do_resize", true)? {
            false => None,
            true => Some((wanted_size(&section, kind)?, filter(&section)?)),
        };
        let crop = match section.flag("do_center_crop", kind == Kind::Clip)? {
            false => None,
            true => Some(crop(&section, kind)?),
        };
        let factor = match section.flag("do_rescale", true)? {
            false => None,
            true => Some(factor(&section)?),
        };
        let standard = match section.flag("do_normalize", true)? {
            false => None,
            true => {
                let deviation = channels(&section, "image_std", DEVIATION)?;
                if deviation.contains(&0.0) {
                    return Err(section.fault("image_std", "nothing can be divided by 0"));
                }
                Some((channels(&section, "image_mean", MEAN)?, deviation))
            }
        };
        Ok(Self {
            file: section.file().to_owned(),
            resize,
            crop,
            factor,
            standard,
        })
    }
}

fn section(folder: &Path) -> Result<Section> {
    let (whole, own) = (
        folder.join("processor_config.json"),
        folder.join("preprocessor_config.json"),
    );
    if whole.is_file() {
        let processor = Section::read(&whole)?;
        keys::check(&processor, Part::Processor)?;
        if let Some(inner) = processor.inner("image_processor")? {
            return Ok(inner);
        }
    }
    if own.is_file() {
        return Section::read(&own);
    }
    let reason = "it holds neither preprocessor_config.json nor a processor_config.json with an image_processor; download \
                  all .json files of the model";
    Err(model_fault(folder, reason.into()).into())
}

/// The kind whose image processor wrote the settings, where they say.
fn writer(section: &Section) -> Result<Option<Kind>> {
    for key in ["image_processor_type", "feature_extractor_type"] {
        let Some(name) = section.text(key)? else {
            continue;
        };
        let bare = ["Fast", "Pil"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        return match bare {
            "CLIPImageProcessor" | "CLIPFeatureExtractor" => Ok(Some(Kind::Clip)),
            "BlipImageProcessor" => Ok(Some(Kind::Blip)),
            _ => Err(section.fault(
                key,
                "only CLIPImageProcessor and BlipImageProcessor are followed; use the file of this model",
            )),
        };
    }
    Ok(None)
}

fn wanted_size(section: &Section, kind: Kind) -> Result<Size> {
    let square = section.flag("default_to_square", kind == Kind::Blip)?;
    let usual = match kind {
        Kind::Clip => Size::Shortest(224),
        Kind::Blip => Size::Exact {
            height: 384,
            width: 384,
        },
    };
    size(section, "size", square, usual)
}

fn crop(section: &Section, kind: Kind) -> Result<(u32, u32)> {
    let usual = Size::Exact {
        height: 224,
        width: 224,
    };
    if kind == Kind::Blip && section.get("crop_size").is_none() {
        let reason = "without crop_size BLIP's image processor does not know what to cut; write one, or false";
        return Err(section.fault("do_center_crop", reason));
    }
    match size(section, "crop_size", true, usual)? {
        Size::Exact { height, width } => Ok((height, width)),
        Size::Shortest(_) | Size::Within { .. } => {
            Err(section.fault("crop_size", "write a height and a width"))
        }
    }
}

/// `square`: whether one number is the length of both sides.
fn size(section: &Section, key: &str, square: bool, usual: Size) -> Result<Size> {
    let fault = || {
        section.fault(
            key,
            "write a number of pixels, {\"height\": .., \"width\": ..}, or {\"shortest_edge\": ..}, with \"longest_edge\" \
             beside it or without",
        )
    };
    let side = |value: &Value| whole(value).filter(|n| (1..=LONGEST).contains(n));
    let exact = |height, width| Size::Exact { height, width };
    let read = match section.get(key) {
        None => return Ok(usual),
        Some(Value::Array(both)) => match both.as_slice() {
            [height, width] => side(height).zip(side(width)).map(|(h, w)| exact(h, w)),
            _ => None,
        },
        Some(Value::Object(sides)) => {
            let mut named: Vec<(&str, Option<u32>)> = sides
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.as_str(), side(value)))
                .collect();
            named.sort_unstable();
            match named.as_slice() {
                [("height", Some(h)), ("width", Some(w))] => Some(exact(*h, *w)),
                [("shortest_edge", Some(n))] => Some(Size::Shortest(*n)),
                [("longest_edge", Some(longest)), ("shortest_edge", Some(n))] => {
                    Some(Size::Within {
                        shortest: *n,
                        longest: *longest,
                    })
                }
                _ => None,
            }
        }
        Some(value) => side(value).map(|n| {
            if square {
                exact(n, n)
            } else {
                Size::Shortest(n)
            }
        }),
    };
    read.ok_or_else(fault)
}

fn filter(section: &Section) -> Result<ResizeAlg> {
    const NUMBERS: &str = "write Pillow's number of a filter: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming";
    match section.get("resample") {
        None => Ok(resize::BICUBIC),
        Some(value) => whole(value)
            .and_then(|number| resize::filter(number as usize))
            .ok_or_else(|| section.fault("resample", NUMBERS)),
    }
}

fn factor(section: &Section) -> Result<f64> {
    match section.get("rescale_factor") {
        None => Ok(1.0 / 255.0),
        Some(_) => section
            .number("rescale_factor")?
            .ok_or_else(|| section.fault("rescale_factor", "write a number, or do_rescale false")),
    }
}

/// A number for each channel, or one for all.
fn channels(section: &Section, key: &str, usual: [f32; 3]) -> Result<[f32; 3]> {
    let number = |value: &Value| {
        let number = value.as_f64()? as f32;
        number.is_finite().then_some(number)
    };
    let read = match section.get(key) {
        None => return Ok(usual),
        Some(Value::Array(values)) => match values.as_slice() {
            [r, g, b] => match (number(r), number(g), number(b)) {
                (Some(r), Some(g), Some(b)) => Some([r, g, b]),
                _ => None,
            },
            _ => None,
        },
        Some(value) => number(value).map(|n| [n; 3]),
    };
    read.ok_or_else(|| section.fault(key, "write a number for each of red, green and blue"))
}
