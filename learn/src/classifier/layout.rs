//! The layers of a classifier, and the place and order of each tensor.

use promptfed_nn::batch_norm::BatchNorm;
use promptfed_nn::convolution::{Convolution, ConvolutionShape};
use promptfed_nn::pool::GlobalAverage;
use promptfed_nn::{Path, Precision};

use super::ClassifierConfig;
use crate::Result;

/// A tensor that is trained, by its place among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trained(pub(super) usize);

/// Running statistics of a normalisation, by their place among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Running(pub(super) usize);

/// A convolution and the batch normalisation after it.
#[derive(Debug, Clone)]
pub(super) struct NormalisedConvolution {
    pub(super) convolution: Convolution,
    pub(super) norm: BatchNorm,
    pub(super) weight: Trained,
    pub(super) gamma: Trained,
    pub(super) beta: Trained,
    pub(super) mean: Running,
    pub(super) variance: Running,
}

/// `relu(norm(conv(relu(norm(conv(x))))) + skip(x))` (He et al. 2016).
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) first: NormalisedConvolution,
    pub(super) second: NormalisedConvolution,
    /// A 1x1 convolution where the shape changes, otherwise the identity.
    pub(super) skip: Option<(Convolution, Trained)>,
}

/// The mean over all pixels and a linear map.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) pool: GlobalAverage,
    /// `[height, width, channels]` of what is pooled.
    pub(super) maps: [usize; 3],
    pub(super) classes: usize,
    /// The linear map as a 1x1 convolution of images with one pixel.
    pub(super) map: Convolution,
    /// `[channels, classes]`
    pub(super) weight: Trained,
    pub(super) bias: Trained,
}

/// How a tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As in PyTorch.
    Plain,
    /// The transpose of PyTorch's `[out, in]`.
    Transposed,
    /// `[kernel * kernel * in, out]` for PyTorch's `[out, in, kernel, kernel]`.
    Kernel,
}

/// Which tensor holds an entry's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Trained(Trained),
    Running(Running),
}

/// One tensor under PyTorch's name and shape.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) place: Place,
    pub(super) order: Order,
}

/// All layers of a classifier.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(super) stem: NormalisedConvolution,
    pub(super) blocks: Vec<Block>,
    pub(super) head: Head,
    /// Trained tensors and running statistics, each kind in the order of its places.
    pub(super) entries: Vec<Entry>,
}

impl Layout {
    /// For a network that computes by `path`, its products in `precision`.
    pub(super) fn new(config: &ClassifierConfig, path: Path, precision: Precision) -> Result<Self> {
        config.validate()?;
        let w = config.width;
        let mut builder = Builder {
            path,
            precision,
            entries: Vec::new(),
            trained: 0,
            running: 0,
        };
        let input = [config.image_size, config.image_size, 3];
        let stem = builder.normalised(["stem.0", "stem.1"], input, w, 1)?;
        let mut blocks = Vec::new();
        let mut shape = stem.convolution.output();
        for (i, (multiple, stride)) in config.architecture.blocks().iter().enumerate() {
            let block = builder.block(&format!("blocks.{i}"), shape, multiple * w, *stride)?;
            shape = block.second.convolution.output();
            blocks.push(block);
        }
        let [.., channels] = shape;
        let weight = vec![config.classes, channels];
        let head = Head {
            pool: GlobalAverage::new(path, precision),
            maps: shape,
            classes: config.classes,
            map: Convolution::new(
                path,
                ConvolutionShape::same(1, 1),
                [1, 1, channels],
                config.classes,
                Precision::F32,
            )?,
            weight: builder.trained("head.weight".into(), weight, Order::Transposed),
            bias: builder.trained("head.bias".into(), vec![config.classes], Order::Plain),
        };
        Ok(Self {
            stem,
            blocks,
            head,
            entries: builder.entries,
        })
    }

    /// The pixels of the smallest maps that are normalised, those of one image.
    pub(super) fn fewest_pixels(&self) -> usize {
        let [height, width, _] = self.head.maps;
        height * width
    }

    /// Values that the last linear map reads.
    pub(super) fn channels(&self) -> usize {
        let [.., channels] = self.head.maps;
        channels
    }

    /// The trained values (running statistics not counted).
    pub(super) fn num_parameters(&self) -> usize {
        self.trained().map(Entry::len).sum()
    }

    /// The trained tensors, in the order of their places.
    pub(super) fn trained(&self) -> impl Iterator<Item = &Entry> {
        let trained = |entry: &&Entry| matches!(entry.place, Place::Trained(_));
        self.entries.iter().filter(trained)
    }

