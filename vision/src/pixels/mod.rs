//! Images as the encoders take them.

mod resize;
mod settings;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use fast_image_resize::ResizeAlg;
use promptfed_data::DecodedImage;
use promptfed_nn::load::folder::model_fault;

use self::resize::{Order, Size};
use self::settings::Settings;
use crate::kind::Kind;
use crate::{Error, Result};

/// The 8-bit RGB values of an image that lie elsewhere, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// [height, width, 3]
    pub values: &'a [u8],
}

impl<'a> From<&'a DecodedImage> for Pixels<'a> {
    fn from(image: &'a DecodedImage) -> Self {
        Self {
            height: image.height,
            width: image.width,
            values: &image.pixels,
        }
    }
}

/// What an image processor of transformers does: resizes, cuts out the centre, rescales and standardises, each where it is told
/// to.
pub(crate) struct Preprocessing {
    /// Where the settings are from.
    file: Option<PathBuf>,
    resize: Option<(Size, ResizeAlg)>,
    order: Order,
    crop: bool,
    /// Height and width of the result.
    side: usize,
    /// What the network sees of every 8-bit value in each channel.
    levels: Vec<[f32; 3]>,
}

impl Preprocessing {
    /// Reads the settings of a folder; `side` is the height and width that the encoder was made for.
    pub(crate) fn read(folder: &Path, kind: Kind, side: usize) -> Result<Self> {
        let settings = Settings::read(folder, kind)?;
        let own = side as u32;
        // Without either step the pictures themselves must fit, which shows when they come.
        let arrives = match (settings.crop, settings.resize) {
            (Some(size), _) => Some(Some(size)),
            (None, Some((Size::Exact { height, width }, _))) => Some(Some((height, width))),
            (None, Some(_)) => Some(None),
            (None, None) => None,
        };
        let made = match arrives {
            Some(Some((height, width))) if (height, width) != (own, own) => {
                Some(format!("images of {height} x {width}"))
            }
            Some(None) => Some("images of any shape".into()),
            _ => None,
        };
        if let Some(made) = made {
            let reason = format!(
                "it makes {made} and the model takes squares of {own}; restore the file of this model"
            );
            return Err(model_fault(&settings.file, reason).into());
        }
        let levels = (0..=u8::MAX).map(|level| {
            let scaled = match settings.factor {
                Some(factor) => (f64::from(level) * factor) as f32,
                None => f32::from(level),
            };
            match settings.standard {
                Some((mean, deviation)) => {
                    [0, 1, 2].map(|channel| (scaled - mean[channel]) / deviation[channel])
                }
                None => [scaled; 3],
            }
        });
        Ok(Self {
            levels: levels.collect(),
            resize: settings.resize,
            order: Order::AsPillow13,
            crop: settings.crop.is_some(),
            side,
            file: Some(settings.file),
        })
    }

    /// Squares of `side` pixels whatever the shape, by Pillow's bicubic filter; `mean` and `deviation` are of values in 0..=1.
    pub(crate) fn square(side: usize, mean: [f32; 3], deviation: [f32; 3]) -> Self {
        let (height, width) = (side as u32, side as u32);
        let levels = (0..=u8::MAX).map(|level| {
            let scaled = f32::from(level) / 255.0;
            [0, 1, 2].map(|channel| (scaled - mean[channel]) / deviation[channel])
        });
        Self {
            file: None,
            resize: Some((Size::Exact { height, width }, resize::BICUBIC)),
            // Features that lie in files stay what they were.
            order: Order::WidthFirst,
            crop: false,
            side,
            levels: levels.collect(),
        }
    }

