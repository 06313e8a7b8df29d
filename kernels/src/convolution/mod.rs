//! Two-dimensional convolutions of NHWC feature maps.
//!
//! A weight is the matrix `[kernel * kernel * channels_in, channels_out]`, its rows ordered by
//! kernel row, kernel column, input channel.

mod forward;
mod geometry;
mod input_gradient;
mod part;
mod phased;
mod upsampled;
mod weight_gradient;
mod worker;

pub use geometry::{ConvolutionShape, Padding};
pub use upsampled::UpsampledWeight;

use crate::{Epilogue, Kernels, MatrixView, PackedMatrix, Precision, Values, ValuesMut};
use geometry::Geometry;

/// Sizes that are no convolution: an extent is zero, or the kernel does not fit into the padded image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a {shape:?} of images {height} x {width} x {channels_in} with {channels_out} results per pixel is impossible"
)]
pub struct Misfit {
    shape: ConvolutionShape,
    height: usize,
    width: usize,
    channels_in: usize,
    channels_out: usize,
}

/// The convolution of images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    geometry: Geometry,
}

/// A weight packed for [`Convolution::forward`], for images of any size.
#[derive(Clone)]
pub struct PackedWeight {
    shape: ConvolutionShape,
    channels_in: usize,
    matrix: PackedMatrix,
}

impl PackedWeight {
    /// Packs `weight [kernel * kernel * channels_in, channels_out]`.
    ///
    /// # Panics
    /// If the matrix is empty or its rows are not those of the shape.
    pub fn new(
        kernels: Kernels,
        shape: ConvolutionShape,
        weight: MatrixView<'_>,
        precision: Precision,
    ) -> Self {
        let taps = shape.kernel * shape.kernel;
        assert!(weight.rows.is_multiple_of(taps), "rows of the weight");
        let channels_in = weight.rows / taps;
        let segments = crate::product::Segments {
            count: shape.kernel,
            len: shape.kernel * channels_in,
        };
        Self {
            shape,
            channels_in,
            matrix: PackedMatrix::from_view(kernels, segments, weight, precision),
        }
    }

    /// Packs PyTorch's `[channels_out, channels_in, kernel, kernel]`.
    ///
    /// # Panics
    /// If the values are not as many.
    pub fn from_oihw(
        kernels: Kernels,
        shape: ConvolutionShape,
        values: &[f32],
        [channels_out, channels_in]: [usize; 2],
        precision: Precision,
    ) -> Self {
        let kernel = shape.kernel;
        let taps = kernel * kernel;
        assert_eq!(values.len(), channels_out * channels_in * taps, "weight");
        let segments = crate::product::Segments {
            count: kernel,
            len: kernel * channels_in,
        };
        let rows: Vec<usize> = (0..taps)
            .flat_map(|tap| (0..channels_in).map(move |channel| channel * taps + tap))
            .collect();
        let source = crate::product::Source {
            values,
            rows: &rows,
            columns: channels_out,
            column_step: channels_in * taps,
        };
        Self {
            shape,
            channels_in,
            matrix: PackedMatrix::with_segments(kernels, segments, source, precision),
        }
    }

    /// Channels of the images and of the results.
    pub fn channels(&self) -> [usize; 2] {
        [self.channels_in, self.matrix.columns()]
    }
}

impl Convolution {
    /// For images `[height, width, channels_in]` and `channels_out` results per pixel.
    ///
    /// # Errors
    /// If an extent is zero or the kernel does not fit into the padded image.
    pub fn new(
        shape: ConvolutionShape,
        [height, width, channels_in]: [usize; 3],
        channels_out: usize,
    ) -> Result<Self, Misfit> {
        let misfit = Misfit {
            shape,
            height,
            width,
            channels_in,
            channels_out,
        };
        let extents = [
            shape.kernel,
            shape.stride,
            height,
            width,
            channels_in,
            channels_out,
        ];
        match (shape.output_size(height), shape.output_size(width)) {
            (Some(height_out), Some(width_out)) if !extents.contains(&0) => Ok(Self {
                geometry: Geometry {
                    shape,
                    height,
                    width,
                    channels_in,
                    channels_out,
                    height_out,
                    width_out,
                },
            }),
            _ => Err(misfit),
        }
    }

