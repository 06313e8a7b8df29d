//! What an image looks like, in three words.

use std::fmt;
use std::ops::Range;

use promptfed_data::DecodedImage;

use crate::Colour;

/// Dominant colours and tone of an image.
///
/// - Centre: the most frequent colour of the rows `h/4 .. h - h/4` and columns `w/4 .. w - w/4`.
/// - Border: that of all pixels outside the rows `h/8 .. h - h/8` and columns `w/8 .. w - w/8`; black where
///   there are none, that is for images below 8 pixels both ways.
/// - Tone: from the mean luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), below 0.3 or above 0.7.
///
/// Written `red on white background`, and with a tone `red on white background, bright`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// Colour of the centre.
    pub centre: Colour,
    /// Colour of the border.
    pub border: Colour,
    /// Brightness, where it is remarkable.
    pub tone: Option<Tone>,
}

/// Remarkable brightness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Mean luma below 0.3.
    Dark,
    /// Mean luma above 0.7.
    Bright,
}

impl Attributes {
    /// Looks at an image.
    pub fn of(image: &DecodedImage) -> Self {
        let (width, height) = (image.width as usize, image.height as usize);
        let pixels = image.pixels.as_chunks::<3>().0;
        let inner = |size: usize, part: usize| size / part..size - size / part;
        let (centre_rows, centre_columns) = (inner(height, 4), inner(width, 4));
        let (rows, columns) = (inner(height, 8), inner(width, 8));

        let mut centre = [0_u64; Colour::ALL.len()];
        let mut border = [0_u64; Colour::ALL.len()];
        let count = |votes: &mut [u64], y: usize, columns: Range<usize>| {
            for &pixel in &pixels[y * width..][columns] {
                votes[Colour::of(pixel) as usize] += 1;
            }
        };
        for y in 0..height {
            if centre_rows.contains(&y) {
                count(&mut centre, y, centre_columns.clone());
            }
            if rows.contains(&y) {
                count(&mut border, y, 0..columns.start);
                count(&mut border, y, columns.end..width);
            } else {
                count(&mut border, y, 0..width);
            }
        }
        Self {
            centre: winner(&centre),
            border: winner(&border),
            tone: Tone::of(pixels),
        }
    }
}

impl Tone {
    fn of(pixels: &[[u8; 3]]) -> Option<Self> {
        match mean_of(pixels) {
            luma if luma < 0.3 => Some(Self::Dark),
            luma if luma > 0.7 => Some(Self::Bright),
            _ => None,
        }
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} background", self.centre, self.border)?;
        match self.tone {
            Some(Tone::Dark) => f.write_str(", dark"),
            Some(Tone::Bright) => f.write_str(", bright"),
            None => Ok(()),
        }
    }
}

/// The most frequent colour, the first of equally frequent ones.
fn winner(votes: &[u64; Colour::ALL.len()]) -> Colour {
    let most = votes.iter().max();
    let first = Colour::ALL
        .into_iter()
        .zip(votes)
        .find(|&(_, count)| Some(count) == most);
    first.map_or(Colour::Black, |(colour, _)| colour)
}

/// Mean luma of an image, 0..=1.
///
/// It is summed in 32-bit floats in numpy's order, so that an image on the boundary of a tone falls on the same side.
pub fn mean_luma(image: &DecodedImage) -> f32 {
    mean_of(image.pixels.as_chunks::<3>().0)
}

fn mean_of(pixels: &[[u8; 3]]) -> f32 {
    pairwise_sum(pixels) / pixels.len() as f32 / 255.0
}

/// Luma of a pixel, 0..=255; products and sums are rounded one by one.
fn luma([r, g, b]: [u8; 3]) -> f32 {
    f32::from(r) * 0.299 + f32::from(g) * 0.587 + f32::from(b) * 0.114
}

/// Pairwise summation as numpy does it: halves down to 128 terms, eight accumulators below (Higham, 1993).
fn pairwise_sum(pixels: &[[u8; 3]]) -> f32 {
    const BLOCK: usize = 128;
    const LANES: usize = 8;
    if pixels.len() < LANES {
        return pixels.iter().fold(0.0, |sum, &pixel| sum + luma(pixel));
    }
    if pixels.len() > BLOCK {
        let half = pixels.len() / 2;
        let (left, right) = pixels.split_at(half - half % LANES);
        return pairwise_sum(left) + pairwise_sum(right);
    }
    let (groups, rest) = pixels.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for group in groups {
        for (sum, &pixel) in sums.iter_mut().zip(group) {
            *sum += luma(pixel);
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    rest.iter().fold(sum, |sum, &pixel| sum + luma(pixel))
}