    /// The file that the settings are from, where they are from one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// [height, width, 3]
    pub(crate) fn apply(&self, image: Pixels<'_>) -> Result<Tensor> {
        let expected = image.width as usize * image.height as usize * 3;
        if expected == 0 || image.values.len() != expected {
            return Err(Error::Input(format!(
                "an image of {} x {} pixels has {} values",
                image.width,
                image.height,
                image.values.len()
            )));
        }
        let (width, height, pixels) = match self.resize {
            Some((size, filter)) => {
                let (width, height, pixels) = resize::resized(image, size, filter, self.order)?;
                (width, height, Cow::Owned(pixels))
            }
            None => (image.width, image.height, Cow::Borrowed(image.values)),
        };
        let (width, height) = (width as usize, height as usize);
        if !self.crop && (width, height) != (self.side, self.side) {
            return Err(Error::Input(format!(
                "an image has {width} x {height} pixels and the model takes squares of {side}, its settings resize nothing \
                 (do_resize is false); resize it to {side} x {side}",
                side = self.side
            )));
        }
        let left = before(width, self.side);
        let top = before(height, self.side);
        let mut values = Vec::with_capacity(self.side * self.side * 3);
        for row in 0..self.side {
            let row = row.checked_add_signed(top).filter(|row| *row < height);
            for column in 0..self.side {
                let column = column.checked_add_signed(left).filter(|c| *c < width);
                let at = row
                    .zip(column)
                    .map(|(row, column)| (row * width + column) * 3);
                for channel in 0..3 {
                    // Beyond the edges it is black.
                    let level = at.map_or(0, |at| pixels[at + channel]);
                    values.push(self.levels[usize::from(level)][channel]);
                }
            }
        }
        Ok(Tensor::from_vec(
            values,
            (self.side, self.side, 3),
            &Device::Cpu,
        )?)
    }
}

/// Pixels before the centre of `side` pixels; below 0 where there are fewer.
fn before(length: usize, side: usize) -> isize {
    (length as isize - side as isize).div_euclid(2)
}

#[cfg(test)]
mod tests {
    use promptfed_data::{DecodeLimits, decode_bytes};
    use safetensors::SafeTensors;
    use serde_json::{Value, json};

    use super::*;

