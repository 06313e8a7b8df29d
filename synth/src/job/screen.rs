//! What makes a drawn image unfit.

use serde::{Deserialize, Serialize};

use crate::Image;

/// Levels of 255 within which a channel counts as constant.
const FLAT_LEVELS: u8 = 2;

/// What is wrong with a drawn image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A value is not a finite number.
    NonFinite,
    /// Every channel is constant up to two levels of 255, as in an image all black.
    Constant,
    /// CLIP does not see the image's class in it; see [`ClipFilter`](super::ClipFilter).
    OffClass,
    /// An earlier image of the job has the same pixels.
    Duplicate,
}

/// What is wrong with an image by itself; `pixels` are its 8-bit values.
pub(super) fn fault(image: &Image, pixels: &[u8]) -> Option<Fault> {
    if !image.is_finite() {
        return Some(Fault::NonFinite);
    }
    let flat = (0..3).all(|channel| {
        let values = || pixels.iter().skip(channel).step_by(3);
        let (low, high) = (values().min(), values().max());
        low.zip(high)
            .is_none_or(|(low, high)| high - low <= FLAT_LEVELS)
    });
    flat.then_some(Fault::Constant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(values: Vec<f32>) -> Option<Fault> {
        let image = Image::new(2, values).unwrap();
        fault(&image, &image.to_rgb8())
    }

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(fault_of(vec![-1.0; 12]), Some(Fault::Constant));
        let tinted = [0.5, -0.5, 0.0].repeat(4);
        assert_eq!(fault_of(tinted.clone()), Some(Fault::Constant));
        let mut dot = tinted.clone();
        dot[4] = 0.5;
        assert_eq!(fault_of(dot), None);
        let mut nan = tinted;
        nan[7] = f32::NAN;
        assert_eq!(fault_of(nan), Some(Fault::NonFinite));
    }
}
