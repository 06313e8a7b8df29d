//! The residual classifier.

mod config;
mod file;
mod layout;
mod network;
mod state;

pub use config::{Architecture, ClassifierConfig};
pub(crate) use layout::Layout;
pub(crate) use network::Batch;
pub(crate) use state::State;

use candle_core::{Device, Tensor};
use promptfed_data::LabelledImages;
use promptfed_nn::cross_entropy::softmax;
use promptfed_nn::{Path, Precision, on_pool_thread};

use crate::images::{check_size, normalise};
use crate::{Error, Parameters, Recipe, Result, Weights};

/// Images classified at once.
const INFERENCE_BATCH: usize = 64;

/// A residual network for square RGB images: a 3x3 convolution, four residual blocks of which the
/// first three halve the image, the mean over all pixels, and a linear map (after He et al. 2016,
/// "Deep Residual Learning for Image Recognition", section 4.2).
#[derive(Debug, Clone)]
pub struct Classifier {
    config: ClassifierConfig,
    layout: Layout,
    state: State,
    class_names: Vec<String>,
    recipe: Option<Recipe>,
}

impl Classifier {
    /// A classifier on the CPU with initial weights drawn from `seed` as PyTorch's layers draw theirs.
    ///
    /// # Errors
    /// If the configuration is out of range, or the environment names an instruction set that is not here.
    pub fn new(config: ClassifierConfig, seed: u64) -> Result<Self> {
        let device = Device::Cpu;
        let layout = Layout::new(&config, Path::of(&device)?, Precision::chosen())?;
        let state = State::initial(&layout, seed, &device)?;
        Ok(Self {
            config,
            layout,
            state,
            class_names: Vec::new(),
            recipe: None,
        })
    }

    /// The same classifier on another device, where it classifies and is trained from then on: on the CPU by this
    /// project's kernels, elsewhere by candle's operations; in [`Precision::chosen`] either way, which asks the CPU where nobody has
    /// chosen.
    ///
    /// # Errors
    /// If the weights cannot be moved, or the environment names an instruction set that is not here.
    pub fn on(&self, device: &Device) -> Result<Self> {
        let layout = Layout::new(&self.config, Path::of(device)?, Precision::chosen())?;
        self.through(layout, device)
    }