    fn golden() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/folders")
    }

    fn picture(name: &str) -> DecodedImage {
        let bytes = std::fs::read(golden().join(format!("{name}.png"))).unwrap();
        decode_bytes(&bytes, name, &DecodeLimits::default()).unwrap()
    }

    fn with(kind: Kind, settings: &Value, side: usize) -> Result<Preprocessing> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("preprocessor_config.json");
        std::fs::write(file, settings.to_string()).unwrap();
        Preprocessing::read(folder.path(), kind, side)
    }

    fn refused(kind: Kind, settings: &Value) -> String {
        match with(kind, settings, 16) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{settings} was read"),
        }
    }

    #[test]
    fn pixels_are_those_of_transformers() {
        let told: Value =
            serde_json::from_slice(&std::fs::read(golden().join("pixels.json")).unwrap()).unwrap();
        let bytes = std::fs::read(golden().join("pixels.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let side = told["side"].as_u64().unwrap() as usize;
        let cases = told["cases"].as_array().unwrap();
        assert!(cases.len() > 30);
        for (i, case) in cases.iter().enumerate() {
            let kind = match case["kind"].as_str().unwrap() {
                "clip" => Kind::Clip,
                _ => Kind::Blip,
            };
            let image = picture(case["picture"].as_str().unwrap());
            let got = with(kind, &case["settings"], side)
                .and_then(|pixels| pixels.apply((&image).into()))
                .unwrap_or_else(|error| panic!("{case}: {error}"));
            let got: Vec<f32> = got.flatten_all().unwrap().to_vec1().unwrap();
            let want = file.tensor(&i.to_string()).unwrap();
            assert_eq!(want.shape(), [3, side, side], "{case}");
            let want: Vec<f32> = want
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect();
            // Pillow and the resizer here may round a value to neighbouring levels of 255.
            let level = case["level"].as_f64().unwrap();
            let mut far = 0;
            for (at, got) in got.iter().enumerate() {
                let (pixel, channel) = (at / 3, at % 3);
                let apart = f64::from((got - want[channel * side * side + pixel]).abs()) / level;
                assert!(apart < 1.01, "{case}: value {at} is {apart} levels away");
                far += usize::from(apart > 0.01);
            }
            assert!(far * 20 <= got.len(), "{case}: {far} values differ");
        }
    }

    #[test]
    fn settings_are_read_out_of_processor_config_first() {
        let folder = tempfile::tempdir().unwrap();
        let own = json!({"size": {"height": 16, "width": 16}, "resample": 77});
        let nested = json!({"image_processor": {"size": 16}, "processor_class": "BlipProcessor"});
        let write = |name: &str, value: &Value| {
            std::fs::write(folder.path().join(name), value.to_string()).unwrap();
        };
        let read = || Preprocessing::read(folder.path(), Kind::Blip, 16);
        assert!(read().err().unwrap().to_string().contains("neither"));
        write(
            "processor_config.json",
            &json!({"processor_class": "BlipProcessor"}),
        );
        assert!(read().err().unwrap().to_string().contains("neither"));
        write("preprocessor_config.json", &own);
        assert!(read().err().unwrap().to_string().contains("resample 77"));
        write("processor_config.json", &nested);
        let file = read().unwrap().file().unwrap().to_owned();
        assert!(file.ends_with("processor_config.json"));
    }

    #[test]
    fn defaults_are_the_image_processor_s() {
        let empty = json!({});
        assert!(with(Kind::Clip, &empty, 224).is_ok());
        assert!(with(Kind::Blip, &empty, 384).is_ok());
        let error = with(Kind::Clip, &empty, 336).err().unwrap().to_string();
        assert!(
            error.contains("224 x 224") && error.contains("squares of 336"),
            "{error}"
        );
        // The settings say whose defaults are missing.
        let blip = json!({"image_processor_type": "BlipImageProcessorFast"});
        assert!(with(Kind::Clip, &blip, 384).is_ok());
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        for (settings, told) in [
            (
                json!({"size": {"longest_edge": 16}}),
                "size {\"longest_edge\":16}",
            ),
            (json!({"size": "16"}), "size \"16\""),
            (json!({"size": null}), "size null"),
            (json!({"size": 0}), "size 0"),
            (json!({"size": [1, 2, 3]}), "size [1,2,3]"),
            (
                json!({"size": 16, "crop_size": {"shortest_edge": 16}}),
                "crop_size",
            ),
            (json!({"size": 16, "do_center_crop": false}), "any shape"),
            (json!({"size": 16, "crop_size": [16, 17]}), "16 x 17"),
            (json!({"size": 16, "resample": 6}), "resample 6"),
            (json!({"size": 16, "resample": null}), "resample null"),
            (
                json!({"size": 16, "crop_size": 16, "image_std": [1, 0, 1]}),
                "image_std [1,0,1]",
            ),
            (
                json!({"size": 16, "crop_size": 16, "image_mean": [1, 1]}),
                "image_mean [1,1]",
            ),
            (
                json!({"size": 16, "crop_size": 16, "rescale_factor": "a"}),
                "rescale_factor \"a\"",
            ),
            (json!({"do_resize": "yes"}), "do_resize \"yes\""),
            (json!({"pad_size": {"height": 3, "width": 3}}), "pad_size"),
            (
                json!({"image_processor_type": "ViTImageProcessor"}),
                "ViTImageProcessor",
            ),
        ] {
            let error = refused(Kind::Clip, &settings);
            assert!(error.contains(told), "{settings}: {error}");
            assert!(error.contains("preprocessor_config.json"), "{error}");
            assert!(
                !error.contains("untagged") && !error.contains("Some("),
                "{error}"
            );
        }
        let error = refused(Kind::Blip, &json!({"size": 16, "do_center_crop": true}));
        assert!(error.contains("crop_size"), "{error}");
    }

    #[test]
    fn pictures_that_are_not_resized_must_fit() {
        let settings = json!({"do_resize": false, "do_center_crop": false});
        let pixels = with(Kind::Clip, &settings, 37).unwrap();
        let error = pixels
            .apply((&picture("odd")).into())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("53 x 37") && error.contains("do_resize"),
            "{error}"
        );
    }
}
