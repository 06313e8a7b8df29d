//! One training step: forward by the batch's statistics, loss, backward. The same code for every device: the layers
//! know two ways to compute.
//!
//! The backward pass is written out: candle's own fills a tensor with zeros and adds to it for every gradient of every layer.

use candle_core::Tensor;
use promptfed_nn::batch_norm::{Affine, Statistics, update_running};
use promptfed_nn::convolution::ForImages;

use super::layout::{Block, Layout, NormalisedConvolution, Trained};
use super::state::State;
use crate::Result;
use crate::objective::{HeadBatch, HeadGradients, Objective};

/// A batch of images and what they show.
pub(crate) struct Batch<'a> {
    /// `[n]`, their positions in the training set.
    pub(crate) indices: &'a [usize],
    /// `[n, size, size, 3]` in -1..=1.
    pub(crate) images: Tensor,
    /// `[n]`.
    pub(crate) labels: &'a [u32],
    /// `[n]`, the samples' weights in the loss.
    pub(crate) weights: Option<&'a [f32]>,
}

/// A step's loss, and its gradients in the order of [`State::trained`].
pub(crate) struct Step {
    pub(crate) loss: HeadGradients,
    pub(crate) gradients: Vec<Tensor>,
}

/// What a convolution and its normalisation leave for the backward pass.
struct Trace {
    /// After the convolution.
    convolved: Tensor,
    statistics: Statistics,
    /// After normalisation, residual and ReLU.
    output: Tensor,
}

/// What a block leaves.
struct BlockTrace {
    first: Trace,
    second: Trace,
}

/// The way back through the layers.
struct Backward<'a> {
    state: &'a State,
    /// The gradients found so far, in the order of [`State::trained`].
    found: Vec<Option<Tensor>>,
}

impl<'a> Backward<'a> {
    fn weight(&self, place: Trained) -> &'a Tensor {
        self.state.trained(place)
    }

    fn set(&mut self, place: Trained, gradient: Tensor) {
        self.found[place.0] = Some(gradient);
    }
}

impl Layout {
    /// The loss of a batch and its gradients; the running statistics of `state` move.
    pub(crate) fn step(
        &self,
        state: &mut State,
        batch: &Batch<'_>,
        objective: &mut dyn Objective,
    ) -> Result<Step> {
        let images = &batch.images;
        let stem = self.stem.train(images, None, state)?;
        let mut blocks: Vec<BlockTrace> = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let input = blocks.last().map_or(&stem, |before| &before.second);
            let trace = block.train(&input.output, state)?;
            blocks.push(trace);
        }
        let last = blocks.last().map_or(&stem, |block| &block.second);
        let pooled = self.head.pool.forward(&last.output)?;
        let logits = self.logits(&pooled, state)?;
        let loss = objective.head(&HeadBatch {
            indices: batch.indices,
            labels: batch.labels,
            weights: batch.weights,
            pixels: images,
            features: &pooled.flatten_all()?.to_vec1()?,
            logits: &logits.flatten_all()?.to_vec1()?,
        })?;
        let device = images.device();
        let of_logits = Tensor::from_slice(&loss.logits, logits.shape(), device)?;
        let of_features = loss.features.as_ref();
        let of_features = of_features.map(|g| Tensor::from_slice(g, pooled.shape(), device));
        let of_features = of_features.transpose()?;

