//! Methods that end with a model for each client.

use promptfed_learn::Classifier;
use std::collections::BTreeMap;

/// A model for each of `clients`, in their order: those of `able`, which trained, and for the others the one they began with.
pub(super) fn per_client(
    clients: usize,
    able: Vec<usize>,
    models: Vec<Classifier>,
    initial: &Classifier,
) -> impl Iterator<Item = Classifier> {
    let mut models: BTreeMap<usize, Classifier> = able.into_iter().zip(models).collect();
    (0..clients).map(move |index| models.remove(&index).unwrap_or_else(|| initial.clone()))
}
