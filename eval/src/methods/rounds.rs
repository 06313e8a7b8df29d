//! What methods of many rounds have in common.
//!
//! The clients first tell how many images of each class they have to train on and to validate with. Where these are enough to choose by,
//! each round begins with the clients telling how many of them the new model names rightly, by class, and the model of the best round is
//! the result; otherwise that of the last round is. The learning rate falls by a half cosine over the rounds and is constant inside one. A
//! client that cannot take a step (one image, too small to normalise alone) receives and sends none. All methods begin with the same
//! weights, and their clients see their images in the same order.

use super::{Card, Method, Models, Participation, Probe, Trained, World};
use crate::simulation::SimulatedRound;
use crate::wire::Payload;
use crate::wire::payload::Counts;
use crate::{Error, FederatedClient, Result, seeds};
use promptfed_data::LabelledImages;
use promptfed_learn::{
    Choice, Classifier, EpochStats, Recipe, Schedule, Selection, Tally, TrainConfig, evaluate,
};
use rayon::prelude::*;
use std::sync::atomic::AtomicBool;

/// How many rounds, and how long each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoundPlan {
    /// Communication rounds, at least 1.
    pub rounds: usize,
    /// Passes over the client's own images in each round, at least 1.
    pub local_epochs: usize,
    /// The peak learning rate of the clients, where it is not the recipe's.
    pub learning_rate: Option<f32>,
    /// Who takes part.
    pub participation: Participation,
}

impl RoundPlan {
    /// What every method of rounds begins with.
    ///
    /// # Errors
    /// If no client can take a step.
    pub(super) fn start(&self, world: &World<'_>) -> Result<Start> {
        let seed = seeds::derive(world.seed, "fedavg");
        let mut recipe = world.recipe.with(self.local_epochs, seed);
        if let Some(rate) = self.learning_rate {
            recipe.training.learning_rate = rate;
        }
        let mut initial = recipe.start(world.classes())?;
        initial.set_class_names(&world.federation.class_names)?;
        let able = able(&initial, world.clients(), recipe.training.batch_size)?;
        Ok(Start {
            recipe,
            initial,
            able,
            is_known: false,
        })
    }

    /// In words.
    pub(super) fn described(&self) -> String {
        let rate = self
            .learning_rate
            .map(|rate| format!(", learning rate {rate}"));
        format!(
            "{} rounds of {} local epochs{}{}",
            self.rounds,
            self.local_epochs,
            self.participation,
            rate.unwrap_or_default()
        )
    }
}

/// What a method of rounds begins with.
pub(super) struct Start {
    /// How clients train in a round.
    pub(super) recipe: Recipe,
    /// The weights that all methods begin with.
    pub(super) initial: Classifier,
    /// The clients that can take a step.
    pub(super) able: Vec<usize>,
    /// Whether the clients have these weights already, so that they need not cross.
    pub(super) is_known: bool,
}

/// A method in which clients train in rounds and a server makes one model of what they send. `local` sees one client, `aggregate` none.
pub trait RoundMethod: Send + Sync {
    /// What the server sends to every client.
    type Down: Payload + Send + Sync;
    /// What a client sends back.
    type Up: Payload + Send;
    /// What the server remembers.
    type Server;
    /// What a client remembers from round to round.
    type Local: Send;

    /// What it is.
    fn card(&self) -> Card;

    /// What beside its card determines its result; nothing of most.
    fn determined_by(&self) -> String {
        String::new()
    }

    /// How many rounds, and how long each.
    fn plan(&self) -> RoundPlan;

    /// The server before the first round.
    ///
    /// # Errors
    /// A model that cannot be copied.
    fn server(&self, initial: &Classifier) -> Result<Self::Server>;

    /// A client before the first round.
    ///
    /// # Errors
    /// A model that cannot be copied.
    fn client(&self, initial: &Classifier) -> Result<Self::Local>;

    /// What the server sends.
    ///
    /// # Errors
    /// A model that cannot be copied.
    fn broadcast(&self, server: &Self::Server) -> Result<Self::Down>;

    /// The model that a client received.
    fn model<'d>(&self, down: &'d Self::Down) -> &'d Classifier;

    /// A client's work of one round, and how its training went.
    ///
    /// # Errors
    /// If training fails.
    fn local(
        &self,
        task: &LocalTask<'_>,
        local: &mut Self::Local,
        down: &Self::Down,
    ) -> Result<(Self::Up, EpochStats)>;

    /// Images that the server trains on after a round, each as often as it does.
    fn server_samples(&self) -> u64 {
        0
    }

    /// What the server makes of what came in a round, counted from 0, each with the client's number of training images; `all` clients
    /// together have so many, those that sent nothing included. Something came.
    ///
    /// # Errors
    /// What does not fit together.
    fn aggregate(
        &self,
        server: &mut Self::Server,
        round: usize,
        ups: Vec<(Self::Up, usize)>,
        all: usize,
    ) -> Result<()>;
}

