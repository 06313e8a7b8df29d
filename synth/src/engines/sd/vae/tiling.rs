//! Decoding in overlapping tiles, so that memory does not grow with the image.

use candle_core::{Device, Tensor};
use promptfed_nn::Result;

/// The share of a tile that overlaps its neighbour.
const OVERLAP: f64 = 0.25;

/// Decodes `latents` [1, h, w, c] tile by tile, `tile` latents wide and high, and fades neighbouring tiles into each
/// other, as diffusers' `enable_tiling` does. `reduction` is the size of an image over that of its latents.
///
/// Group normalisation sees one tile at a time, so that the image differs a little from one decoded whole.
///
/// # Errors
/// If `decode` fails.
pub(super) fn decode_tiled(
    latents: &Tensor,
    tile: usize,
    reduction: usize,
    decode: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let (_, h, w, _) = latents.dims4()?;
    let stride = ((tile as f64 * (1.0 - OVERLAP)) as usize).max(1);
    let fade = ((tile * reduction) as f64 * OVERLAP) as usize;
    let kept = tile * reduction - fade;
    let mut above: Vec<Tile> = Vec::new();
    let mut image = Canvas::new(h * reduction, w * reduction);
    for (i, top) in (0..h).step_by(stride).enumerate() {
        let mut row: Vec<Tile> = Vec::new();
        for (j, left) in (0..w).step_by(stride).enumerate() {
            let part = latents
                .narrow(1, top, tile.min(h - top))?
                .narrow(2, left, tile.min(w - left))?
                .contiguous()?;
            let mut decoded = Tile::new(&decode(&part)?)?;
            if let Some(neighbour) = above.get(j) {
                decoded.fade_from_above(neighbour, fade);
            }
            if let Some(neighbour) = row.last() {
                decoded.fade_from_left(neighbour, fade);
            }
            image.put(&decoded, i * kept, j * kept, kept);
            row.push(decoded);
        }
        above = row;
    }
    image.into_tensor(latents.device())
}

const COLOURS: usize = 3;

/// [height, width, 3]
struct Tile {
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl Tile {
    fn new(image: &Tensor) -> Result<Self> {
        let (_, height, width, _) = image.dims4()?;
        let values = image
            .to_dtype(candle_core::DType::F32)?
            .flatten_all()?
            .to_vec1()?;
        Ok(Self {
            height,
            width,
            values,
        })
    }

    fn pixel(&self, y: usize, x: usize) -> std::ops::Range<usize> {
        let start = (y * self.width + x) * COLOURS;
        start..start + COLOURS
    }

    fn fade_from_above(&mut self, other: &Tile, fade: usize) {
        let fade = fade.min(self.height).min(other.height);
        for y in 0..fade {
            for x in 0..self.width.min(other.width) {
                self.mix(
                    y,
                    x,
                    other,
                    other.height - fade + y,
                    x,
                    y as f32 / fade as f32,
                );
            }
        }
    }

    fn fade_from_left(&mut self, other: &Tile, fade: usize) {
        let fade = fade.min(self.width).min(other.width);
        for y in 0..self.height.min(other.height) {
            for x in 0..fade {
                self.mix(
                    y,
                    x,
                    other,
                    y,
                    other.width - fade + x,
                    x as f32 / fade as f32,
                );
            }
        }
    }

    fn mix(&mut self, y: usize, x: usize, other: &Tile, oy: usize, ox: usize, own: f32) {
        let (to, from) = (self.pixel(y, x), other.pixel(oy, ox));
        for (a, b) in self.values[to].iter_mut().zip(&other.values[from]) {
            *a = b * (1.0 - own) + *a * own;
        }
    }
}

struct Canvas(Tile);

impl Canvas {
    fn new(height: usize, width: usize) -> Self {
        Self(Tile {
            height,
            width,
            values: vec![0.0; height * width * COLOURS],
        })
    }

    /// Copies the first `kept` rows and columns of a tile.
    fn put(&mut self, tile: &Tile, top: usize, left: usize, kept: usize) {
        let rows = kept.min(tile.height).min(self.0.height.saturating_sub(top));
        let columns = kept.min(tile.width).min(self.0.width.saturating_sub(left));
        for y in 0..rows {
            for x in 0..columns {
                let (to, from) = (self.0.pixel(top + y, left + x), tile.pixel(y, x));
                self.0.values[to].copy_from_slice(&tile.values[from]);
            }
        }
    }

    fn into_tensor(self, device: &Device) -> Result<Tensor> {
        let Tile {
            height,
            width,
            values,
        } = self.0;
        Ok(Tensor::from_vec(
            values,
            (1, height, width, COLOURS),
            device,
        )?)
    }
}
