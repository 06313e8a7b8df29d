//! Images as the encoders take them, after `preprocessor_config.json`.

use std::path::Path;

use candle_core::{Device, Tensor};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use promptfed_data::DecodedImage;
use promptfed_nn::load::folder::{model_fault, read_json};
use serde::Deserialize;

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

/// Resizes with Pillow's bicubic filter, cuts out the centre where asked, and standardises.
pub(crate) struct Preprocessing {
    resize: Resize,
    crop: bool,
    /// Height and width of the result.
    side: usize,
    mean: [f32; 3],
    deviation: [f32; 3],
}

#[derive(Clone, Copy, PartialEq)]
enum Resize {
    /// Both sides, whatever the shape.
    Square(u32),
    /// The shorter side; the shape stays.
    Shortest(u32),
}

#[derive(Deserialize)]
#[serde(default)]
struct File {
    size: Option<Size>,
    crop_size: Option<Size>,
    do_center_crop: Option<bool>,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    resample: u32,
}

impl Default for File {
    /// CLIP's (Radford et al. 2021).
    fn default() -> Self {
        Self {
            size: None,
            crop_size: None,
            do_center_crop: None,
            image_mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            image_std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
            resample: BICUBIC,
        }
    }
}

/// Pillow's number of the filter.
const BICUBIC: u32 = 3;

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Side(u32),
    Shortest { shortest_edge: u32 },
    Both { height: u32, width: u32 },
}

impl Preprocessing {
    /// Reads the file of a folder; `side` is the height and width that the encoder was made for.
    pub(crate) fn read(folder: &Path, side: usize) -> Result<Self> {
        let path = folder.join("preprocessor_config.json");
        let file: File = read_json(&path)?;
        let own = side as u32;
        let resize = match file.size {
            Some(Size::Both { height, width }) if height == width => Resize::Square(height),
            Some(Size::Both { height, width }) => {
                return Err(model_fault(
                    &path,
                    format!("size {height} x {width}; only squares can be used"),
                )
                .into());
            }
            Some(Size::Shortest { shortest_edge } | Size::Side(shortest_edge)) => {
                Resize::Shortest(shortest_edge)
            }
            None => Resize::Square(own),
        };
        let crop = file
            .do_center_crop
            .unwrap_or(resize == Resize::Shortest(own));
        let cut = match file.crop_size {
            Some(
                Size::Side(n) | Size::Shortest { shortest_edge: n } | Size::Both { height: n, .. },
            ) => n,
            None => own,
        };
        let (Resize::Square(shorter) | Resize::Shortest(shorter)) = resize;
        let arrives = if crop { cut } else { shorter };
        let is_square = crop || resize == Resize::Square(own);
        if arrives != own || shorter < own || !is_square {
            return Err(model_fault(
                &path,
                format!(
                    "it makes images of side {arrives} and the model takes squares of {own}; restore the file of this model"
                ),
            )
            .into());
        }
        if file.resample != BICUBIC {
            return Err(model_fault(
                &path,
                format!(
                    "resample {}; only {BICUBIC}, the bicubic filter, can be used",
                    file.resample
                ),
            )
            .into());
        }
        Ok(Self {
            resize,
            crop,
            side,
            mean: file.image_mean,
            deviation: file.image_std,
        })
    }

    /// Squares of `side` pixels whatever the shape; `mean` and `deviation` are of values in 0..=1.
    pub(crate) fn square(side: usize, mean: [f32; 3], deviation: [f32; 3]) -> Self {
        Self {
            resize: Resize::Square(side as u32),
            crop: false,
            side,
            mean,
            deviation,
        }
    }

    /// [height, width, 3]
    pub(crate) fn apply(&self, image: Pixels<'_>) -> Result<Tensor> {
        let misfit = |e: String| Error::Input(format!("an image cannot be resized ({e})"));
        let source = ImageRef::new(image.width, image.height, image.values, PixelType::U8x3)
            .map_err(|e| misfit(e.to_string()))?;
        let (width, height) = match self.resize {
            Resize::Square(side) => (side, side),
            Resize::Shortest(side) => {
                let (w, h) = (u64::from(image.width), u64::from(image.height));
                let short = w.min(h).max(1);
                let scaled = |long: u64| (u64::from(side) * long / short) as u32;
                (scaled(w), scaled(h))
            }
        };
        if width.max(height) > 1 << 16 {
            return Err(misfit(format!(
                "it has {} x {} pixels; cut it to a less extreme shape",
                image.width, image.height
            )));
        }
        let bicubic =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        // Columns before rows, as in Pillow; the intermediate rounding makes the order visible.
        let mut narrowed = Image::new(width, image.height, PixelType::U8x3);
        Resizer::new()
            .resize(&source, &mut narrowed, &bicubic)
            .map_err(|e| misfit(e.to_string()))?;
        let mut resized = Image::new(width, height, PixelType::U8x3);
        Resizer::new()
            .resize(&narrowed, &mut resized, &bicubic)
            .map_err(|e| misfit(e.to_string()))?;
        let (width, height) = (width as usize, height as usize);
        let (left, top) = if self.crop {
            ((width - self.side) / 2, (height - self.side) / 2)
        } else {
            (0, 0)
        };
        let pixels = resized.buffer();
        let mut values = Vec::with_capacity(self.side * self.side * 3);
        for row in top..top + self.side {
            for column in left..left + self.side {
                for channel in 0..3 {
                    let v = f32::from(pixels[(row * width + column) * 3 + channel]) / 255.0;
                    values.push((v - self.mean[channel]) / self.deviation[channel]);
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
