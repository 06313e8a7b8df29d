//! Jobs from closed round to model.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use promptfed_client::{AdminClient, RequestError};
use promptfed_learn::{Architecture, Classifier};
use promptfed_prompts::protocol::{
    ClassifierArchitecture, ImageBudget, PictureFit, ProblemCode, RoundId, RoundState, RoundStatus,
    SourceOutcome, SourcePlan, TrainingPlan,
};
use promptfed_prompts::{ClassIndex, Level, PromptSet, TemplateSet};

use promptfed_server::Server;

use crate::support::{Fixture, class_prompts, client, config, engines, label_space, round_spec};

fn nothing(_: &RoundStatus) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Waits until the round's job has made at least `images`.
fn until_synthesised(fixture: &Fixture, round: RoundId, images: u64) {
    let mut enough = |status: &RoundStatus| match status.state {
        RoundState::Synthesising { done, .. } if done >= images => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let stopped = fixture.admin.wait(round, None, &mut enough);
    assert!(
        matches!(stopped, Err(RequestError::StillWorking { .. })),
        "{stopped:?}"
    );
}

#[test]
fn a_round_from_prompts_to_model() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.expected_clients = Some(2);
    let round = fixture.open(&spec);
    let (a, b) = (fixture.client("a"), fixture.client("b"));
    let sets = [class_prompts(&[0, 1]), class_prompts(&[1, 2])];
    let receipts = [
        a.submit(round, &sets[0]).unwrap().receipt,
        b.submit(round, &sets[1]).unwrap().receipt,
    ];
    let status = a.wait(round, None, &mut nothing).unwrap();
    assert_eq!(status.submissions, 2);
    assert!(status.finished_at >= status.closed_at);

    let results = fixture.admin.results(round).unwrap();
    let pooled = PromptSet::merge(&sets).unwrap();
    assert_eq!(
        (results.pooled.hash, results.pooled.prompts),
        (pooled.hash(), 3)
    );
    let mut hashes = receipts.map(|receipt| receipt.hash);
    hashes.sort();
    assert_eq!(
        results
            .prompt_sets
            .iter()
            .map(|set| set.hash)
            .collect::<Vec<_>>(),
        hashes
    );
    assert_eq!((results.images.planned, results.images.accepted), (24, 24));
    assert_eq!(results.per_class, [8, 8, 8]);
    assert_eq!(results.curve.len(), 2);
    let selected = &results.curve[results.selected_epoch as usize - 1];
    assert_eq!(selected.epoch, results.selected_epoch);
    assert_eq!(selected.validation_accuracy, results.validation_accuracy);
    // Six images held out could not choose: none were, and the last epoch is kept.
    assert_eq!(
        (results.validation_accuracy, results.selected_epoch),
        (None, 2)
    );
    assert!(
        results
            .selection
            .starts_with("last: only 2 validation images"),
        "{}",
        results.selection
    );
    assert_eq!(a.synthetic(round).unwrap().per_class, [8, 8, 8]);

    let bytes = b.model(&results).unwrap();
    assert_eq!(bytes.len() as u64, results.model.bytes);
    let model = Classifier::from_safetensors(&bytes).unwrap();
    assert_eq!(model.num_parameters() as u64, results.model.parameters);
    assert_eq!(model.recipe().unwrap().plan(), spec.training);
}

#[test]
fn what_has_no_effect_is_told_while_images_are_made() {
    let fixture = Fixture::start_in(tempfile::tempdir().unwrap(), Duration::from_millis(30));
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    let round = fixture.open(&spec);
    let client = fixture.client("a");
    let templates = "name = \"n\"\n[[templates]]\nlevel = \"class\"\npositive = \"{label}\"\nnegative = \"blurry\"";
    let templates = TemplateSet::from_toml(templates).unwrap();
    let mut prompts = PromptSet::builder(&label_space(), Level::Class, &templates);
    prompts.add(ClassIndex::new(0), None, None).unwrap();
    prompts.add(ClassIndex::new(1), None, None).unwrap();
    client.submit(round, &prompts.build().unwrap()).unwrap();
    let mut seen = Vec::new();
    let mut watch = |status: &RoundStatus| {
        if matches!(status.state, RoundState::Synthesising { .. }) {
            seen.push(status.warnings.clone());
        }
        ControlFlow::Continue(())
    };
    let done = client.wait(round, None, &mut watch).unwrap();
    assert!(done.warnings.is_empty(), "{done:?}");
    let results = client.results(round).unwrap();
    let told = "the negative text of 2 of 2 prompts has no effect: guidance is 1";
    assert!(results.warnings[0].starts_with(told), "{results:?}");
    assert!(!seen.is_empty());
    for warnings in &seen {
        assert_eq!(warnings[..], results.warnings[..warnings.len()]);
        assert!(!warnings.is_empty());
    }
}