    /// Kernel, stride and padding.
    pub fn shape(&self) -> ConvolutionShape {
        self.geometry.shape
    }

    /// `[height, width, channels]` of an image.
    pub fn input(&self) -> [usize; 3] {
        let g = &self.geometry;
        [g.height, g.width, g.channels_in]
    }

    /// `[height, width, channels]` of a result.
    pub fn output(&self) -> [usize; 3] {
        let g = &self.geometry;
        [g.height_out, g.width_out, g.channels_out]
    }

    /// Values in a weight: `kernel * kernel * channels_in * channels_out`.
    pub fn weight_len(&self) -> usize {
        self.geometry.depth() * self.geometry.channels_out
    }

    /// `output [n, ho, wo, co] = epilogue(images [n, h, w, ci] * weight)`.
    ///
    /// # Panics
    /// If a slice has another length than these shapes, or the weight is for another convolution or
    /// instruction set.
    pub fn forward<'a>(
        &self,
        kernels: Kernels,
        images: impl Into<Values<'a>>,
        weight: &PackedWeight,
        epilogue: Epilogue<'_>,
        output: impl Into<ValuesMut<'a>>,
    ) {
        let (images, output) = (images.into(), output.into());
        let g = &self.geometry;
        assert_eq!(weight.shape, g.shape, "shape of the weight");
        assert_eq!(
            weight.channels(),
            [g.channels_in, g.channels_out],
            "channels"
        );
        self.check(images.len(), output.len());
        epilogue.check(g.channels_out, output.len());
        forward::run(kernels, g, images, &weight.matrix, epilogue, output);
    }

    /// The gradient of the images, `[n, h, w, ci]`, from the gradient of the output and
    /// `weight [kernel * kernel * ci, co]`, which is packed in `precision`; plus `added`, as long as the gradient.
    ///
    /// # Panics
    /// If a slice has another length than the shapes of [`Convolution::forward`].
    pub fn input_gradient<'a>(
        &self,
        kernels: Kernels,
        weight: &[f32],
        output_gradient: impl Into<Values<'a>>,
        added: Option<Values<'_>>,
        gradient: impl Into<ValuesMut<'a>>,
        precision: Precision,
    ) {
        let (output_gradient, gradient) = (output_gradient.into(), gradient.into());
        self.check(gradient.len(), output_gradient.len());
        assert_eq!(weight.len(), self.weight_len(), "weight");
        let g = &self.geometry;
        let epilogue = Epilogue {
            residual: added,
            ..Epilogue::default()
        };
        epilogue.check(g.channels_in, gradient.len());
        input_gradient::run(
            kernels,
            g,
            weight,
            output_gradient,
            gradient,
            epilogue,
            precision,
        );
    }

    /// The gradient of the weight, `[kernel * kernel * ci, co]`, replacing what `gradient` holds. Images
    /// and gradients are multiplied in `precision` and summed in f32.
    ///
    /// # Panics
    /// If a slice has another length than the shapes of [`Convolution::forward`].
    pub fn weight_gradient<'a>(
        &self,
        kernels: Kernels,
        images: impl Into<Values<'a>>,
        output_gradient: impl Into<Values<'a>>,
        gradient: &mut [f32],
        precision: Precision,
    ) {
        let (images, output_gradient) = (images.into(), output_gradient.into());
        self.check(images.len(), output_gradient.len());
        assert_eq!(gradient.len(), self.weight_len(), "weight");
        let g = &self.geometry;
        weight_gradient::run(kernels, g, images, output_gradient, gradient, precision);
    }

    /// Whether images and results of so many values fit each other.
    fn check(&self, images: usize, output: usize) {
        let batch = images / self.geometry.input_len();
        assert_eq!(images, batch * self.geometry.input_len(), "images");
        assert_eq!(output, batch * self.geometry.output_len(), "outputs");
    }
}