        let mut back = Backward {
            state,
            found: vec![None; state.trained.len()],
        };
        let mut gradient =
            self.head_gradients(&pooled, &of_logits, of_features.as_ref(), &mut back)?;
        while let (Some(trace), Some(block)) = (blocks.pop(), self.blocks.get(blocks.len())) {
            let input = blocks.last().map_or(&stem, |before| &before.second);
            gradient = block.gradient(trace, &input.output, &gradient, &mut back)?;
        }
        let unwanted = ForImages::Unwanted;
        self.stem
            .gradient(stem, images, &gradient, false, unwanted, &mut back)?;
        let gradients = back.found.into_iter().map(needed);
        Ok(Step {
            loss,
            gradients: gradients.collect::<Result<_>>()?,
        })
    }

    /// The logits `[n, classes]` by the running statistics.
    pub(super) fn infer(&self, images: &Tensor, state: &State) -> Result<Vec<f32>> {
        let pooled = self.features(images, state)?;
        Ok(self.logits(&pooled, state)?.flatten_all()?.to_vec1()?)
    }

    /// What the last linear map reads, `[n, channels]`, by the running statistics.
    pub(super) fn features(&self, images: &Tensor, state: &State) -> Result<Tensor> {
        let mut maps = self.stem.infer(images, None, state)?;
        for block in &self.blocks {
            let residual = block.residual(&maps, state)?;
            let inner = block.first.infer(&maps, None, state)?;
            maps = block.second.infer(&inner, Some(&residual), state)?;
        }
        Ok(self.head.pool.forward(&maps)?)
    }

    fn logits(&self, pooled: &Tensor, state: &State) -> Result<Tensor> {
        let images = pooled.unsqueeze(1)?.unsqueeze(1)?;
        let weight = state.trained(self.head.weight);
        let products = self.head.map.forward(&images, weight)?;
        Ok(products
            .reshape(((), self.head.classes))?
            .broadcast_add(state.trained(self.head.bias))?)
    }

    /// From the gradients of the logits, and of the features beside them, to that of the last feature maps.
    fn head_gradients(
        &self,
        pooled: &Tensor,
        gradient: &Tensor,
        of_features: Option<&Tensor>,
        back: &mut Backward<'_>,
    ) -> Result<Tensor> {
        let head = &self.head;
        back.set(head.bias, gradient.sum(0)?);
        let images = pooled.unsqueeze(1)?.unsqueeze(1)?;
        let of_products = gradient.unsqueeze(1)?.unsqueeze(1)?;
        let weight = back.weight(head.weight);
        let wanted = ForImages::Wanted;
        let gradients = head.map.gradients(&images, weight, &of_products, wanted)?;
        back.set(head.weight, gradients.weight);
        let mut of_pooled = needed(gradients.images)?.reshape(pooled.shape())?;
        if let Some(more) = of_features {
            of_pooled = (of_pooled + more)?;
        }
        let [height, width, _] = head.maps;
        Ok(head.pool.gradient(&of_pooled, [height, width])?)
    }
}

impl Block {
    fn residual(&self, input: &Tensor, state: &State) -> Result<Tensor> {
        match &self.skip {
            Some((skip, weight)) => Ok(skip.forward(input, state.trained(*weight))?),
            None => Ok(input.clone()),
        }
    }

    fn train(&self, input: &Tensor, state: &mut State) -> Result<BlockTrace> {
        let residual = self.residual(input, state)?;
        let first = self.first.train(input, None, state)?;
        let second = self.second.train(&first.output, Some(&residual), state)?;
        Ok(BlockTrace { first, second })
    }

    /// From the gradient of the block's result to that of its input.
    fn gradient(
        &self,
        trace: BlockTrace,
        input: &Tensor,
        gradient: &Tensor,
        back: &mut Backward<'_>,
    ) -> Result<Tensor> {
        let BlockTrace { first, second } = trace;
        let wanted = ForImages::Wanted;
        let inner = first.output.clone();
        let (of_inner, of_residual) = self
            .second
            .gradient(second, &inner, gradient, true, wanted, back)?;
        drop(inner);
        let (of_inner, of_residual) = (needed(of_inner)?, needed(of_residual)?);
        let of_skip = match &self.skip {
            None => of_residual,
            Some((skip, place)) => {
                let weight = back.weight(*place);
                let gradients = skip.gradients(input, weight, &of_residual, wanted)?;
                back.set(*place, gradients.weight);
                needed(gradients.images)?
            }
        };
        let added = ForImages::Added(&of_skip);
        let (of_input, _) = self
            .first
            .gradient(first, input, &of_inner, false, added, back)?;
        needed(of_input)
    }
}

