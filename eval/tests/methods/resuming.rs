//! What a journal keeps, and what a comparison that goes on does with it.

use std::sync::atomic::{AtomicBool, Ordering};

use promptfed_eval::Error;
use promptfed_eval::journal::Journal;
use promptfed_eval::methods::{Card, Method, Models, Probe, Trained, World};
use promptfed_eval::observer::Silent;

use crate::fixtures::{Painted, compare, experiment, methods, run_with, timeless};

/// Tells whether it ran; fails or stops everything where it is told to.
struct Watched<'a> {
    inner: Box<dyn Method>,
    runs: &'a AtomicBool,
    fails: bool,
    stops: Option<&'a AtomicBool>,
}

impl Method for Watched<'_> {
    fn card(&self) -> Card {
        self.inner.card()
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> promptfed_eval::Result<Trained> {
        self.runs.store(true, Ordering::Relaxed);
        if let Some(stops) = self.stops {
            stops.store(true, Ordering::Relaxed);
        }
        if self.fails {
            return Err(Error::NoImages { role: "private" });
        }
        let trained = self.inner.run(world, probe)?;
        assert!(matches!(trained.models, Models::Global(_)));
        Ok(trained)
    }
}

fn fedavg() -> Box<dyn Method> {
    methods(&["fedavg"]).pop().unwrap()
}

#[test]
fn a_comparison_in_parts_is_that_at_once() {
    let painted = Painted::new(6, 3);
    let mut experiment = experiment(&painted, "iid:2");
    experiment.setting.seeds = vec![5, 6];
    let names = ["fedavg", "centralised", "chance"];
    let whole = compare(&experiment, &names);
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path(), false);
    // One method, one seed, then more of each.
    let mut part = experiment.clone();
    part.setting.seeds = vec![5];
    run_with(&part, &names[..1], &journal);
    run_with(&part, &names[1..], &journal);
    run_with(&experiment, &names, &journal);
    let before = std::fs::read_dir(folder.path()).unwrap().count();
    let again = run_with(&experiment, &names, &journal);
    assert_eq!(before, 6);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 6);
    assert_eq!(timeless(again), timeless(whole));
}

#[test]
fn another_setting_another_picture_and_another_seed_are_other_cells() {
    let painted = Painted::new(6, 3);
    let base = experiment(&painted, "iid:2");
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path(), false);
    let cells = || std::fs::read_dir(folder.path()).unwrap().count();
    let mut expected = 0;
    let mut measure = |experiment: &promptfed_eval::Experiment, method: &str| {
        run_with(experiment, &[method], &journal);
        expected += 1;
        assert_eq!(cells(), expected);
    };
    measure(&base, "chance");
    measure(&base, "local");
    let mut wider = base.clone();
    wider.setting.recipe.width = 5;
    measure(&wider, "chance");
    measure(&experiment(&painted, "iid:3"), "chance");
    measure(&experiment(&Painted::new(7, 3), "iid:2"), "chance");
    measure(&experiment(&Painted::new(6, 2), "iid:2"), "chance");
    let mut later = base.clone();
    later.setting.seeds = vec![9];
    measure(&later, "chance");
    run_with(&base, &["chance"], &journal);
    assert_eq!(cells(), 7);
}

#[test]
fn a_failure_is_a_row_and_is_tried_again_when_asked() {
    let painted = Painted::new(6, 3);
    let experiment = experiment(&painted, "iid:2");
    let folder = tempfile::tempdir().unwrap();
    let never = AtomicBool::new(false);
    let compare = |fails: bool, retry: bool| {
        let ran = AtomicBool::new(false);
        let watched = Watched {
            inner: fedavg(),
            runs: &ran,
            fails,
            stops: None,
        };
        let journal = Journal::new(folder.path(), retry);
        let mut all: Vec<Box<dyn Method + '_>> = vec![Box::new(watched)];
        all.extend(methods(&["chance"]));
        let comparison = experiment.run(&all, &journal, &Silent, &never).unwrap();
        (comparison, ran.load(Ordering::Relaxed))
    };
    let (first, ran) = compare(true, false);
    assert!(ran);
    let [failure] = first.failures.as_slice() else {
        panic!("{:?}", first.failures)
    };
    assert_eq!((failure.method.as_str(), failure.seed), ("fedavg", 5));
    assert!(failure.reason.contains("no private images"));
    assert_eq!(
        (first.methods[0].runs.len(), first.methods[1].runs.len()),
        (0, 1)
    );
    let (second, ran) = compare(false, false);
    assert!(!ran && second.failures.len() == 1, "it is kept as it was");
    let (third, ran) = compare(false, true);
    assert!(ran && third.failures.is_empty());
    assert_eq!(third.methods[0].runs.len(), 1);
    let (_, ran) = compare(true, true);
    assert!(!ran, "what succeeded is not tried again");
}

#[test]
fn an_interrupted_comparison_keeps_what_is_done() {
    let painted = Painted::new(6, 3);
    let experiment = experiment(&painted, "iid:2");
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path(), false);
    let (ran, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let watched = Watched {
        inner: fedavg(),
        runs: &ran,
        fails: false,
        stops: Some(&stop),
    };
    let mut all: Vec<Box<dyn Method + '_>> = methods(&["chance"]);
    all.push(Box::new(watched));
    let error = experiment.run(&all, &journal, &Silent, &stop).unwrap_err();
    assert!(matches!(error, Error::Cancelled { kept: 1 }), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // Nothing of the interrupted run is taken for a failure.
    let whole = run_with(&experiment, &["chance", "fedavg"], &journal);
    assert!(whole.failures.is_empty() && whole.methods[1].runs.len() == 1);
}
