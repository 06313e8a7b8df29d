//! EfficientNet-lite0 (Tan and Le 2019; the lite variant has ReLU6 and no squeeze-and-excitation): features of images in which
//! those that look alike lie near each other.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use promptfed_data::{Dataset, DecodeOptions, DecodeReport, DecodedImage, decode};
use promptfed_nn::activation::Activation;
use promptfed_nn::conv2d::Conv2d;
use promptfed_nn::convolution::{ConvolutionShape, Padding};
use promptfed_nn::depthwise::DepthwiseConv2d;
use promptfed_nn::load::Loader;
use promptfed_nn::pool::GlobalAverage;
use promptfed_nn::{Path as Computation, Precision, on_pool_thread};

use crate::Result;
use crate::pixels::{Pixels, Preprocessing};

/// Height and width of the images that the network sees.
const SIDE: usize = 224;

/// Images that pass through the network together.
const BATCH: usize = 16;

/// Images decoded before they pass through the network.
const TOGETHER: usize = 32;

/// Stages: blocks, kernel, stride of the first block, expansion, channels (Tan and Le 2019, table 1).
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

const STEM_CHANNELS: usize = 32;

/// The network without its last linear map.
pub struct EfficientNet {
    file: PathBuf,
    pixels: Preprocessing,
    stem: Conv2d,
    blocks: Vec<Block>,
    head: Conv2d,
    average: GlobalAverage,
}

/// An inverted residual block (Sandler et al. 2018, section 3.3).
struct Block {
    expand: Option<Conv2d>,
    depthwise: DepthwiseConv2d,
    project: Conv2d,
    is_residual: bool,
}

impl EfficientNet {
    /// Values of an image's features.
    pub const FEATURES: usize = 1280;

    /// Loads `model.safetensors` of a folder, with the batch normalisations folded into the convolutions, as
    /// `vision/golden/efficientnet_lite0.py` writes it. It computes in f32.
    ///
    /// # Errors
    /// A file that cannot be read; tensors that are missing, unknown or of another shape, all in one error.
    pub fn load(dir: &Path) -> Result<Self> {
        let file = dir.join("model.safetensors");
        let mut loader = Loader::open(&file, &Device::Cpu)?;
        let stem = Conv2d::load(&mut loader, "stem", same(3, 2), 3, STEM_CHANNELS)?;
        let mut blocks = Vec::new();
        let mut channels = STEM_CHANNELS;
        for (count, kernel, first_stride, expansion, channels_out) in STAGES {
            for repeat in 0..count {
                let stride = if repeat == 0 { first_stride } else { 1 };
                let name = format!("blocks.{}", blocks.len());
                let inner = channels * expansion;
                let expand = (expansion > 1).then(|| {
                    Conv2d::load(
                        &mut loader,
                        &format!("{name}.expand"),
                        same(1, 1),
                        channels,
                        inner,
                    )
                });
                let expand = expand.transpose()?;
                let depthwise = format!("{name}.depthwise");
                let project = format!("{name}.project");
                blocks.push(Block {
                    expand,
                    depthwise: DepthwiseConv2d::load(
                        &mut loader,
                        &depthwise,
                        same(kernel, stride),
                        inner,
                    )?,
                    project: Conv2d::load(&mut loader, &project, same(1, 1), inner, channels_out)?,
                    is_residual: stride == 1 && channels == channels_out,
                });
                channels = channels_out;
            }
        }
        let head = Conv2d::load(&mut loader, "head", same(1, 1), channels, Self::FEATURES)?;
        loader.finish()?;
        Ok(Self {
            file,
            // (level - 127) / 128, as the lite networks were trained.
            pixels: Preprocessing::square(SIDE, [127.0 / 255.0; 3], [128.0 / 255.0; 3]),
            stem,
            blocks,
            head,
            average: GlobalAverage::new(Computation::of(&Device::Cpu)?, Precision::F32),
        })
    }

    /// The file that it was loaded from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Features of images, [images, 1280] in row-major order: what the last convolution says, averaged over all pixels. Images of any
    /// size are resized to 224 x 224 pixels with Pillow's bicubic filter.
    ///
    /// # Errors
    /// An image without pixels.
    pub fn features(&self, images: &[Pixels<'_>]) -> Result<Vec<f32>> {
        let mut features = Vec::with_capacity(images.len() * Self::FEATURES);
        for batch in images.chunks(BATCH) {
            let batch = batch.iter().map(|image| self.pixels.apply(*image));
            let batch = Tensor::stack(&batch.collect::<Result<Vec<_>>>()?, 0)?;
            let pooled = on_pool_thread(|| self.forward(&batch))?;
            features.extend(pooled.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(features)
    }

    /// Features of all pictures of a data set: `on_batch` is told the samples' indices and their features, some at a time in their
    /// order. Pictures that cannot be decoded are left out and listed.
    ///
    /// # Errors
    /// If decoding fails as a whole, in strict mode at the first unfit picture, or if the network fails.
    pub fn look_through(
        &self,
        dataset: &Dataset,
        options: &DecodeOptions,
        on_batch: &mut dyn FnMut(&[usize], &[f32]),
    ) -> Result<DecodeReport> {
        let mut waiting: Vec<DecodedImage> = Vec::with_capacity(TOGETHER);
        let mut indices = Vec::with_capacity(TOGETHER);
        let mut failure = None;
        let mut flush = |indices: &mut Vec<usize>, waiting: &mut Vec<DecodedImage>| {
            let images: Vec<_> = waiting.iter().map(Into::into).collect();
            match self.features(&images) {
                Ok(features) => on_batch(indices, &features),
                Err(error) => failure = failure.take().or(Some(error)),
            }
            indices.clear();
            waiting.clear();
        };
        let report = decode(dataset, options, |index, image| {
            indices.push(index);
            waiting.push(image);
            if waiting.len() == TOGETHER {
                flush(&mut indices, &mut waiting);
            }
        })?;
        flush(&mut indices, &mut waiting);
        match failure {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// [n, 224, 224, 3] -> [n, 1280]
    fn forward(&self, images: &Tensor) -> promptfed_nn::Result<Tensor> {
        let mut x = self.stem.forward_activated(images, Activation::Relu6)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let x = self.head.forward_activated(&x, Activation::Relu6)?;
        self.average.forward(&x)
    }
}

impl Block {
    fn forward(&self, x: &Tensor) -> promptfed_nn::Result<Tensor> {
        let expanded = match &self.expand {
            Some(expand) => expand.forward_activated(x, Activation::Relu6)?,
            None => x.clone(),
        };
        let inner = self.depthwise.forward(&expanded, Activation::Relu6)?;
        if self.is_residual {
            self.project.forward_added(&inner, x)
        } else {
            self.project.forward(&inner)
        }
    }
}

/// TensorFlow's padding `SAME` for images of an even side: at stride 2 an odd zero goes below and to the right.
const fn same(kernel: usize, stride: usize) -> ConvolutionShape {
    let zeros = kernel - stride;
    let before = zeros / 2;
    ConvolutionShape {
        kernel,
        stride,
        padding: Padding {
            before,
            after: zeros - before,
        },
    }
}
