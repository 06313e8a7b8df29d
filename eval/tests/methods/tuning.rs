//! Learning rates chosen by images that are held out.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use promptfed_data::Dataset;
use promptfed_eval::journal::Journal;
use promptfed_eval::methods::{Card, Method, Probe, Trained, World};
use promptfed_eval::observer::{Observer, Silent, Task};
use promptfed_eval::{Error, Resources, Result, Tuned};

use crate::fixtures::{Painted, experiment, methods, run_with};

#[test]
fn every_method_gets_the_rate_that_does_best_without_a_test_image() {
    let painted = Painted::new(10, 3);
    let experiment = experiment(&painted, "iid:2");
    // Nothing to test on: whoever asks for it fails.
    let mut blind = experiment.clone();
    blind.data.test = Dataset::default();
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path(), false);
    let cells = || std::fs::read_dir(folder.path()).unwrap().count();
    let names = ["fedavg", "centralised"];
    let all = methods(&names);
    let tune = || -> Vec<Tuned> {
        let taking: Vec<&dyn Method> = all.iter().map(AsRef::as_ref).collect();
        let never = AtomicBool::new(false);
        let rates = [0.05, 1e-7];
        let resources = Resources::default();
        blind
            .tune(&taking, &rates, &journal, &Silent, &never, &resources)
            .unwrap()
    };
    let tuned = tune();
    assert_eq!(cells(), 4);
    for (tuned, name) in tuned.iter().zip(names) {
        assert_eq!(tuned.method, name);
        let rates: Vec<f32> = tuned.scores.iter().map(|score| score.rate).collect();
        assert_eq!(rates, [1e-7, 0.05]);
        let of = |index: usize| tuned.scores[index].accuracy.unwrap();
        // Weights that hardly move do no better than those that learn.
        assert!(of(1) >= of(0), "{tuned:?}");
        let expected = if of(1) > of(0) { 0.05 } else { 1e-7 };
        assert_eq!(tuned.chosen, expected);
    }
    assert_eq!((tune(), cells()), (tuned.clone(), 4), "nothing runs twice");
    let mut given = tuned;
    given[0].chosen = 0.02;
    let comparison = run_with(&experiment.with_rates(&given), &names, &journal);
    let first = |method: usize| comparison.methods[method].runs[0].curve[0].learning_rate;
    assert!((first(0) - 0.02).abs() < 1e-9, "{}", first(0));
    assert!(first(1) <= given[1].chosen);
    assert_eq!(cells(), 6);
}

#[test]
fn too_few_images_are_no_ground_to_choose_by() {
    let painted = Painted::of(&[1, 1, 1], 2);
    let experiment = experiment(&painted, "iid:1");
    let folder = tempfile::tempdir().unwrap();
    let all = methods(&["fedavg"]);
    let found = experiment.tune(
        &[all[0].as_ref()],
        &[0.01, 0.1],
        &Journal::new(folder.path(), false),
        &Silent,
        &AtomicBool::new(false),
        &Resources::default(),
    );
    assert!(matches!(found, Err(Error::NothingHeldOut { images: 3 })));
}

/// Fails with high rates: its training diverges, or something else is wrong.
struct Fails {
    inner: Box<dyn Method>,
    diverges: bool,
}

impl Method for Fails {
    fn card(&self) -> Card {
        self.inner.card()
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        let learning_rate = world.recipe.training.learning_rate;
        if learning_rate < 0.05 {
            return self.inner.run(world, probe);
        }
        if self.diverges {
            let loss = f32::NAN;
            let diverged = promptfed_learn::Error::Diverged {
                epoch: 1,
                loss,
                learning_rate,
            };
            return Err(diverged.into());
        }
        Err(Error::NoPublicImages { method: "chance" })
    }
}

#[derive(Default)]
struct Warned(Mutex<Vec<String>>);

impl Observer for Warned {
    fn begin(&self, name: &str, total: u64) -> Box<dyn Task> {
        Silent.begin(name, total)
    }

    fn note(&self, _: &str) {}

    fn warn(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[test]
fn divergence_has_no_score_and_whatever_else_fails_ends_the_choice() {
    let painted = Painted::new(6, 2);
    let experiment = experiment(&painted, "iid:2");
    for diverges in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let fails = Fails {
            inner: methods(&["chance"]).pop().unwrap(),
            diverges,
        };
        let warned = Warned::default();
        let found = experiment.tune(
            &[&fails],
            &[0.1, 0.01],
            &Journal::new(folder.path(), false),
            &warned,
            &AtomicBool::new(false),
            &Resources::default(),
        );
        let cells = std::fs::read_dir(folder.path()).unwrap().count();
        let warned = warned.0.into_inner().unwrap();
        assert_eq!(warned.len(), 1);
        let begins = "chance, seed 5, trial of learning rate 0.1: ";
        assert!(warned[0].starts_with(begins), "{warned:?}");
        if diverges {
            let tuned = found.unwrap().remove(0);
            let scores = tuned.scores.iter().map(|score| score.accuracy.is_some());
            assert_eq!(scores.collect::<Vec<_>>(), [true, false]);
            assert_eq!((tuned.chosen, cells), (0.01, 2));
        } else {
            assert!(matches!(found, Err(Error::NoPublicImages { .. })));
            assert_eq!(cells, 1, "the failure is not kept");
        }
    }
}