#[test]
fn a_round_trains_as_its_plan_says_and_chooses_by_enough_images() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    spec.synthesis.images = ImageBudget::PerPrompt(72);
    spec.training = TrainingPlan {
        momentum: 0.5,
        flip: false,
        shift: 0.0,
        fit: PictureFit::Squash,
        architecture: ClassifierArchitecture::Resnet18,
        ..spec.training
    };
    let round = fixture.open(&spec);
    let client = fixture.client("a");
    client.submit(round, &class_prompts(&[0, 1, 2])).unwrap();
    client.wait(round, None, &mut nothing).unwrap();
    let results = client.results(round).unwrap();
    let told = &results.selection;
    assert!(
        told.starts_with("best validation") && told.contains("54 images"),
        "{told}"
    );
    let kept = &results.curve[results.selected_epoch as usize - 1];
    let best = results
        .curve
        .iter()
        .filter_map(|p| p.validation_balanced_accuracy);
    assert_eq!(kept.validation_balanced_accuracy, best.reduce(f64::max));
    let model = client.model(&results).unwrap();
    let model = Classifier::from_safetensors(&model).unwrap();
    assert_eq!(model.recipe().unwrap().plan(), spec.training);
    assert_eq!(model.config().architecture, Architecture::Resnet18);
}

#[test]
fn a_round_may_ask_for_images_that_show_their_class() {
    let mut spec = round_spec();
    spec.synthesis.min_clip_score = Some(1.0);
    let blind = Fixture::start();
    let refused = blind.admin.open_round(&spec).unwrap_err();
    let problem = refused.problem().unwrap();
    assert_eq!(problem.code, ProblemCode::Invalid);
    assert!(problem.message.contains("no CLIP model"), "{problem:?}");

    let folder = tempfile::tempdir().unwrap();
    let made = Arc::new(AtomicU64::new(0));
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vision/tests/golden/clip");
    let engines = engines(Duration::ZERO, &made).with_clip(clip);
    let addr = ([127, 0, 0, 1], 0).into();
    let server = Server::start(config(folder.path(), addr, engines)).unwrap();
    let admin = AdminClient::new(&server.url(), server.admin_token()).unwrap();
    let a = client(&admin, &server.url(), "a");
    let work = |classes: &[u32], least: f64| {
        let mut spec = round_spec();
        spec.synthesis.min_clip_score = Some(least);
        let round = admin.open_round(&spec).unwrap().round_id;
        a.submit(round, &class_prompts(classes)).unwrap();
        admin.close(round).unwrap();
        a.wait(round, None, &mut nothing)
            .and_then(|_| a.results(round))
    };
    // Of three classes, some are seen at least by their share and some in no image: a model would never see those.
    let share = 1.0 / 3.0;
    let results = (0..3).find_map(|class| work(&[class], share).ok());
    let results = results.unwrap();
    let Err(RequestError::RoundEnded {
        state: RoundState::Failed { reason },
        ..
    }) = work(&[0, 1, 2], share)
    else {
        panic!("a class without an image passed")
    };
    assert!(
        reason.contains("no image of \"") && reason.contains("did not show their class"),
        "{reason}"
    );
    let filter = results.sources[0]
        .sampling
        .as_ref()
        .unwrap()
        .filter
        .clone()
        .unwrap();
    assert!((filter.min_score - share).abs() < 1e-6);
    let Err(RequestError::RoundEnded {
        state: RoundState::Failed { reason },
        ..
    }) = work(&[0, 1, 2], 1.0)
    else {
        panic!("images of noise passed")
    };
    assert!(reason.contains("no image was accepted"), "{reason}");
}

