//! Runs at the same time, and runs on other numbers of threads.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use promptfed_eval::comparison::Comparison;
use promptfed_eval::feature_cache::FeatureCache;
use promptfed_eval::journal::Journal;
use promptfed_eval::methods::{Card, Method, Probe, Trained, World};
use promptfed_eval::observer::Silent;
use promptfed_eval::{Error, Experiment, Resources, Result};

use crate::fixtures::{NETWORK, Painted, compare, experiment, methods, run_with, spec, timeless};

fn resources(jobs: usize) -> Resources {
    Resources::of(NonZeroUsize::new(jobs).unwrap())
}

fn at_a_time(experiment: &Experiment, texts: &[&str], jobs: usize) -> Comparison {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path(), false);
    let never = AtomicBool::new(false);
    let all = methods(texts);
    let comparison = experiment.run_with(&all, &journal, &Silent, &never, &resources(jobs));
    let comparison = comparison.unwrap();
    let cells = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(cells, texts.len() * experiment.setting.seeds.len());
    comparison
}

#[test]
fn results_do_not_depend_on_how_many_run_at_a_time() {
    let painted = Painted::new(6, 3);
    let mut experiment = experiment(&painted, "iid:2");
    experiment.setting.seeds = vec![5, 6];
    let names = ["fedavg", "centralised", "scaffold", "local", "chance"];
    let (one, three) = (
        at_a_time(&experiment, &names, 1),
        at_a_time(&experiment, &names, 3),
    );
    let jobs = |comparison: &Comparison| -> Vec<usize> {
        let runs = comparison.methods.iter().flat_map(|method| &method.runs);
        runs.map(|run| run.jobs).collect()
    };
    assert_eq!((jobs(&one), jobs(&three)), (vec![1; 10], vec![3; 10]));
    assert!(three.summary().iter().all(|method| method.jobs == 3));
    assert_eq!(timeless(one), timeless(three));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let painted = Painted::new(6, 3);
    let experiment = experiment(&painted, "iid:3");
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        // Features are worked out on both sides.
        let network = NETWORK.clone().with_cache(FeatureCache::default());
        // Of three clients one holds images, one captions and one both.
        let creamfl = "creamfl:clients=mixed";
        let mut all = methods(&["fedavg", "fedproto", "fedmd", creamfl]);
        all.extend(spec("fedpft").on_features(&network));
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path(), false);
        let never = AtomicBool::new(false);
        let run = || experiment.run(&all, &journal, &Silent, &never).unwrap();
        let comparison = pool.build().unwrap().install(run);
        assert!(comparison.failures.is_empty());
        timeless(comparison)
    };
    assert_eq!(on(1), on(3));
}

/// Says that it has work done elsewhere, and counts how many of its kind are under way.
struct Elsewhere<'a> {
    name: String,
    inner: Box<dyn Method>,
    now: &'a AtomicUsize,
    most: &'a AtomicUsize,
}

impl Method for Elsewhere<'_> {
    fn card(&self) -> Card {
        Card {
            name: self.name.clone(),
            ..self.inner.card()
        }
    }

    fn works_elsewhere(&self) -> bool {
        true
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        let trained = self.inner.run(world, probe);
        self.now.fetch_sub(1, Ordering::SeqCst);
        trained
    }
}

#[test]
fn what_is_done_elsewhere_goes_one_at_a_time() {
    let painted = Painted::new(4, 2);
    let mut experiment = experiment(&painted, "iid:2");
    experiment.setting.seeds = vec![5, 6, 7];
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let elsewhere = |number: usize| Elsewhere {
        name: format!("elsewhere {number}"),
        inner: methods(&["majority"]).pop().unwrap(),
        now: &now,
        most: &most,
    };
    let mut all: Vec<Box<dyn Method + '_>> = methods(&["chance"]);
    all.extend((0..2).map(|number| Box::new(elsewhere(number)) as Box<dyn Method + '_>));
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path(), false);
    let never = AtomicBool::new(false);
    let comparison = experiment.run_with(&all, &journal, &Silent, &never, &resources(4));
    let comparison = comparison.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert!(comparison.methods.iter().all(|m| m.runs.len() == 3));
}

/// Counts what is done elsewhere, and slowly; or, of the others, tells how much was done when one of a seed began.
struct Counted<'a> {
    inner: Box<dyn Method>,
    is_elsewhere: bool,
    done: &'a AtomicUsize,
    begun: &'a Mutex<Vec<(u64, usize)>>,
}

