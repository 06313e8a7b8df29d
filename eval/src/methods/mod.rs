//! The methods that are compared, one file each.
//!
//! A method sees the clients and what they may use; it sees no test image. Whatever crosses goes through the [`Channel`] of its
//! [`World`], or is counted by sockets; how good its model is on the way, it can have tested by its [`Probe`] without learning the answer.

mod averaging;
mod centralised;
mod chance;
mod clusters;
mod creamfl;
mod fedavg;
mod fedhkt;
mod fedmd;
mod fedopt;
mod fedpft;
mod fedproto;
mod fedprox;
mod fgl;
mod fgl_rounds;
mod frozen_network;
mod linear_head;
mod local_only;
mod local_training;
mod majority;
mod moon;
mod participation;
mod per_client;
mod public_images;
mod rounds;
mod scaffold;
mod set_quality;
mod spec;
mod trained_prototypes;

pub use averaging::{Averaged, Averaging};
pub use centralised::Centralised;
pub use chance::Chance;
pub use creamfl::{CreamFl, Held};
pub use fedavg::FedAvg;
pub use fedhkt::FedHkt;
pub use fedmd::FedMd;
pub use fedopt::{Adaptivity, FedOpt};
pub use fedpft::FedPft;
pub use fedproto::FedProto;
pub use fedprox::FedProx;
pub use fgl::{Asking, Fgl, FglConfig, LocalServer, SILENT_CLIENTS};
pub use fgl_rounds::{FglRounds, Statistics};
pub use frozen_network::FrozenNetwork;
pub use linear_head::{LinearHead, SoftmaxRegression, TrainedHead};
pub use local_only::LocalOnly;
pub use majority::Majority;
pub use moon::Moon;
pub use participation::Participation;
pub use rounds::{LocalTask, RoundMethod, RoundPlan, Rounds};
pub use scaffold::Scaffold;
pub use set_quality::WithSetQuality;
pub use spec::{Budget, ChoosingSpec, MethodName, MethodSpec, SettingOf, SpecError};

use crate::comparison::{SubmittedPrompts, SyntheticCounts};
use crate::observer::Observer;
use crate::predictor::Predictor;
use crate::simulation::SimulatedClock;
use crate::wire::Channel;
use crate::{Error, FederatedClient, Federation, Result, Stopwatch};
use promptfed_data::LabelledImages;
use promptfed_learn::{EpochStats, Recipe};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// A way to learn from a federation.
pub trait Method: Send + Sync {
    /// What it is.
    fn card(&self) -> Card;

    /// What beside its card, the recipe, the seed and the images determines its result; nothing of most.
    fn determined_by(&self) -> String {
        String::new()
    }

    /// Whether it looks at public images.
    fn looks_at_public(&self) -> bool {
        false
    }

    /// Whether it reads the captions of public images.
    fn reads_captions(&self) -> bool {
        false
    }

    /// Whether it has work done outside the threads it is run on, as by a server: one such run goes at a time.
    fn works_elsewhere(&self) -> bool {
        false
    }

    /// Runs the method once.
    ///
    /// # Errors
    /// If training, synthesis or communication fails.
    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained>;
}

/// What a method is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Short name, unique among the compared methods: `fgl`, `fedprox:mu=0.1`, ...
    pub name: String,
    /// One sentence: what is shared and what the model is trained on.
    pub description: String,
}

/// What a run may use.
pub struct World<'a> {
    /// The clients and the classes they share.
    pub federation: &'a Federation,
    /// The classifier and its training, the same for every method; each sets its own epochs, schedule and seed.
    pub recipe: &'a Recipe,
    /// The run's seed; a method derives all of its seeds from it.
    pub seed: u64,
    /// What crosses between clients and server.
    pub channel: &'a Channel,
    /// Told what of the time is not the method's.
    pub stopwatch: &'a Stopwatch,
    /// The clock of the clients' links and computers, where these are simulated.
    pub simulated: Option<&'a SimulatedClock>,
    /// Told what the run is doing.
    pub observer: &'a dyn Observer,
    /// Set where the run is to end soon.
    pub cancel: &'a AtomicBool,
}

impl World<'_> {
    /// The clients.
    pub fn clients(&self) -> &[FederatedClient] {
        &self.federation.clients
    }

    /// The public images.
    ///
    /// # Errors
    /// If there are none, for `method`.
    pub fn public(&self, method: &'static str) -> Result<&LabelledImages> {
        let public = self.federation.public.as_ref();
        public.ok_or(Error::NoPublicImages { method })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.federation.label_space.len()
    }
}

/// Has a model tested while a method is under way: off its clock, and out of its sight.
pub trait Probe {
    /// `models` are what the method has after so many rounds, counted from 0: one for all, or one for each client. What crossed for them to
    /// be where they are used has crossed.
    ///
    /// # Errors
    /// A model that cannot be tested.
    fn checkpoint(&mut self, round: usize, models: &[&dyn Predictor]) -> Result<()>;
}

/// The models of a run.
pub enum Models {
    /// One for all.
    Global(Box<dyn Predictor>),
    /// One for each client, in their order; what is reported is the mean of each measure over them.
    PerClient(Vec<Box<dyn Predictor>>),
}

/// Where the synthetic images of a run are.
#[derive(Debug, Clone)]
pub enum SyntheticImages {
    /// The folder of a synthesis job.
    Job(PathBuf),
    /// The folder of a fused set.
    Fused(PathBuf),
}

impl SyntheticImages {
    /// Decodes them at `size` pixels.
    ///
    /// # Errors
    /// A folder that holds no such images.
    pub fn load(&self, size: usize) -> Result<LabelledImages> {
        Ok(match self {
            Self::Job(folder) => promptfed_synth::load_images(folder, size)?,
            Self::Fused(folder) => promptfed_synth::fuse::load_fused(folder, size)?.0,
        })
    }
}

/// What a run leaves behind.
pub struct Trained {
    /// What names images.
    pub models: Models,
    /// Training by epoch or by round.
    pub curve: Vec<EpochStats>,
    /// The epoch or round whose model was kept, from 0.
    pub selected: Option<usize>,
    /// Why that one.
    pub selection: Option<String>,
    /// How many images were made, where some were.
    pub counts: Option<SyntheticCounts>,
    /// What clients sent, where they sent prompts.
    pub prompts: Vec<SubmittedPrompts>,
    /// The synthetic images the model was trained on, where there are any.
    pub synthetic: Option<SyntheticImages>,
    /// Name and value of further hashes and versions that the run depends on.
    pub provenance: Vec<(String, String)>,
    /// What had no effect, was not read or was left out, in words.
    pub warnings: Vec<String>,
}

impl Trained {
    /// These models, and nothing else to tell.
    pub fn of(models: Models) -> Self {
        Self {
            models,
            curve: Vec::new(),
            selected: None,
            selection: None,
            counts: None,
            prompts: Vec::new(),
            synthetic: None,
            provenance: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