#[test]
fn a_restart_in_the_middle_of_synthesis_makes_no_image_twice() {
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::PerPrompt(120);
    let prompts = class_prompts(&[0, 1]);

    let whole = Fixture::start();
    let round = whole.open(&spec);
    whole.client("a").submit(round, &prompts).unwrap();
    whole.admin.close(round).unwrap();
    whole.admin.wait(round, None, &mut nothing).unwrap();
    let undisturbed = whole.admin.results(round).unwrap();
    assert_eq!(whole.made.load(Ordering::SeqCst), 240);

    let first = Fixture::start_in(tempfile::tempdir().unwrap(), Duration::from_millis(2));
    let round = first.open(&spec);
    first.client("a").submit(round, &prompts).unwrap();
    first.admin.close(round).unwrap();
    until_synthesised(&first, round, 1);
    let made = std::sync::Arc::clone(&first.made);
    let second = Fixture::start_in(first.stop(), Duration::ZERO);
    let before = made.load(Ordering::SeqCst);
    assert!(before < 240, "the first server was to be interrupted");
    second.admin.wait(round, None, &mut nothing).unwrap();
    assert_eq!(before + second.made.load(Ordering::SeqCst), 240);
    let results = second.admin.results(round).unwrap();
    assert_eq!(results.images, undisturbed.images);
    assert_eq!(results.model.hash, undisturbed.model.hash);
}

#[test]
fn an_engine_that_fails_among_several_is_set_aside() {
    let fixture = Fixture::start();
    let client = fixture.client("a");
    let mut spec = round_spec();
    spec.synthesis.sources = ["broken", "noise"].map(SourcePlan::new).into();
    spec.synthesis.images = ImageBudget::Total(60);
    let round = fixture.open(&spec);
    client.submit(round, &class_prompts(&[0, 1])).unwrap();
    fixture.admin.close(round).unwrap();
    client.wait(round, None, &mut nothing).unwrap();
    let results = client.results(round).unwrap();
    let [broken, noise] = results.sources.as_slice() else {
        panic!("{:?}", results.sources)
    };
    let SourceOutcome::SetAside { reason } = &broken.outcome else {
        panic!("{broken:?}")
    };
    assert!(reason.contains("weights are missing"), "{reason}");
    assert_eq!((broken.engine.as_ref(), broken.images.accepted), (None, 0));
    assert_eq!(
        (&noise.outcome, noise.images.accepted),
        (&SourceOutcome::Done, 30)
    );
    assert_eq!((results.images.planned, results.images.accepted), (60, 30));
    assert_eq!(broken.images.planned, 30);
    let told = &results.warnings;
    assert!(
        told.iter().any(|w| w.contains("broken was set aside")),
        "{told:?}"
    );

    spec.synthesis.sources = ["broken", "noise"].map(SourcePlan::new).into();
    spec.synthesis.sources[0].engine = "imagined".into();
    let error = fixture.admin.open_round(&spec).unwrap_err();
    assert!(error.problem().unwrap().message.contains("imagined"));
}

#[test]
fn a_failing_job_says_why_and_the_server_lives_on() {
    let fixture = Fixture::start();
    let client = fixture.client("a");
    for (engine, why) in [
        ("broken", "weights are missing"),
        ("panicking", "an engine that panics"),
    ] {
        let mut spec = round_spec();
        spec.synthesis.sources = vec![SourcePlan::new(engine)];
        let round = fixture.open(&spec);
        client.submit(round, &class_prompts(&[0])).unwrap();
        fixture.admin.close(round).unwrap();
        let ended = client.wait(round, None, &mut nothing);
        let Err(RequestError::RoundEnded {
            state: RoundState::Failed { reason },
            ..
        }) = ended
        else {
            panic!("{ended:?}")
        };
        assert!(reason.contains(why), "{reason}");
        let error = client.results(round).unwrap_err();
        assert_eq!(error.problem().unwrap().code, ProblemCode::WrongState);
        assert!(error.problem().unwrap().message.contains(why));
    }
    let round = fixture.open(&round_spec());
    client.submit(round, &class_prompts(&[0, 1, 2])).unwrap();
    fixture.admin.close(round).unwrap();
    client.wait(round, None, &mut nothing).unwrap();
}

#[test]
fn a_cancelled_job_stops_and_the_next_one_runs() {
    let fixture = Fixture::start_in(tempfile::tempdir().unwrap(), Duration::from_millis(2));
    let client = fixture.client("a");
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::PerPrompt(5000);
    let endless = fixture.open(&spec);
    client.submit(endless, &class_prompts(&[0])).unwrap();
    fixture.admin.close(endless).unwrap();
    until_synthesised(&fixture, endless, 1);
    assert_eq!(
        fixture.admin.cancel(endless).unwrap().state,
        RoundState::Cancelled
    );
    let round = fixture.open(&round_spec());
    client.submit(round, &class_prompts(&[0, 1, 2])).unwrap();
    fixture.admin.close(round).unwrap();
    client.wait(round, None, &mut nothing).unwrap();
    assert_eq!(client.status(endless).unwrap().state, RoundState::Cancelled);
    assert!(fixture.made.load(Ordering::SeqCst) < 5000);
}