    /// The same classifier with other layers.
    fn through(&self, layout: Layout, device: &Device) -> Result<Self> {
        Ok(Self {
            config: self.config,
            state: State::import(&layout, &self.weights()?, device)?,
            layout,
            class_names: self.class_names.clone(),
            recipe: self.recipe.clone(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &ClassifierConfig {
        &self.config
    }

    /// The classes' names in label order; empty until they are known. Training takes them from its images.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Whether images have the classes that it was trained on, where it knows them.
    ///
    /// # Errors
    /// [`Error::ClassNames`] if not.
    pub fn check_classes(&self, images: &LabelledImages) -> Result<()> {
        if self.class_names.is_empty() || self.class_names == images.class_names {
            return Ok(());
        }
        Err(Error::ClassNames {
            images: images.class_names.clone(),
            classifier: self.class_names.clone(),
        })
    }

    /// States what the classes mean, in label order.
    ///
    /// # Errors
    /// [`Error::ClassNames`] if there is not one name for each class.
    pub fn set_class_names(&mut self, names: &[String]) -> Result<()> {
        if names.len() != self.config.classes {
            return Err(Error::ClassNames {
                images: names.to_vec(),
                classifier: vec![format!("{} classes", self.config.classes)],
            });
        }
        self.class_names = names.to_vec();
        Ok(())
    }

    /// What the classifier was trained with, where that is known.
    pub fn recipe(&self) -> Option<&Recipe> {
        self.recipe.as_ref()
    }

    /// States what the classifier is trained with.
    pub fn set_recipe(&mut self, recipe: Recipe) {
        self.recipe = Some(recipe);
    }

    /// The number of trained values (running statistics not counted).
    pub fn num_parameters(&self) -> usize {
        self.layout.num_parameters()
    }

    /// The probability of every class for every image, `[n, classes]` in row-major order.
    ///
    /// # Errors
    /// If the images are not of the configured size, or the device fails.
    pub fn probabilities(&self, images: &LabelledImages) -> Result<Vec<f32>> {
        self.probabilities_with(&self.state, images, "given")
    }

    /// What the last linear map makes of every image, `[n, classes]` in row-major order: logits, or a representation where the classifier
    /// was trained to give one.
    ///
    /// # Errors
    /// As [`Classifier::probabilities`].
    pub fn logits(&self, images: &LabelledImages) -> Result<Vec<f32>> {
        self.logits_with(&self.state, images, "given")
    }

    pub(crate) fn probabilities_with(
        &self,
        state: &State,
        images: &LabelledImages,
        role: &'static str,
    ) -> Result<Vec<f32>> {
        let mut probabilities = self.logits_with(state, images, role)?;
        softmax(&mut probabilities, self.config.classes);
        Ok(probabilities)
    }

    fn logits_with(
        &self,
        state: &State,
        images: &LabelledImages,
        role: &'static str,
    ) -> Result<Vec<f32>> {
        let mut logits = Vec::with_capacity(images.len() * self.config.classes);
        self.each_batch(images, state, role, |batch| {
            logits.extend(self.layout.infer(batch, state)?);
            Ok(())
        })?;
        Ok(logits)
    }

    /// What the last linear map reads of every image, `[n, channels]` in row-major order; `head.weight` `[classes, channels]` and
    /// `head.bias` of [`Classifier::weights`] make logits of it.
    ///
    /// # Errors
    /// As [`Classifier::probabilities`].
    pub fn features(&self, images: &LabelledImages) -> Result<Vec<f32>> {
        let mut features = Vec::with_capacity(images.len() * self.layout.channels());
        self.each_batch(images, &self.state, "given", |batch| {
            let pooled = self.layout.features(batch, &self.state)?;
            features.extend(pooled.flatten_all()?.to_vec1::<f32>()?);
            Ok(())
        })?;
        Ok(features)
    }

    /// Values of [`Classifier::features`] for each image.
    pub fn channels(&self) -> usize {
        self.layout.channels()
    }

    /// [`Classifier::features`] of pixels as the network reads them, `[n, size, size, 3]` in -1..=1.
    ///
    /// # Errors
    /// If they are of another shape, or the device fails.
    pub fn features_of(&self, pixels: &Tensor) -> Result<Vec<f32>> {
        let pooled = self.layout.features(pixels, &self.state)?;
        Ok(pooled.flatten_all()?.to_vec1::<f32>()?)
    }

    fn each_batch(
        &self,
        images: &LabelledImages,
        state: &State,
        role: &'static str,
        mut on_batch: impl FnMut(&Tensor) -> Result<()> + Send,
    ) -> Result<()> {
        check_size(images, &self.config, role)?;
        let side = self.config.image_size;
        let image_len = side * side * 3;
        on_pool_thread(|| -> Result<()> {
            for pixels in images.pixels.chunks(INFERENCE_BATCH * image_len) {
                let shape = (pixels.len() / image_len, side, side, 3);
                on_batch(&Tensor::from_vec(normalise(pixels), shape, state.device())?)?;
            }
            Ok(())
        })
    }

    /// A copy of all tensors, running statistics included.
    ///
    /// # Errors
    /// If they cannot be copied from their device.
    pub fn weights(&self) -> Result<Weights> {
        self.state.export(&self.layout)
    }

    /// A copy of the trained tensors.
    ///
    /// # Errors
    /// If they cannot be copied.
    pub fn parameters(&self) -> Result<Parameters> {
        Ok(Parameters::new(self.state.copied()?.trained))
    }

    /// Values for each trained tensor, by name, as tensors where this classifier computes. Running statistics may be missing.
    ///
    /// # Errors
    /// If a trained tensor is missing, of another shape or not finite: the error lists all of them.
    pub fn parameters_of(&self, weights: &Weights) -> Result<Parameters> {
        let device = self.state.device();
        let tensors = State::import_trained(&self.layout, weights, device)?;
        Ok(Parameters::new(tensors))
    }

    /// Whether the tensor of this name is trained; the others are running statistics.
    pub fn is_trained(&self, name: &str) -> bool {
        self.layout.is_trained(name)
    }

    /// Replaces all tensors; on an error nothing is changed.
    ///
    /// # Errors
    /// If a tensor is missing, unknown, of another shape or not finite: the error lists all of them.
    pub fn load_weights(&mut self, weights: &Weights) -> Result<()> {
        self.state = State::import(&self.layout, weights, self.state.device())?;
        Ok(())
    }

    /// Whether batches of `batch` images leave more than one value per channel to every normalisation, so that it says something.
    ///
    /// # Errors
    /// [`Error::OneValue`] if not.
    pub fn check_batch(&self, batch: usize) -> Result<()> {
        if batch * self.layout.fewest_pixels() > 1 {
            return Ok(());
        }
        Err(Error::OneValue {
            image_size: self.config.image_size,
        })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn set_state(&mut self, state: State) {
        self.state = state;
    }
}
