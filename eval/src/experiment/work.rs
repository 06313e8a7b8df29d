//! One run: a method with a seed.

use crate::Result;
use crate::comparison::MethodRun;
use crate::federation::{Federation, TestSet};
use crate::gallery;
use crate::journal::{Done, KeptImages, KeptPredictions};
use crate::methods::{Method, Models, World};
use crate::observer::Observer;
use crate::probe::{TestProbe, test_all};
use crate::simulation::{SimulatedClock, Simulation};
use crate::stopwatch::Stopwatch;
use crate::wire::Channel;
use promptfed_learn::Recipe;
use promptfed_prompts::ContentHash;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// One method with one seed, to be run.
pub(super) struct Work<'a> {
    pub(super) federation: &'a Federation,
    pub(super) test: &'a TestSet,
    pub(super) recipe: &'a Recipe,
    pub(super) simulation: Option<Simulation>,
    pub(super) seed: u64,
    /// Runs at the same time, this one included.
    pub(super) jobs: usize,
    pub(super) observer: &'a dyn Observer,
    pub(super) cancel: &'a AtomicBool,
}

impl Work<'_> {
    /// Runs a method once and tests what it leaves. The clock stands while models are tested.
    pub(super) fn run(&self, method: &dyn Method) -> Result<Done> {
        let (channel, stopwatch) = (Channel::new(), Stopwatch::default());
        let clients = self.federation.clients.len();
        let simulated = self
            .simulation
            .map(|s| SimulatedClock::new(s, self.seed, clients));
        let world = World {
            federation: self.federation,
            recipe: self.recipe,
            seed: self.seed,
            channel: &channel,
            stopwatch: &stopwatch,
            simulated: simulated.as_ref(),
            observer: self.observer,
            cancel: self.cancel,
        };
        let mut probe = TestProbe::new(self.test, &channel, simulated.as_ref());
        let start = Instant::now();
        let trained = method.run(&world, &mut probe)?;
        let seconds = stopwatch.seconds(start.elapsed().saturating_sub(probe.testing));
        let (evaluation, said) = test_all(&trained.models, &self.federation.clients, self.test)?;
        probe.ends_with(evaluation.accuracy);
        let file = match &trained.models {
            Models::Global(model) => model.file()?,
            Models::PerClient(_) => None,
        };
        let images = trained.synthetic.map(|images| -> Result<KeptImages> {
            let images = images.load(self.recipe.image_size)?;
            Ok(KeptImages::of(&gallery::shown(self.federation, &images)))
        });
        let (accuracy_by_bytes, accuracy_by_seconds) = probe.into_courses();
        Ok(Done {
            run: MethodRun {
                seed: self.seed,
                evaluation,
                ledger: channel.into_ledger(),
                seconds,
                jobs: self.jobs,
                curve: trained.curve,
                accuracy_by_bytes,
                accuracy_by_seconds,
                model_hash: file.map(|file| ContentHash::of(&file)),
                selected: trained.selected,
                selection: trained.selection,
                synthetic: trained.counts,
            },
            prompts: trained.prompts,
            predictions: said.into_iter().map(KeptPredictions::of).collect(),
            gallery: images.transpose()?,
            provenance: trained.provenance,
            warnings: trained.warnings,
        })
    }
}
