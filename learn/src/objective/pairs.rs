//! Images and their captions at one place.

use promptfed_nn::cross_entropy::cross_entropy;

use super::representation::{Units, flat, matrix};
use super::{OfRepresentations, RepresentationLoss};
use crate::{Error, Result, TextTower};

/// The contrast of images and captions (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", figure 3; the mean of
/// both ways): of all captions of a batch an image is to be nearest to its own, and a caption to its image. Images are what is trained; with
/// each of their steps the captions' network takes one.
pub struct Pairs<'a> {
    /// What represents captions.
    pub text: &'a mut TextTower,
    /// The caption of every image in tokens.
    pub captions: &'a [Vec<u32>],
    /// By which cosines are divided, above 0.
    pub temperature: f32,
    /// The learning rate of the captions' network.
    pub rate: f32,
}

impl RepresentationLoss for Pairs<'_> {
    fn of(
        &mut self,
        indices: &[usize],
        outputs: &[f32],
        width: usize,
    ) -> Result<OfRepresentations> {
        let caption = |index: &usize| {
            let caption = self.captions.get(*index).map(Vec::as_slice);
            caption.ok_or(Error::Inconsistent {
                role: "training",
                what: "captions",
                found: self.captions.len(),
                expected: index + 1,
            })
        };
        let captions = indices.iter().map(caption).collect::<Result<Vec<_>>>()?;
        let made = self.text.forward(&captions)?;
        let found = contrast(outputs, &flat(&made)?, width, self.temperature)?;
        self.text.step(&made, &found.of_captions, self.rate)?;
        Ok(found.of_images)
    }
}

/// What the contrast says of both sides.
struct Contrast {
    of_images: OfRepresentations,
    of_captions: Vec<f32>,
}

fn contrast(images: &[f32], captions: &[f32], width: usize, temperature: f32) -> Result<Contrast> {
    let tau = f64::from(temperature);
    let (images, captions) = (Units::of(images, width), Units::of(captions, width));
    let rows = matrix(&images.values, width)?;
    let columns = matrix(&captions.values, width)?;
    let scores = (rows.matmul(&columns.t()?)? / tau)?;
    let pairs = rows.dim(0)?;
    let own: Vec<u32> = (0..pairs as u32).collect();
    let of_rows = cross_entropy(&flat(&scores)?, &own, None, 0.0);
    let of_columns = cross_entropy(&flat(&scores.t()?)?, &own, None, 0.0);
    let slopes = matrix(&of_rows.gradient, pairs)?;
    let slopes = ((slopes + matrix(&of_columns.gradient, pairs)?.t()?)? / (2.0 * tau))?;
    let of_images = images.gradient(&flat(&slopes.matmul(&columns)?)?);
    let of_captions = captions.gradient(&flat(&slopes.t()?.matmul(&rows)?)?);
    Ok(Contrast {
        of_images: OfRepresentations {
            loss: f64::from(of_rows.loss + of_columns.loss) / 2.0,
            gradient: of_images,
            correct: of_rows.correct,
        },
        of_captions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_of_both_sides_are_slopes() {
        let number = |i: usize| ((i * 29 + 5) % 17) as f32 / 8.0 - 1.0;
        let [images, captions] =
            [0, 12].map(|from| (from..from + 12).map(number).collect::<Vec<f32>>());
        let found = contrast(&images, &captions, 4, 0.5).unwrap();
        let loss = |images: &[f32], captions: &[f32]| {
            let found = contrast(images, captions, 4, 0.5).unwrap();
            found.of_images.loss
        };
        const STEP: f32 = 1e-2;
        for i in 0..12 {
            let moved = |values: &[f32], by: f32| {
                let mut values = values.to_vec();
                values[i] += by;
                values
            };
            let slope = |of: &dyn Fn(f32) -> f64| (of(STEP) - of(-STEP)) / f64::from(2.0 * STEP);
            let of_image = slope(&|by| loss(&moved(&images, by), &captions));
            let of_caption = slope(&|by| loss(&images, &moved(&captions, by)));
            for (slope, gradient) in [
                (of_image, found.of_images.gradient[i]),
                (of_caption, found.of_captions[i]),
            ] {
                let apart = (slope - f64::from(gradient)).abs();
                assert!(apart < 2e-3, "{i}: {slope} and not {gradient}");
            }
        }
    }

    #[test]
    fn pairs_at_one_place_cost_next_to_nothing() {
        let axes = [1.0, 0.0, 0.0, 1.0];
        let found = contrast(&axes, &axes, 2, 0.1).unwrap();
        let expected = (-10.0f64).exp().ln_1p();
        assert!((found.of_images.loss - expected).abs() < 1e-6);
        assert_eq!(found.of_images.correct, 2);
        // One pair alone has nothing to be told apart from.
        let alone = contrast(&[1.0, 2.0], &[-1.0, 0.5], 2, 0.1).unwrap();
        assert!(alone.of_images.loss.abs() < 1e-6);
    }
}
