//! The layers of a classifier, and where each tensor lies in the flat arrays that hold them all.

use std::ops::Range;

use promptfed_nn::Precision;
use promptfed_nn::batch_norm::BatchNorm;
use promptfed_nn::convolution::{Convolution, ConvolutionShape};
use promptfed_nn::pool::GlobalAverage;

use super::ClassifierConfig;
use crate::Result;

/// A convolution and the batch normalisation after it.
#[derive(Debug, Clone)]
pub(super) struct NormalisedConvolution {
    pub(super) convolution: Convolution,
    pub(super) norm: BatchNorm,
    pub(super) weight: Range<usize>,
    pub(super) gamma: Range<usize>,
    pub(super) beta: Range<usize>,
    pub(super) mean: Range<usize>,
    pub(super) variance: Range<usize>,
}

/// `relu(norm(conv(relu(norm(conv(x))))) + skip(x))` (He et al. 2016).
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) first: NormalisedConvolution,
    pub(super) second: NormalisedConvolution,
    /// A 1x1 convolution where the shape changes, otherwise the identity.
    pub(super) skip: Option<(Convolution, Range<usize>)>,
}

/// The mean over all pixels and a linear map.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) pool: GlobalAverage,
    pub(super) channels: usize,
    pub(super) weight: Range<usize>,
    pub(super) bias: Range<usize>,
}

/// How a tensor's values are ordered in the flat array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As in PyTorch.
    Plain,
    /// The transpose of PyTorch's `[out, in]`.
    Transposed,
    /// `[kernel, kernel, in, out]` for PyTorch's `[out, in, kernel, kernel]`.
    Kernel,
}

/// Which flat array holds a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    Trained,
    Statistics,
}

/// One tensor under PyTorch's name and shape.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) store: Store,
    pub(super) range: Range<usize>,
    pub(super) order: Order,
}

/// All layers of a classifier.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) stem: NormalisedConvolution,
    pub(super) blocks: Vec<Block>,
    pub(super) head: Head,
    pub(super) entries: Vec<Entry>,
    pub(super) trained_len: usize,
    pub(super) statistics_len: usize,
}

impl Layout {
    pub(super) fn new(config: &ClassifierConfig) -> Result<Self> {
        config.validate()?;
        let w = config.width;
        let mut builder = Builder::default();
        let input = [config.image_size, config.image_size, 3];
        let stem = builder.normalised(["stem.0", "stem.1"], input, w, 1)?;
        let mut blocks = Vec::new();
        let mut shape = stem.convolution.output();
        for (i, (multiple, stride)) in config.architecture.blocks().iter().enumerate() {
            let block = builder.block(&format!("blocks.{i}"), shape, multiple * w, *stride)?;
            shape = block.second.convolution.output();
            blocks.push(block);
        }
        let [height, width, channels] = shape;
        let head = Head {
            pool: GlobalAverage::new(height * width, channels)?,
            channels,
            weight: builder.add(
                "head.weight".into(),
                vec![config.classes, channels],
                Store::Trained,
                Order::Transposed,
            ),
            bias: builder.plain("head.bias", config.classes, Store::Trained),
        };
        Ok(Self {
            stem,
            blocks,
            head,
            entries: builder.entries,
            trained_len: builder.trained_len,
            statistics_len: builder.statistics_len,
        })
    }
}

#[derive(Default)]
struct Builder {
    entries: Vec<Entry>,
    trained_len: usize,
    statistics_len: usize,
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
        let norm = norm.as_ref();
        let mut vector = |part: &str, store| self.plain(&format!("{norm}.{part}"), channels, store);
        Ok(NormalisedConvolution {
            convolution,
            norm: BatchNorm::new()?,
            weight,
            gamma: vector("weight", Store::Trained),
            beta: vector("bias", Store::Trained),
            mean: vector("running_mean", Store::Statistics),
            variance: vector("running_var", Store::Statistics),
        })
    }

    fn convolution(
        &mut self,
        name: &str,
        shape: ConvolutionShape,
        input: [usize; 3],
        channels: usize,
    ) -> Result<(Convolution, Range<usize>)> {
        let convolution = Convolution::new(shape, input, channels, Precision::chosen())?;
        let weight = self.add(
            format!("{name}.weight"),
            vec![channels, input[2], shape.kernel, shape.kernel],
            Store::Trained,
            Order::Kernel,
        );
        Ok((convolution, weight))
    }

    fn plain(&mut self, name: &str, len: usize, store: Store) -> Range<usize> {
        self.add(name.to_owned(), vec![len], store, Order::Plain)
    }

    fn add(&mut self, name: String, shape: Vec<usize>, store: Store, order: Order) -> Range<usize> {
        let total = match store {
            Store::Trained => &mut self.trained_len,
            Store::Statistics => &mut self.statistics_len,
        };
        let range = *total..*total + shape.iter().product::<usize>();
        *total = range.end;
        self.entries.push(Entry {
            name,
            shape,
            store,
            range: range.clone(),
            order,
        });
        range
    }
}

impl Entry {
    /// Values that one output value is summed from.
    pub(super) fn fan_in(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// The values in PyTorch's order.
    pub(super) fn export(&self, stored: &[f32]) -> Vec<f32> {
        let stored = &stored[self.range.clone()];
        let mut values = vec![0.0; stored.len()];
        self.for_each_pair(|at_pytorch, at_stored| values[at_pytorch] = stored[at_stored]);
        values
    }

    /// Stores values given in PyTorch's order.
    pub(super) fn import(&self, values: &[f32], stored: &mut [f32]) {
        let stored = &mut stored[self.range.clone()];
        self.for_each_pair(|at_pytorch, at_stored| stored[at_stored] = values[at_pytorch]);
    }

    fn for_each_pair(&self, mut pair: impl FnMut(usize, usize)) {
        let outputs = self.shape[0];
        let within = self.range.len() / outputs.max(1);
        match self.order {
            Order::Plain => (0..self.range.len()).for_each(|i| pair(i, i)),
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
