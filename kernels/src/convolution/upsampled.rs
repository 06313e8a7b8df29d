//! Convolutions of images made twice as large by repeating pixels, from the small images.

use super::geometry::Phase;
use super::phased::{PhasedWeight, Taps};
use crate::{Epilogue, Kernels, Precision, Values, ValuesMut};

/// The weight of a 3x3 convolution, stride 1, padding 1, that follows nearest-neighbour up-sampling by two.
///
/// Each result sums over 2x2 pixels of the small image, the weights that meet the same pixel added
/// beforehand: 4/9 of the products, and the large image is never made.
#[derive(Clone)]
pub struct UpsampledWeight {
    weight: PhasedWeight,
}

impl UpsampledWeight {
    /// Packs PyTorch's `[channels_out, channels_in, 3, 3]`.
    ///
    /// # Panics
    /// If the values are not as many.
    pub fn from_oihw(
        kernels: Kernels,
        values: &[f32],
        [channels_out, channels_in]: [usize; 2],
        precision: Precision,
    ) -> Self {
        assert_eq!(values.len(), channels_out * channels_in * 9, "weight");
        let taps = joined(values);
        let taps = Taps {
            values: &taps,
            line_step: 4,
            tap_step: 1,
            in_step: 16,
            out_step: 16 * channels_in,
            channels: [channels_in, channels_out],
        };
        Self {
            weight: PhasedWeight::new(kernels, phases(), taps, precision),
        }
    }

    /// `output [n, 2 h, 2 w, co] = epilogue(upsampled(images [n, h, w, ci]) * weight)`.
    ///
    /// # Panics
    /// If a slice has another length than these shapes.
    pub fn forward<'a>(
        &self,
        kernels: Kernels,
        images: impl Into<Values<'a>>,
        [height, width]: [usize; 2],
        epilogue: Epilogue<'_>,
        output: impl Into<ValuesMut<'a>>,
    ) {
        let (images, output) = (images.into(), output.into());
        let [channels_in, channels_out] = self.weight.channels();
        let count = images.len() / (height * width * channels_in);
        assert_eq!(images.len(), count * height * width * channels_in, "images");
        assert_eq!(
            self.weight.instruction_set(),
            Some(kernels.instruction_set()),
            "instruction set of the weight"
        );
        let large = [2 * height, 2 * width];
        assert_eq!(
            output.len(),
            count * large[0] * large[1] * channels_out,
            "outputs"
        );
        epilogue.check(channels_out, output.len());
        self.weight
            .run(images, [height, width], epilogue, output, large);
    }
}

/// Which taps of the 3x3 kernel meet the same pixel of the small image, along one axis: those of even results,
/// then those of odd ones.
const JOINED: [&[usize]; 4] = [&[0], &[1, 2], &[0, 1], &[2]];

/// The phases of a kernel of [`JOINED`] taps.
fn phases() -> Vec<Phase> {
    vec![
        Phase {
            residue: 0,
            taps: vec![0, 1],
            first: -1,
        },
        Phase {
            residue: 1,
            taps: vec![2, 3],
            first: 0,
        },
    ]
}

/// `[.., 4, 4]` from `[.., 3, 3]`: the weights of joined taps added.
fn joined(values: &[f32]) -> Vec<f32> {
    let kernels = values.as_chunks::<9>().0.iter();
    kernels
        .flat_map(|kernel| {
            JOINED.iter().flat_map(move |down| {
                JOINED.iter().map(move |across| {
                    let pairs = down
                        .iter()
                        .flat_map(|y| across.iter().map(move |x| 3 * y + x));
                    pairs.map(|tap| kernel[tap]).sum()
                })
            })
        })
        .collect()
}