/// A client's work of one round.
#[derive(Clone)]
pub struct LocalTask<'a> {
    /// The images it trains on.
    pub images: &'a LabelledImages,
    /// How.
    pub config: TrainConfig,
    /// Set where the run is to end soon.
    pub cancel: &'a AtomicBool,
}

impl<'a> LocalTask<'a> {
    /// As `training` says, at a constant rate.
    pub(super) fn new(
        world: &'a World<'_>,
        images: &'a LabelledImages,
        training: &TrainConfig,
        learning_rate: f32,
        seed: u64,
    ) -> Self {
        Self {
            images,
            config: TrainConfig {
                learning_rate,
                schedule: Schedule::Constant,
                seed,
                ..training.clone()
            },
            cancel: world.cancel,
        }
    }

    /// The same in one pass over the images.
    pub(super) fn once(self) -> Self {
        Self {
            config: TrainConfig {
                epochs: 1,
                ..self.config
            },
            ..self
        }
    }

    /// Steps of the optimiser.
    pub fn steps(&self) -> usize {
        let batch = self.config.batch_size.min(self.images.len()).max(1);
        self.config.epochs * (self.images.len() / batch)
    }
}

/// A method of many rounds as one to compare.
pub struct Rounds<M>(pub M);

impl<M: RoundMethod> Method for Rounds<M> {
    fn card(&self) -> Card {
        self.0.card()
    }

    fn determined_by(&self) -> String {
        self.0.determined_by()
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        run_from(&self.0, world, probe, self.0.plan().start(world)?)
    }
}

/// A method of many rounds that begins with what `start` says.
pub(super) fn run_from<M: RoundMethod>(
    method: &M,
    world: &World<'_>,
    probe: &mut dyn Probe,
    start: Start,
) -> Result<Trained> {
    let plan = method.plan();
    let (clients, classes) = (world.clients(), world.classes());
    let (channel, name) = (world.channel, method.card().name);
    let Start {
        recipe,
        initial,
        able,
        is_known,
    } = start;
    let has_deadline = world
        .simulated
        .is_some_and(|clock| clock.simulation().deadline.is_some());
    let hears_all = plan.participation.is_full() && !has_deadline;
    let mut simulated = SimulatedRound::begin(world);
    let mut held = vec![Vec::new(); clients.len()];
    for (client, held) in clients.iter().zip(&mut held) {
        let of = |images: &LabelledImages| Counts::of_labels(&images.labels, classes).0;
        let told = [of(&client.train), of(&client.validation)].concat();
        let Counts(told) = channel.up(&client.name, &Counts(told))?;
        *held = told[classes..].to_vec();
    }
    let mut server = method.server(&initial)?;
    let locals = able.iter().map(|_| method.client(&initial));
    let mut locals = locals.collect::<Result<Vec<_>>>()?;
    let selection = if hears_all {
        world.federation.selection.clone()
    } else {
        Selection::Last
    };
    let by_validation = selection.is_by_validation();
    let told = match selection {
        Selection::Last if !hears_all => {
            "last: not every client is heard of in every round".to_owned()
        }
        ref selection => selection.to_string(),
    };
    let mut choice = Choice::new(selection);
    let all = able.iter().map(|&index| clients[index].train.len()).sum();
    let mut kept: Option<(usize, Classifier)> = None;
    let mut is_heard = false;
    let mut curve: Vec<EpochStats> = Vec::new();
    let task = world
        .observer
        .begin(&format!("{name}: rounds"), plan.rounds as u64);
    for round in 0..=plan.rounds {
        let attendance = plan.participation.draw(world.seed, round, &able);
        // The result is everybody's.
        let is_for_all = round == plan.rounds || plan.participation.reaches_all();
        let receives = |(index, _): &(usize, &FederatedClient)| {
            (round > 0 || !is_known) && (is_for_all || attendance.receives(*index))
        };
        let names = clients.iter().enumerate().filter(receives);
        let names = names.map(|(_, client)| client.name.as_str());
        let down = channel.down(names, &method.broadcast(&server)?)?;
        simulated.received();
        if let Some(last) = round.checked_sub(1) {
            let model = method.model(&down);
            let mut tally = None;
            if by_validation {
                let sum = validate(world, model, &held)?;
                let accuracy = 100.0 * sum.balanced_accuracy();
                task.remark(&format!("validation accuracy by class {accuracy:.1} %"));
                if let Some(stats) = curve.get_mut(last) {
                    stats.validated(&sum);
                }
                tally = Some(sum);
            }
            if choice.takes(tally.as_ref()) {
                kept = Some((last, model.clone()));
            }
            probe.checkpoint(last, &[model])?;
        }
        if round == plan.rounds {
            break;
        }
        let rate = falling(recipe.training.learning_rate, round, plan.rounds);
        let work = |(&index, local): (&usize, &mut M::Local)| {
            let seed = seeds::derive(world.seed, &format!("fedavg {round} {index}"));
            let task = LocalTask::new(world, &clients[index].train, &recipe.training, rate, seed);
            method.local(&task, local, &down)
        };
        let taking = able.par_iter().zip(locals.par_iter_mut());
        let taking = taking.filter(|(index, _)| attendance.answers(**index));
        let done = taking.map(|(index, local)| Ok((*index, work((index, local))?)));
        let done = done.collect::<Result<Vec<_>>>()?;
        let (mut ups, mut stats, mut trained) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (up, of_client)) in done {
            let size = clients[index].train.len();
            let up = channel.up(&clients[index].name, &up)?;
            let samples = (size * recipe.training.epochs) as u64;
            // What comes too late has crossed, and nobody waits for it.
            if !simulated.is_late(index, samples) {
                ups.push((up, size));
            }
            stats.push((of_client, size));
            trained.push((index, samples));
        }
        if !ups.is_empty() {
            is_heard = true;
            method.aggregate(&mut server, round, ups, all)?;
        }
        simulated.end(&trained, simulated.of_server(0, method.server_samples()));
        simulated = SimulatedRound::begin(world);
        curve.push(mean(round, rate, &stats));
        task.set(round as u64 + 1);
    }
    drop(task);
    let (selected, model) = kept.ok_or(Error::NoRounds)?;
    Ok(Trained {
        curve,
        selected: Some(selected),
        selection: Some(told),
        provenance: idle(clients, &able),
        warnings: unheard(&name, is_heard, world).into_iter().collect(),
        ..Trained::of(Models::Global(Box::new(model)))
    })
}

