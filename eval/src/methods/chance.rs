//! Guessing: the floor under every other number.

use super::{Method, Outcome, RunContext};
use crate::comparison::MethodRun;
use crate::{Result, seeds};
use promptfed_learn::Evaluation;
use promptfed_prompts::ledger::Ledger;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

/// Names a class at random for each test image.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chance;

impl Method for Chance {
    fn name(&self) -> &'static str {
        "chance"
    }

    fn description(&self) -> String {
        "shares nothing; a class drawn at random for each test image".to_owned()
    }

    fn run(&self, context: &RunContext<'_>) -> Result<Outcome> {
        let start = Instant::now();
        let test = &context.federation.test;
        let mut rng = ChaCha8Rng::seed_from_u64(seeds::derive(context.seed, "chance"));
        let classes = test.class_names.len();
        let guesses: Vec<usize> = (0..test.len())
            .map(|_| rng.random_range(0..classes))
            .collect();
        let evaluation = Evaluation::of_predictions(&guesses, test, classes)?;
        Ok(Outcome::of(MethodRun {
            seed: context.seed,
            accuracy_by_bytes: vec![(0, evaluation.accuracy)],
            evaluation,
            ledger: Ledger::new(),
            seconds: start.elapsed().as_secs_f64(),
            curve: Vec::new(),
            model_hash: None,
            selected: None,
            selection: None,
            synthetic: None,
        }))
    }
}