impl NormalisedConvolution {
    fn affine<'a>(&self, state: &'a State) -> Affine<'a> {
        Affine {
            gamma: state.trained(self.gamma),
            beta: state.trained(self.beta),
        }
    }

    /// By the batch's own statistics, which move the running ones.
    fn train(&self, input: &Tensor, residual: Option<&Tensor>, state: &mut State) -> Result<Trace> {
        let weight = state.trained(self.weight);
        let convolved = self.convolution.forward(input, weight)?;
        let statistics = self.norm.statistics(&convolved)?;
        let (n, height, width, _) = convolved.dims4()?;
        let running = state.statistics(self);
        let moved = update_running(&running, &statistics, n * height * width)?;
        state.set_statistics(self, moved);
        let affine = self.affine(state);
        let output = self
            .norm
            .forward(&convolved, &statistics, affine, residual)?;
        Ok(Trace {
            convolved,
            statistics,
            output,
        })
    }

    fn infer(&self, input: &Tensor, residual: Option<&Tensor>, state: &State) -> Result<Tensor> {
        let convolved = self
            .convolution
            .forward(input, state.trained(self.weight))?;
        let statistics = state.statistics(self);
        let affine = self.affine(state);
        Ok(self
            .norm
            .forward(&convolved, &statistics, affine, residual)?)
    }

    /// From the gradient of the result to those of the input and, `with_residual`, of the residual.
    fn gradient(
        &self,
        trace: Trace,
        input: &Tensor,
        gradient: &Tensor,
        with_residual: bool,
        for_input: ForImages<'_>,
        back: &mut Backward<'_>,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Trace {
            convolved,
            statistics,
            output,
        } = trace;
        let affine = self.affine(back.state);
        let through = self.norm.gradients(
            &convolved,
            &output,
            gradient,
            &statistics,
            affine,
            with_residual,
        )?;
        drop((convolved, output));
        back.set(self.gamma, through.gamma);
        back.set(self.beta, through.beta);
        let weight = back.weight(self.weight);
        let gradients = self
            .convolution
            .gradients(input, weight, &through.values, for_input)?;
        back.set(self.weight, gradients.weight);
        Ok((gradients.images, through.residual))
    }
}