/// What is to be told of a run in which no round heard of a client.
pub(super) fn unheard(method: &str, is_heard: bool, world: &World<'_>) -> Option<String> {
    if is_heard {
        return None;
    }
    let deadline = world
        .simulated
        .and_then(|clock| clock.simulation().deadline);
    let why = deadline.map_or_else(
        || "all that took part dropped out; lower --dropout".to_owned(),
        |seconds| {
            format!("each takes longer than the deadline of {seconds} s, or all that took part dropped out; give a longer --deadline")
        },
    );
    Some(format!(
        "{method}: no round heard of any client, so that nothing was learned from them: {why}"
    ))
}

/// The learning rate of a round: from the peak by a half cosine.
pub(super) fn falling(peak: f32, round: usize, rounds: usize) -> f32 {
    let progress = round as f32 / rounds as f32;
    peak * 0.5 * (1.0 + (std::f32::consts::PI * progress).cos())
}

/// What a model makes of all clients' validation images, by class: each tells how many it names rightly of those it `held` out.
fn validate(world: &World<'_>, model: &Classifier, held: &[Vec<u32>]) -> Result<Tally> {
    let mut sum = Tally::default();
    for (client, held) in world.clients().iter().zip(held) {
        let right = if client.validation.is_empty() {
            vec![0; held.len()]
        } else {
            let tally = evaluate(model, &client.validation)?.tally();
            tally.right().map(|n| n as u32).collect()
        };
        let Counts(right) = world.channel.up(&client.name, &Counts(right))?;
        sum.add(&Tally::of_counts(&right, held));
    }
    Ok(sum)
}

/// How a round's training went, the mean over clients by their size; no number of none.
pub(super) fn mean(round: usize, rate: f32, clients: &[(EpochStats, usize)]) -> EpochStats {
    let total: usize = clients.iter().map(|(_, size)| size).sum();
    let mean = |value: fn(&EpochStats) -> f32| {
        let sum: f32 = clients
            .iter()
            .map(|(s, size)| value(s) * *size as f32)
            .sum();
        sum / total as f32
    };
    EpochStats {
        epoch: round + 1,
        learning_rate: rate,
        train_loss: mean(|s| s.train_loss),
        train_accuracy: mean(|s| s.train_accuracy),
        validation_accuracy: None,
        validation_balanced_accuracy: None,
    }
}

/// Who takes no step, for the report.
pub(super) fn idle(clients: &[FederatedClient], able: &[usize]) -> Vec<(String, String)> {
    let idle = (0..clients.len()).filter(|index| !able.contains(index));
    let names: Vec<&str> = idle.map(|index| clients[index].name.as_str()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    vec![("clients without a step".to_owned(), names.join(", "))]
}

/// The clients whose images fill a batch that can be normalised.
///
/// # Errors
/// If there is none.
fn able(model: &Classifier, clients: &[FederatedClient], batch: usize) -> Result<Vec<usize>> {
    let fits = |client: &FederatedClient| model.check_batch(batch.min(client.train.len()));
    let able: Vec<usize> = (0..clients.len())
        .filter(|&index| fits(&clients[index]).is_ok())
        .collect();
    if able.is_empty() {
        clients.iter().try_for_each(fits)?;
    }
    Ok(able)
}
