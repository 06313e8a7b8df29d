//! A network that nobody trains: what it makes of images is what methods learn from.

use super::LinearHead;
use crate::feature_cache::{FeatureCache, Row};
use crate::methods::World;
use crate::predictor::Predictor;
use crate::quality::{FeatureSet, QualityError};
use crate::{Error, Result};
use promptfed_data::LabelledImages;
use promptfed_prompts::ContentHash;
use promptfed_vision::{EfficientNet, Pixels};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Images between two looks at whether it is to stop.
const TOGETHER: usize = 32;

/// EfficientNet-lite0 as it was trained on ImageNet, known by the hash of its file. All clients and the server have it before a method begins, as
/// they have the program: it does not cross.
#[derive(Clone)]
pub struct FrozenNetwork {
    network: Arc<EfficientNet>,
    hash: ContentHash,
    cache: FeatureCache,
}

impl FrozenNetwork {
    /// Values of an image's features.
    pub const WIDTH: usize = EfficientNet::FEATURES;

    /// What is to be told wherever a method sees by it.
    pub const DOUBT: &'static str = "sees images by EfficientNet-lite0, which was trained on ImageNet with its labels: of data that were cut from ImageNet it has seen the \
        classes, and perhaps the test images, so that a gain over methods that begin with nothing is not the federation's alone";

    /// A network that is loaded.
    ///
    /// # Errors
    /// If its file cannot be read again.
    pub fn new(network: Arc<EfficientNet>) -> Result<Self> {
        let file = fs_err::read(network.file()).map_err(promptfed_vision::Error::from);
        let hash = ContentHash::of(&file.map_err(QualityError::from)?);
        Ok(Self {
            network,
            hash,
            cache: FeatureCache::default(),
        })
    }

    /// The same, which keeps features in `cache` and takes them from there.
    #[must_use]
    pub fn with_cache(self, cache: FeatureCache) -> Self {
        Self { cache, ..self }
    }

    /// Loads `model.safetensors` of a folder.
    ///
    /// # Errors
    /// As [`EfficientNet::load`].
    pub fn load(folder: &Path) -> Result<Self> {
        let network = EfficientNet::load(folder).map_err(QualityError::from)?;
        Self::new(Arc::new(network))
    }

    /// Name and hash of the network: what determines features beside the images.
    pub fn identity(&self) -> String {
        format!("efficientnet-lite0 {}", self.hash)
    }

    /// The images' features, [`FrozenNetwork::WIDTH`] of each, enlarged to what the network takes; `progress` is told how many images are done.
    ///
    /// # Errors
    /// If the network fails, if a feature is no number, or if `cancel` is set.
    pub fn features(
        &self,
        images: &LabelledImages,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(usize),
    ) -> Result<FeatureSet> {
        let side = images.size as u32;
        let mut values = Vec::with_capacity(images.len() * Self::WIDTH);
        for first in (0..images.len()).step_by(TOGETHER) {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let end = images.len().min(first + TOGETHER);
            let pixels = (first..end).map(|index| Pixels {
                height: side,
                width: side,
                values: images.image(index),
            });
            let pixels: Vec<Pixels<'_>> = pixels.collect();
            values.extend(self.network.features(&pixels).map_err(QualityError::from)?);
            progress(end);
        }
        Ok(FeatureSet::new(Self::WIDTH, values)?)
    }

    /// The same for a run: features that are known already are taken from the cache, and the time they took then is added to the run's.
    ///
    /// # Errors
    /// As [`FrozenNetwork::features`].
    pub fn features_of(
        &self,
        images: &LabelledImages,
        world: &World<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<FeatureSet> {
        let (features, saved) = self.cached(images, world.cancel, progress)?;
        world.stopwatch.add(saved);
        Ok(features)
    }

    /// The features, and the time that those took before which are taken from the cache.
    pub(super) fn cached(
        &self,
        images: &LabelledImages,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(FeatureSet, Duration)> {
        let key = |index: usize| self.cache.key(&self.hash, images.size, images.image(index));
        let keys: Vec<_> = (0..images.len()).map(key).collect();
        let mut rows: Vec<Option<Arc<Row>>> = keys.iter().map(|k| self.cache.find(k)).collect();
        let saved: f64 = rows.iter().flatten().map(|row| row.seconds()).sum();
        let missing: Vec<usize> = (0..rows.len()).filter(|&i| rows[i].is_none()).collect();
        let known = rows.len() - missing.len();
        progress(known);
        for (number, some) in missing.chunks(TOGETHER).enumerate() {
            let start = Instant::now();
            let features = self.features(&images.subset(some), cancel, &mut |_| {})?;
            let seconds = start.elapsed().as_secs_f64() / some.len() as f64;
            let values = features.values().chunks_exact(Self::WIDTH);
            for (&index, values) in some.iter().zip(values) {
                let row = Arc::new(Row::new(values, seconds));
                self.cache.keep(keys[index], &row);
                rows[index] = Some(row);
            }
            progress(known + (number * TOGETHER) + some.len());
        }
        let mut values = Vec::with_capacity(images.len() * Self::WIDTH);
        rows.iter()
            .flatten()
            .for_each(|row| values.extend_from_slice(row.values()));
        let saved = Duration::try_from_secs_f64(saved).unwrap_or_default();
        Ok((FeatureSet::new(Self::WIDTH, values)?, saved))
    }
}

/// A frozen network and a head on its features.
pub(super) struct FrozenClassifier {
    pub(super) network: FrozenNetwork,
    pub(super) head: LinearHead,
}

impl Predictor for FrozenClassifier {
    fn probabilities(&self, images: &LabelledImages) -> Result<Vec<f32>> {
        let never = AtomicBool::new(false);
        let (features, _) = self.network.cached(images, &never, &mut |_| {})?;
        self.head.probabilities(&features)
    }

    /// The head's: the network is everybody's.
    fn file(&self) -> Result<Option<Vec<u8>>> {
        Ok(Some(self.head.to_safetensors()?))
    }
}
