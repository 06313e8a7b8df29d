//! What is told of rounds: how training went, who took no step, and whether anybody was heard of.

use crate::FederatedClient;
use crate::methods::World;
use promptfed_learn::EpochStats;

/// What is to be told of a run in which no round heard of a client.
pub(in crate::methods) fn unheard(
    method: &str,
    is_heard: bool,
    world: &World<'_>,
) -> Option<String> {
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

/// How a round's training went, the mean over clients by their size; no number of none.
pub(in crate::methods) fn mean(
    round: usize,
    rate: f32,
    clients: &[(EpochStats, usize)],
) -> EpochStats {
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
pub(in crate::methods) fn idle(
    clients: &[FederatedClient],
    able: &[usize],
) -> Vec<(String, String)> {
    let idle = (0..clients.len()).filter(|index| !able.contains(index));
    let names: Vec<&str> = idle.map(|index| clients[index].name.as_str()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    vec![("clients without a step".to_owned(), names.join(", "))]
}