impl Method for Counted<'_> {
    fn card(&self) -> Card {
        self.inner.card()
    }

    fn works_elsewhere(&self) -> bool {
        self.is_elsewhere
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        if !self.is_elsewhere {
            let done = self.done.load(Ordering::SeqCst);
            self.begun.lock().unwrap().push((world.seed, done));
            return self.inner.run(world, probe);
        }
        std::thread::sleep(Duration::from_millis(5));
        let trained = self.inner.run(world, probe);
        self.done.fetch_add(1, Ordering::SeqCst);
        trained
    }
}

#[test]
fn no_more_seeds_are_open_than_runs_at_a_time_and_one() {
    let painted = Painted::new(4, 2);
    let mut experiment = experiment(&painted, "iid:2");
    experiment.setting.seeds = (0..8).collect();
    let (done, begun) = (AtomicUsize::new(0), Mutex::default());
    let counted = |name: &str, is_elsewhere: bool| Counted {
        inner: methods(&[name]).pop().unwrap(),
        is_elsewhere,
        done: &done,
        begun: &begun,
    };
    let all: Vec<Box<dyn Method + '_>> = vec![
        Box::new(counted("majority", true)),
        Box::new(counted("chance", false)),
    ];
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path(), false);
    let never = AtomicBool::new(false);
    let comparison = experiment.run_with(&all, &journal, &Silent, &never, &resources(2));
    assert!(
        comparison
            .unwrap()
            .methods
            .iter()
            .all(|m| m.runs.len() == 8)
    );
    let begun = begun.lock().unwrap();
    assert_eq!(begun.len(), 8);
    for (seed, done) in begun.iter() {
        // With it three are open, and those before are done.
        assert!(*done + 2 >= *seed as usize, "{begun:?}");
    }
}

/// Asks for the end of everything.
struct Stops<'a>(Box<dyn Method>, &'a AtomicBool);

impl Method for Stops<'_> {
    fn card(&self) -> Card {
        self.0.card()
    }

    fn run(&self, world: &World<'_>, probe: &mut dyn Probe) -> Result<Trained> {
        self.1.store(true, Ordering::Relaxed);
        self.0.run(world, probe)
    }
}

#[test]
fn runs_at_the_same_time_that_are_stopped_keep_what_is_done() {
    let painted = Painted::new(6, 3);
    let mut experiment = experiment(&painted, "iid:2");
    experiment.setting.seeds = vec![5, 6];
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path(), false);
    let stop = AtomicBool::new(false);
    let mut all: Vec<Box<dyn Method + '_>> = methods(&["chance"]);
    let fedavg = methods(&["fedavg"]).pop().unwrap();
    all.push(Box::new(Stops(fedavg, &stop)));
    let ended = experiment.run_with(&all, &journal, &Silent, &stop, &resources(2));
    let kept = std::fs::read_dir(folder.path()).map_or(0, Iterator::count);
    assert!(matches!(ended, Err(Error::Cancelled { kept: told }) if told == kept && kept < 4));
    let whole = run_with(&experiment, &["chance", "fedavg"], &journal);
    assert!(whole.failures.is_empty() && whole.methods[1].runs.len() == 2);
    assert_eq!(
        timeless(whole),
        timeless(compare(&experiment, &["chance", "fedavg"]))
    );
}
