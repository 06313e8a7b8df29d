//! Global average pooling.

use candle_core::{DType, Tensor};

use crate::{Error, Path, Precision, Result, cpu};

/// The mean over the pixels of every image.
#[derive(Debug, Clone, Copy)]
pub struct GlobalAverage {
    path: Path,
    maps: DType,
}

impl GlobalAverage {
    /// By kernels or candle's operations, for feature maps of a network in `precision`.
    pub fn new(path: Path, precision: Precision) -> Self {
        Self {
            path,
            maps: Path::maps(precision),
        }
    }

    /// `[n, channels]`, f32, from `values [n, h, w, channels]` in the format of feature maps.
    ///
    /// # Errors
    /// If `values` has another number of axes, or images are empty.
    pub fn forward(&self, values: &Tensor) -> Result<Tensor> {
        let (n, h, w, channels) = values.dims4()?;
        check(values.dims(), h * w * channels)?;
        let Path::Kernels(kernels) = self.path else {
            let flat = values.to_dtype(DType::F32)?.reshape((n, h * w, channels))?;
            return Ok(flat.mean(1)?);
        };
        let mut output = vec![0.0; n * channels];
        cpu::read_either(values, |values| {
            kernels.global_average(values, [h * w, channels], &mut output);
        })?;
        Ok(Tensor::from_vec(output, (n, channels), values.device())?)
    }

    /// The gradient of `values [n, height, width, channels]`, in the format of feature maps, from that of the means.
    ///
    /// # Errors
    /// If the gradient is not `[n, channels]`, or images are empty.
    pub fn gradient(&self, gradient: &Tensor, [height, width]: [usize; 2]) -> Result<Tensor> {
        let (n, channels) = gradient.dims2()?;
        let shape = (n, height, width, channels);
        let pixels = height * width;
        check(gradient.dims(), pixels * channels)?;
        let Path::Kernels(kernels) = self.path else {
            let spread = (gradient / pixels as f64)?.reshape((n, 1, 1, channels))?;
            return Ok(spread
                .broadcast_as(shape)?
                .contiguous()?
                .to_dtype(self.maps)?);
        };
        Ok(cpu::map_f32(
            gradient,
            shape,
            self.maps,
            |gradient, output| {
                kernels.global_average_gradient(gradient, [pixels, channels], output);
            },
        )?)
    }
}

fn check(shape: &[usize], values: usize) -> Result<()> {
    match values {
        0 => Err(Error::shapes("the mean of an image", shape, &[0])),
        _ => Ok(()),
    }
}
