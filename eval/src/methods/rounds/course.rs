//! The course of the rounds, whatever the method.

use super::{LocalTask, RoundMethod, Start, falling, idle, mean, unheard};
use crate::methods::{Models, Probe, Trained, World};
use crate::simulation::SimulatedRound;
use crate::wire::payload::Counts;
use crate::{Error, FederatedClient, Result, seeds};
use promptfed_data::LabelledImages;
use promptfed_learn::{Choice, Classifier, EpochStats, Selection, Tally, evaluate};
use rayon::prelude::*;

/// A method of many rounds that begins with what `start` says.
pub(in crate::methods) fn run_from<M: RoundMethod>(
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