    /// Whether the tensor of this name is trained.
    pub(super) fn is_trained(&self, name: &str) -> bool {
        self.trained().any(|entry| entry.name == name)
    }
}

struct Builder {
    path: Path,
    precision: Precision,
    entries: Vec<Entry>,
    trained: usize,
    running: usize,
}

impl Builder {
    fn block(
        &mut self,
        name: &str,
        input: [usize; 3],
        channels: usize,
        stride: usize,
    ) -> Result<Block> {
        let names = |conv: &str, norm: &str| [format!("{name}.{conv}"), format!("{name}.{norm}")];
        let first = self.normalised(names("a", "na"), input, channels, stride)?;
        let second = self.normalised(names("b", "nb"), first.convolution.output(), channels, 1)?;
        let skip = if input[2] == channels && stride == 1 {
            None
        } else {
            let shape = ConvolutionShape::same(1, stride);
            let name = format!("{name}.s");
            Some(self.convolution(&name, shape, input, channels)?)
        };
        Ok(Block {
            first,
            second,
            skip,
        })
    }

    fn normalised(
        &mut self,
        [conv, norm]: [impl AsRef<str>; 2],
        input: [usize; 3],
        channels: usize,
        stride: usize,
    ) -> Result<NormalisedConvolution> {
        let shape = ConvolutionShape::same(3, stride);
        let (convolution, weight) = self.convolution(conv.as_ref(), shape, input, channels)?;
        let name = |part: &str| format!("{}.{part}", norm.as_ref());
        Ok(NormalisedConvolution {
            convolution,
            norm: BatchNorm::new(self.path),
            weight,
            gamma: self.trained(name("weight"), vec![channels], Order::Plain),
            beta: self.trained(name("bias"), vec![channels], Order::Plain),
            mean: self.running(name("running_mean"), channels),
            variance: self.running(name("running_var"), channels),
        })
    }

    fn convolution(
        &mut self,
        name: &str,
        shape: ConvolutionShape,
        input: [usize; 3],
        channels: usize,
    ) -> Result<(Convolution, Trained)> {
        let convolution = Convolution::new(self.path, shape, input, channels, self.precision)?;
        let dims = vec![channels, input[2], shape.kernel, shape.kernel];
        let weight = self.trained(format!("{name}.weight"), dims, Order::Kernel);
        Ok((convolution, weight))
    }

    fn trained(&mut self, name: String, shape: Vec<usize>, order: Order) -> Trained {
        let place = Trained(self.trained);
        self.trained += 1;
        self.entries.push(Entry {
            name,
            shape,
            place: Place::Trained(place),
            order,
        });
        place
    }

    fn running(&mut self, name: String, channels: usize) -> Running {
        let place = Running(self.running);
        self.running += 1;
        self.entries.push(Entry {
            name,
            shape: vec![channels],
            place: Place::Running(place),
            order: Order::Plain,
        });
        place
    }
}

impl Entry {
    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Values that one output value is summed from.
    pub(super) fn fan_in(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// The shape as it is stored.
    pub(super) fn stored_shape(&self) -> Vec<usize> {
        match self.order {
            Order::Plain => self.shape.clone(),
            Order::Transposed | Order::Kernel => vec![self.fan_in(), self.shape[0]],
        }
    }

    /// Stored values in PyTorch's order.
    pub(super) fn export(&self, stored: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; stored.len()];
        self.for_each_pair(|at_pytorch, at_stored| values[at_pytorch] = stored[at_stored]);
        values
    }

    /// Values given in PyTorch's order as they are stored.
    pub(super) fn import(&self, values: &[f32]) -> Vec<f32> {
        let mut stored = vec![0.0; values.len()];
        self.for_each_pair(|at_pytorch, at_stored| stored[at_stored] = values[at_pytorch]);
        stored
    }

    fn for_each_pair(&self, mut pair: impl FnMut(usize, usize)) {
        let outputs = self.shape[0];
        let within = self.len() / outputs.max(1);
        match self.order {
            Order::Plain => (0..self.len()).for_each(|i| pair(i, i)),
            Order::Transposed => {
                for output in 0..outputs {
                    (0..within).for_each(|i| pair(output * within + i, i * outputs + output));
                }
            }
            Order::Kernel => {
                let inputs = self.shape[1];
                let taps = within / inputs.max(1);
                for output in 0..outputs {
                    for input in 0..inputs {
                        for tap in 0..taps {
                            pair(
                                (output * inputs + input) * taps + tap,
                                (tap * inputs + input) * outputs + output,
                            );
                        }
                    }
                }
            }
        }
    }
}
