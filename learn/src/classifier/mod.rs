//! The residual classifier.

mod buffers;
mod config;
mod file;
mod layout;
mod network;
mod state;

pub use config::{Architecture, ClassifierConfig};
pub(crate) use network::{Batch, Network};
pub(crate) use state::State;

use promptfed_data::LabelledImages;
use promptfed_nn::cross_entropy::softmax;

use crate::images::{check_size, normalise};
use crate::{Error, Result, Weights};
use layout::Layout;

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
}

impl Classifier {
    /// A classifier with initial weights drawn from `seed` as PyTorch's layers draw theirs.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn new(config: ClassifierConfig, seed: u64) -> Result<Self> {
        let layout = Layout::new(&config)?;
        let state = State::initial(&layout, seed);
        Ok(Self {
            config,
            layout,
            state,
            class_names: Vec::new(),
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

    /// The number of trained values (running statistics not counted).
    pub fn num_parameters(&self) -> usize {
        self.layout.trained_len
    }

    /// The probability of every class for every image, `[n, classes]` in row-major order.
    ///
    /// # Errors
    /// If the images are not of the configured size.
    pub fn probabilities(&self, images: &LabelledImages) -> Result<Vec<f32>> {
        self.probabilities_with(&self.state, images, "given")
    }

    pub(crate) fn probabilities_with(
        &self,
        state: &State,
        images: &LabelledImages,
        role: &'static str,
    ) -> Result<Vec<f32>> {
        check_size(images, &self.config, role)?;
        let image_len = self.config.image_size * self.config.image_size * 3;
        let mut probabilities = Vec::with_capacity(images.len() * self.config.classes);
        let mut network: Option<(usize, Network<'_>)> = None;
        for pixels in images.pixels.chunks(INFERENCE_BATCH * image_len) {
            let batch = pixels.len() / image_len;
            let network = match &mut network {
                Some((size, network)) if *size == batch => network,
                other => &mut other.insert((batch, self.network(batch)?)).1,
            };
            probabilities.extend_from_slice(network.infer(&normalise(pixels), state));
        }
        softmax(&mut probabilities, self.config.classes);
        Ok(probabilities)
    }

    /// A copy of all tensors, running statistics included.
    pub fn weights(&self) -> Weights {
        self.state.export(&self.layout)
    }

    /// Replaces all tensors; on an error nothing is changed.
    ///
    /// # Errors
    /// If a tensor is missing, unknown, of another shape or not finite: the error lists all of them.
    pub fn load_weights(&mut self, weights: &Weights) -> Result<()> {
        self.state = State::import(&self.layout, weights).map_err(|problems| {
            promptfed_nn::Error::Mismatch {
                origin: "the given weights".to_owned(),
                problems,
            }
        })?;
        Ok(())
    }

    pub(crate) fn network(&self, batch: usize) -> Result<Network<'_>> {
        Network::new(&self.layout, batch)
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn set_state(&mut self, state: State) {
        self.state = state;
    }
}
