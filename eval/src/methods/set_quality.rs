//! How good the synthetic set of a run is beside the clients' images, measured with the run.

use super::{Card, FrozenNetwork, Method, Probe, SyntheticImages, Trained, World};
use crate::quality::{Labelled, Quality, QualityError, measure};
use crate::{Error, Result};
use promptfed_data::LabelledImages;
use std::time::Instant;

/// Neighbours that decide how far an image's likeness reaches (Naeem et al. 2020).
const NEIGHBOURS: usize = 5;

/// A method whose runs also tell how good their synthetic sets are: density, coverage, precision, recall and the Vendi score beside all
/// private images, in the features of a frozen network, off the method's clock. The figures stand in the run's provenance.
pub struct WithSetQuality {
    method: Box<dyn Method>,
    network: FrozenNetwork,
}

impl WithSetQuality {
    /// The method, and what its images are seen by.
    pub fn new(method: Box<dyn Method>, network: FrozenNetwork) -> Self {
        Self { method, network }
    }

    fn look(&self, images: &LabelledImages, world: &World<'_>) -> Result<Labelled> {
        let (features, _) = self.network.cached(images, world.cancel, &mut |_| {})?;
        Ok(Labelled {
            features,
            labels: images.labels.clone(),
            class_names: world.federation.class_names.clone(),
        })
    }

    fn measure(&self, images: &SyntheticImages, world: &World<'_>) -> Result<Quality> {
        let pooled = world.federation.pooled()?;
        let real = LabelledImages::concat(&[&pooled.training, &pooled.validation])?;
        let synthetic = images.load(world.recipe.image_size)?;
        let (synthetic, real) = (self.look(&synthetic, world)?, self.look(&real, world)?);
        Ok(measure(&synthetic, &real, None, NEIGHBOURS)?.all)
    }
}

/// The figures by their names.
fn told(quality: &Quality) -> Vec<(String, String)> {
    let manifolds = quality.manifolds.map_or(Vec::new(), |manifolds| {
        vec![
            ("density", manifolds.density),
            ("coverage", manifolds.coverage),
            ("precision", manifolds.precision),
            ("recall", manifolds.recall),
        ]
    });
    let vendi = [
        ("Vendi score", quality.vendi),
        ("Vendi score of as many private images", quality.vendi_real),
    ];
    let all = manifolds.into_iter().chain(vendi);
    all.map(|(name, value)| (format!("synthetic set, {name}"), value.to_string()))
        .collect()
}

impl Method for WithSetQuality {
    fn card(&self) -> Card {
        self.method.card()
    }

    fn determined_by(&self) -> String {
        let own = self.method.determined_by();
        format!("{own} quality by {}", self.network.identity())
    }

    fn looks_at_public(&self) -> bool {
        self.method.looks_at_public()
    }

    fn reads_captions(&self) -> bool {
        self.method.reads_captions()
    }

    fn works_elsewhere(&self) -> bool {
        self.method.works_elsewhere()
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        let mut trained = self.method.run(world, probe)?;
        let Some(images) = &trained.synthetic else {
            return Ok(trained);
        };
        let start = Instant::now();
        let quality = self.measure(images, world);
        world.stopwatch.take_off(start.elapsed());
        match quality {
            Ok(quality) => trained.provenance.extend(told(&quality)),
            // The model stands, though little can be said of its images.
            Err(Error::Features(why @ QualityError::TooFew { .. })) => {
                let warning = format!("a synthetic set was not measured: {why}");
                trained.warnings.push(warning);
            }
            Err(error) => return Err(error),
        }
        Ok(trained)
    }
}