fn needed(gradient: Option<Tensor>) -> Result<Tensor> {
    let missing = || candle_core::Error::msg("a gradient that was asked for is missing");
    Ok(gradient.ok_or_else(missing)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use promptfed_nn::noise::uniform;
    use promptfed_nn::{Path, Precision};

    use super::*;
    use crate::objective::Classes;
    use crate::{Classifier, ClassifierConfig};

    /// A classifier none of whose weights is special, and six images.
    fn example(config: ClassifierConfig) -> (Classifier, Tensor) {
        let mut model = Classifier::new(config, 3).unwrap();
        let mut weights = model.weights().unwrap();
        for (i, (name, tensor)) in weights.iter_mut().enumerate() {
            if tensor.shape.len() == 1 {
                let low = if name.contains("var") { 0.5 } else { -0.5 };
                tensor.values = uniform(i as u64, tensor.values.len(), low, 1.5);
            }
        }
        model.load_weights(&weights).unwrap();
        let shape = [6, config.image_size, config.image_size, 3];
        let pixels = uniform(1, shape.iter().product(), -1.0, 1.0);
        let images = Tensor::from_vec(pixels, &shape[..], &Device::Cpu).unwrap();
        (model, images)
    }

    fn step(model: &Classifier, state: &mut State, images: &Tensor) -> Step {
        let batch = Batch {
            indices: &[0, 1, 2, 3, 4, 5],
            images: images.clone(),
            labels: &[0, 1, 2, 3, 4, 0],
            weights: Some(&[1.0, 2.0, 1.0, 0.5, 1.0, 1.0]),
        };
        let mut objective = Classes {
            label_smoothing: 0.1,
        };
        model.layout().step(state, &batch, &mut objective).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The code of a graphics card, run on the CPU: a step's loss, gradients and running statistics, and what is inferred.
    #[test]
    fn a_step_by_candles_operations_is_that_of_the_kernels() {
        for config in [
            ClassifierConfig::new(5, 16).with_width(4),
            ClassifierConfig::resnet18(5, 8).with_width(4),
        ] {
            let (model, images) = example(config);
            let run = |path| {
                let layout = Layout::new(&config, path, Precision::F32).unwrap();
                let model = model.through(layout, &Device::Cpu).unwrap();
                let mut state = model.state().copied().unwrap();
                let step = step(&model, &mut state, &images);
                let inferred = model.layout().infer(&images, &state).unwrap();
                let running = state.export(model.layout()).unwrap();
                (step, inferred, running)
            };
            let (ours, inferred, running) = run(Path::of(&Device::Cpu).unwrap());
            let (theirs, also_inferred, also_running) = run(Path::Operations);
            assert!((ours.loss.loss - theirs.loss.loss).abs() < 1e-5);
            let close = |a: &[f32], b: &[f32]| {
                let scale = b.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
                assert_eq!(a.len(), b.len());
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() <= 1e-3 * scale, "{a} and {b} of {scale}");
                }
            };
            close(&inferred, &also_inferred);
            for (name, tensor) in &running {
                close(&tensor.values, &also_running[name].values);
            }
            assert_eq!(ours.gradients.len(), theirs.gradients.len());
            for (a, b) in ours.gradients.iter().zip(&theirs.gradients) {
                assert_eq!(a.dims(), b.dims());
                close(&values(a), &values(b));
            }
        }
    }

    /// Along its own direction the gradient of every tensor of eight blocks is the slope of the loss.
    #[test]
    fn gradients_of_resnet18_agree_with_finite_differences() {
        let config = ClassifierConfig::resnet18(5, 16).with_width(4);
        let (model, images) = example(config);
        let layout = Layout::new(&config, Path::of(&Device::Cpu).unwrap(), Precision::F32);
        let model = model.through(layout.unwrap(), &Device::Cpu).unwrap();
        let start = model.state();
        let found = step(&model, &mut start.copied().unwrap(), &images);
        let norm = |tensor: &Tensor| {
            let squares = values(tensor).into_iter().map(|v| f64::from(v).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let mut checked = 0;
        for (i, gradient) in found.gradients.iter().enumerate() {
            let slope = norm(gradient);
            if slope < 0.02 {
                continue;
            }
            let size = (1e-4 / slope).min(3e-4 * norm(&start.trained[i]).max(0.5));
            let loss = |sign: f64| {
                let mut state = start.copied().unwrap();
                let moved = (gradient * (sign * size / slope)).unwrap();
                state.trained[i] = (&state.trained[i] + moved).unwrap();
                f64::from(step(&model, &mut state, &images).loss.loss)
            };
            let difference = (loss(1.0) - loss(-1.0)) / (2.0 * size);
            let error = (difference - slope).abs() / slope;
            assert!(error < 0.05, "tensor {i}: {difference} and not {slope}");
            checked += 1;
        }
        assert!(checked * 2 > found.gradients.len(), "{checked} tensors");
    }

    #[test]
    fn another_device_keeps_everything() {
        let (mut model, images) = example(ClassifierConfig::new(5, 16).with_width(4));
        let names: Vec<String> = (0..5).map(|i| i.to_string()).collect();
        model.set_class_names(&names).unwrap();
        let moved = model.on(&Device::Cpu).unwrap();
        assert_eq!(moved.class_names(), names);
        assert!(moved.weights().unwrap() == model.weights().unwrap());
        let infer = |model: &Classifier| model.layout().infer(&images, model.state()).unwrap();
        assert_eq!(infer(&moved), infer(&model));
    }
}
