//! One-shot federated generative learning, over HTTP, against a real server.

mod config;
mod local_server;
mod provenance;
mod shown;

pub use config::{Asking, FglConfig};
pub use local_server::LocalServer;
use provenance::provenance;
use shown::Shown;

use super::{Card, Method, Models, Probe, SyntheticImages, Trained, World};
use crate::comparison::{SubmittedPrompts, SyntheticCounts};
use crate::simulation::SimulatedRound;
use crate::{FederatedClient, Result, seeds};
use promptfed_client::{
    AdminClient, ExtractOptions, FederationClient, RequestError, RetryPolicy, extract,
};
use promptfed_learn::{Classifier, EpochStats};
use promptfed_prompts::protocol::{
    CurvePoint, ImageBudget, PromptPlan, RegistrationRequest, RoundId, RoundResults, RoundSpec,
    RoundState, RoundStatus, StageSeconds, SynthesisPlan,
};
use promptfed_prompts::{ClassIndex, Level, PromptSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The row of a comparison's provenance that says how many clients withheld all of their prompts.
pub const SILENT_CLIENTS: &str = "clients that released no prompt";

/// Zhang, Qi and Zhao 2023 (arXiv 2306.16064), the one-shot variant: clients send prompts, the server trains a model from
/// scratch on images it makes of them.
///
/// Where the synthesis has a plan of a fusion, the server chooses among the images of several engines what it trains on.
///
/// Each run is a round on a server on the loopback interface. The administrator registers the clients and watches the round;
/// clients read the round, submit, and download the results and the model over HTTP. The ledger holds every byte that the
/// clients' sockets carried, and not the administrator's.
pub struct Fgl {
    config: FglConfig,
    server: Arc<LocalServer>,
}

impl Fgl {
    /// The method with rounds on this server, which has the engines of its synthesis.
    pub fn new(config: FglConfig, server: Arc<LocalServer>) -> Self {
        Self { config, server }
    }

    fn round_spec(&self, world: &World<'_>) -> RoundSpec {
        let seed = seeds::derive(world.seed, "fgl training");
        RoundSpec {
            name: format!("seed {}", world.seed),
            label_space: world.federation.label_space.clone(),
            prompts: Some(PromptPlan {
                level: self.level(),
                templates: self.config.templates.clone(),
                max_per_client: None,
            }),
            synthesis: SynthesisPlan {
                seed: seeds::derive(world.seed, "synthesis"),
                ..self.config.synthesis.clone()
            },
            training: world.recipe.with(self.config.epochs as usize, seed).plan(),
            expected_clients: Some(match self.config.asking {
                Asking::Clients => world.clients().len() as u32,
                Asking::ClassNames => 1,
            }),
            // Also clients that withhold everything are given the model.
            open_results: true,
        }
    }

    fn level(&self) -> Level {
        match self.config.asking {
            Asking::Clients => self.config.level,
            Asking::ClassNames => Level::Class,
        }
    }

    /// Registers a client.
    fn register(&self, admin: &AdminClient, name: &str) -> Result<FederationClient> {
        let registration = admin.register(&RegistrationRequest {
            name: name.to_owned(),
            replace_token: true,
        })?;
        Ok(FederationClient::of(
            &self.server.running.url(),
            &registration,
        )?)
    }

    /// Submits a prompt for each class, as the server would that knows no more than the label space.
    fn submit_class_names(&self, admin: &AdminClient, round: RoundId) -> Result<()> {
        let session = self.register(admin, "the class names")?;
        let spec = session.round(round)?;
        let (space, templates) = (&spec.label_space, &self.config.templates);
        let mut builder = PromptSet::builder(space, Level::Class, templates);
        for class in 0..space.len() as u32 {
            builder.add(ClassIndex::new(class), None, None)?;
        }
        session.submit(round, &builder.build()?)?;
        Ok(())
    }

    /// Registers, reads the round, extracts and submits as one client would; nothing where all of its prompts are withheld.
    fn submit(
        &self,
        admin: &AdminClient,
        round: RoundId,
        client: &FederatedClient,
    ) -> Result<(FederationClient, Option<SubmittedPrompts>)> {
        let session = self.register(admin, &client.name)?;
        let spec = session.round(round)?;
        let options = ExtractOptions {
            captioner: Arc::clone(&self.config.captioner),
            counts: self.config.counts,
            release: self.config.release.clone(),
            ..ExtractOptions::new(self.config.level, self.config.templates.clone())
        };
        let extraction = match extract(&client.private, &spec.label_space, &options) {
            Err(promptfed_client::Error::AllWithheld { .. }) => return Ok((session, None)),
            extraction => extraction?,
        };
        session.submit(round, &extraction.prompt_set)?;
        let preview = extraction.preview;
        let rendered = preview
            .prompts
            .into_iter()
            .map(|p| (p.positive, p.negative));
        let submitted = SubmittedPrompts {
            client: client.name.clone(),
            hash: preview.hash,
            wire_bytes: preview.wire_bytes as u64,
            document: preview.json,
            rendered: rendered.collect(),
        };
        Ok((session, Some(submitted)))
    }

    /// What the model of a round was trained on.
    fn synthetic(&self, results: &RoundResults) -> SyntheticImages {
        let rounds = self.server.data_dir.join("rounds");
        let round = rounds.join(results.round_id.to_string());
        match results.fusion {
            Some(_) => SyntheticImages::Fused(round.join("fused")),
            None => SyntheticImages::Job(round.join("synthetic")),
        }
    }

    /// Simulated seconds of what the server did.
    fn server_seconds(&self, simulated: &SimulatedRound<'_>, results: &RoundResults) -> f64 {
        let passes = u64::from(self.config.epochs);
        simulated.of_server(results.images.accepted, trained_on(results) * passes)
    }

    /// How many images are made of what, and how many are trained on.
    fn images(&self) -> String {
        let plan = &self.config.synthesis;
        let made = match plan.images {
            ImageBudget::Total(images) => images.to_string(),
            ImageBudget::PerPrompt(images) => format!("{images} for each prompt"),
        };
        match &plan.fuse {
            None => format!("{made} synthetic images only"),
            Some(fuse) => {
                let engines = plan.sources.len();
                let kept = fuse.keep.map_or("all".to_owned(), |keep| keep.to_string());
                let quotas = if fuse.quotas.is_some() {
                    ", quotas by transfer"
                } else {
                    ""
                };
                format!(
                    "{kept} of {made} synthetic images of {engines} engines only (chosen by {}{quotas})",
                    fuse.select
                )
            }
        }
    }
}

impl Method for Fgl {
    fn card(&self) -> Card {
        Card {
            name: self.config.name.clone(),
            description: match self.config.asking {
                Asking::Clients => format!(
                    "shares {}-level prompts once; trains on {}, {} epochs",
                    self.config.level,
                    self.images(),
                    self.config.epochs
                ),
                Asking::ClassNames => format!(
                    "shares no prompt; trains on {} of the class names alone, {} epochs",
                    self.images(),
                    self.config.epochs
                ),
            },
        }
    }

    fn determined_by(&self) -> String {
        let FglConfig {
            asking,
            level,
            templates,
            captioner,
            counts,
            release,
            synthesis,
            engines,
            ..
        } = &self.config;
        let of_server = format!("{asking:?} {templates:?} {synthesis:?} {engines}");
        match asking {
            Asking::ClassNames => of_server,
            Asking::Clients => {
                let captioner = captioner.name();
                format!("{level} {captioner} counts {counts} {release:?} {of_server}")
            }
        }
    }

    fn works_elsewhere(&self) -> bool {
        true
    }

    fn run(&self, world: &World<'_>, _: &mut dyn Probe) -> Result<Trained> {
        let simulated = SimulatedRound::begin(world);
        let name = self.config.name.as_str();
        let server = &self.server.running;
        let url = server.url();
        let admin = AdminClient::with_retry(&url, server.admin_token(), RetryPolicy::default())?;
        let round = admin.open_round(&self.round_spec(world))?.round_id;

        let clients = world.clients();
        let task = world.observer.begin(
            &format!("{name}: extracting and submitting"),
            clients.len() as u64,
        );
        let mut sessions = Vec::with_capacity(clients.len());
        let mut prompts = Vec::with_capacity(clients.len());
        for client in clients {
            let (session, submitted) = match self.config.asking {
                Asking::Clients => self.submit(&admin, round, client)?,
                Asking::ClassNames => (self.register(&admin, &client.name)?, None),
            };
            sessions.push(session);
            prompts.extend(submitted);
            task.set(sessions.len() as u64);
        }
        drop(task);
        let silent = match self.config.asking {
            Asking::Clients => clients.len() - prompts.len(),
            Asking::ClassNames => {
                self.submit_class_names(&admin, round)?;
                0
            }
        };
        if silent == clients.len() {
            return Err(promptfed_client::Error::AllWithheld {
                why: "every client withholds all of its prompts; ask for smaller groups".to_owned(),
            }
            .into());
        }
        if silent > 0 {
            // The round waits for all of them.
            admin.close(round)?;
        }

        let asking = Instant::now();
        let mut shown = Shown::new(name, world.observer);
        let mut watch = |status: &RoundStatus| {
            shown.update(status);
            if world.cancel.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        admin
            .wait(round, None, &mut watch)
            .map_err(|error| match error {
                // There is no limit to how long it may take.
                RequestError::StillWorking { .. } => crate::Error::Interrupted,
                // What a client of a real server would be told to do is not this command's remedy.
                RequestError::RoundEnded {
                    state: RoundState::Failed { reason },
                    ..
                } => crate::Error::Round(reason),
                error => error.into(),
            })?;
        drop(shown);
        let waited = asking.elapsed();

        let mut fetched: Option<(RoundResults, Vec<u8>)> = None;
        for session in &sessions {
            let results = session.results(round)?;
            let file = session.model(&results)?;
            fetched = Some((results, file));
            world.channel.merge(&session.ledger());
        }
        let (results, file) = fetched.ok_or(crate::Error::NoImages { role: "private" })?;
        // Between two questions nothing was done.
        let worked = worked(&results.seconds);
        world.stopwatch.take_off(waited.saturating_sub(worked));
        simulated.ends_one_shot(self.server_seconds(&simulated, &results));
        Ok(Trained {
            models: Models::Global(Box::new(Classifier::from_safetensors(&file)?)),
            curve: results.curve.iter().map(epoch_stats).collect(),
            selected: Some(results.selected_epoch.saturating_sub(1) as usize),
            selection: Some(results.selection.clone()).filter(|why| !why.is_empty()),
            counts: Some(SyntheticCounts {
                made: results.images.accepted,
                trained_on: trained_on(&results),
            }),
            prompts,
            synthetic: Some(self.synthetic(&results)),
            provenance: provenance(&results, silent),
            warnings: results.warnings,
        })
    }
}

/// How many of the images the model was trained on.
fn trained_on(results: &RoundResults) -> u64 {
    match &results.fusion {
        Some(fusion) => fusion.chosen,
        None => results.images.accepted,
    }
}

/// The time that the server worked on a round.
fn worked(seconds: &StageSeconds) -> Duration {
    let StageSeconds {
        pooling,
        synthesis,
        fusing,
        loading,
        training,
    } = seconds;
    let all = pooling + synthesis + fusing + loading + training;
    Duration::try_from_secs_f64(all).unwrap_or_default()
}

fn epoch_stats(point: &CurvePoint) -> EpochStats {
    EpochStats {
        epoch: point.epoch as usize,
        learning_rate: point.learning_rate as f32,
        train_loss: point.train_loss as f32,
        train_accuracy: point.train_accuracy as f32,
        validation_accuracy: point.validation_accuracy.map(|a| a as f32),
        validation_balanced_accuracy: point.validation_balanced_accuracy.map(|a| a as f32),
    }
}
