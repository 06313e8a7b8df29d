//! What an operator does with a round that is done: look through its images, drop some, draw a class again, train again, publish.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use promptfed_client::{AdminClient, FederationClient, ImagesAsked, RequestError};
use promptfed_learn::Classifier;
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{
    DropRequest, ImageBudget, ImagePage, Problem, ProblemCode, RedrawnClass, RegistrationRequest,
    RoundId, RoundResults, RoundState, SourcePlan, TrainingPlan, TrainingRequest, TrainingStatus,
};
use promptfed_server::{Engines, Server};
use promptfed_synth::ImageSeed;

use crate::fusion::{fused_round, until};
use crate::support::{Fixture, class_prompts, client, config, noise_of, round_spec};

/// A round of three classes that is done, and the client that took part.
fn done(fixture: &Fixture) -> (RoundId, FederationClient) {
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    let round = fixture.open(&spec);
    let client = fixture.client("a");
    client.submit(round, &class_prompts(&[0, 1, 2])).unwrap();
    assert_eq!(
        until(&fixture.admin, round, |_| false).state,
        RoundState::Done
    );
    (round, client)
}

fn wait(admin: &AdminClient, asked: &TrainingStatus) -> Result<TrainingStatus, RequestError> {
    let mut on = |_: &TrainingStatus| ControlFlow::Continue(());
    admin.wait_for_training(asked.round_id, asked.training, None, &mut on)
}

/// Trains and waits for the results.
fn train(admin: &AdminClient, round: RoundId, request: &TrainingRequest) -> RoundResults {
    let asked = admin.train(round, request).unwrap();
    wait(admin, &asked).unwrap();
    admin.training_results(round, asked.training).unwrap()
}

fn redraw(class: &str) -> TrainingRequest {
    TrainingRequest {
        redraw: vec![class.to_owned()],
        ..TrainingRequest::default()
    }
}

fn all(admin: &AdminClient, round: RoundId) -> ImagePage {
    admin.images(round, &ImagesAsked::default()).unwrap()
}

fn drop_images(images: &[String], undo: bool) -> DropRequest {
    DropRequest {
        images: images.to_vec(),
        undo,
    }
}

fn problem<T: std::fmt::Debug>(answer: Result<T, RequestError>) -> Problem {
    answer.unwrap_err().problem().unwrap().clone()
}

#[test]
fn a_round_is_trained_again_and_clients_get_what_is_published() {
    let fixture = Fixture::start();
    let admin = &fixture.admin;
    let (round, client) = done(&fixture);
    let first = client.results(round).unwrap();
    assert_eq!((first.training, first.dropped), (1, 0));
    let made = fixture.made.load(Ordering::SeqCst);

    let plan = TrainingPlan {
        epochs: 3,
        learning_rate: 0.02,
        ..round_spec().training
    };
    let other = TrainingRequest {
        plan: Some(plan),
        ..TrainingRequest::default()
    };
    let second = train(admin, round, &other);
    assert_eq!((second.training, second.plan), (2, Some(plan)));
    assert_eq!(second.curve.len(), 3);
    assert_eq!(
        (&second.images, &second.per_class),
        (&first.images, &first.per_class)
    );
    assert_ne!(second.model.hash, first.model.hash);
    let model = admin.training_model(&second).unwrap();
    let recipe = Classifier::from_safetensors(&model).unwrap();
    assert_eq!(recipe.recipe().unwrap().plan(), plan);
    // Nobody was asked to publish it.
    assert_eq!(client.results(round).unwrap(), first);
    assert_eq!(
        ContentHash::of(&client.model(&first).unwrap()),
        first.model.hash
    );
    assert_eq!(client.status(round).unwrap().state, RoundState::Done);

    // The same settings give the same model, and no image was made for any of them.
    let same = train(admin, round, &TrainingRequest::default());
    assert_eq!(same.model.hash, first.model.hash);
    assert_eq!(fixture.made.load(Ordering::SeqCst), made);

    for (training, hash) in [(2, second.model.hash), (1, first.model.hash)] {
        assert!(admin.publish(round, training).unwrap().published);
        let results = client.results(round).unwrap();
        assert_eq!((results.training, results.model.hash), (training, hash));
        assert_eq!(ContentHash::of(&client.model(&results).unwrap()), hash);
        let own: Vec<_> = results.prompt_sets.iter().map(|set| set.hash).collect();
        assert_eq!(own, [client.receipt(round).unwrap().hash]);
        let published: Vec<bool> = admin
            .trainings(round)
            .unwrap()
            .iter()
            .map(|status| status.published)
            .collect();
        assert_eq!(published, [training == 1, training == 2, false]);
    }
    let published = TrainingRequest {
        publish: true,
        ..other
    };
    let fourth = train(admin, round, &published);
    let results = client.results(round).unwrap();
    assert_eq!(
        (results.training, results.model.hash),
        (4, second.model.hash)
    );
    assert_eq!(fourth.training, 4);
    let log = admin.log(round).unwrap();
    let told = |text: &str| log.iter().any(|event| event.text.contains(text));
    assert!(
        told("training 2 asked for") && told("training 2 published"),
        "{log:?}"
    );
    assert!(told("training 4: done and published"), "{log:?}");
    assert!(told(&first.model.hash.to_string()), "{log:?}");
}

#[test]
fn later_trainings_are_the_operators_business() {
    let fixture = Fixture::start();
    let (round, client) = done(&fixture);
    let admin = &fixture.admin;
    let request = RegistrationRequest {
        name: "b".into(),
        replace_token: false,
    };
    let token = admin.register(&request).unwrap().token;
    let as_client = AdminClient::new(&fixture.server.url(), &token).unwrap();
    for refused in [
        problem(as_client.train(round, &TrainingRequest::default())).code,
        problem(as_client.trainings(round)).code,
        problem(as_client.images(round, &ImagesAsked::default())).code,
        problem(as_client.publish(round, 1)).code,
        problem(client.training_results(round, 1)).code,
    ] {
        assert_eq!(refused, ProblemCode::Forbidden);
    }
    assert_eq!(problem(admin.publish(round, 2)).code, ProblemCode::NotFound);
    let none = RoundId::new(99);
    assert_eq!(problem(admin.trainings(none)).code, ProblemCode::NotFound);
    assert_eq!(problem(admin.publish(none, 2)).code, ProblemCode::NotFound);
    assert_eq!(
        problem(admin.cancel_training(round, 1)).code,
        ProblemCode::WrongState
    );
    let told = problem(admin.train(round, &redraw("zebra")));
    assert!(told.message.contains("zebra"), "{told:?}");
    let of_none = TrainingRequest {
        images_of: Some(7),
        ..TrainingRequest::default()
    };
    assert_eq!(
        problem(admin.train(round, &of_none)).code,
        ProblemCode::Invalid
    );
    let open = fixture.open(&round_spec());
    let early = problem(admin.train(open, &TrainingRequest::default()));
    assert_eq!(early.code, ProblemCode::WrongState);
    assert!(admin.trainings(open).unwrap().is_empty());
    assert_eq!(all(admin, open).total, 0);
}

#[test]
fn images_are_looked_through_and_bad_ones_dropped() {
    let fixture = Fixture::start();
    let admin = &fixture.admin;
    let (round, client) = done(&fixture);
    let page = all(admin, round);
    assert_eq!((page.images.len(), page.total), (24, 24));
    for (row, image) in page.images.iter().enumerate() {
        assert_eq!(
            (image.row, image.draw, image.dropped),
            (row as u64, 0, false)
        );
        assert_eq!(image.engine, "noise");
        assert!(image.prompt.contains(&image.class), "{image:?}");
    }
    let asked = ImagesAsked {
        class: Some("dog".into()),
        limit: Some(3),
        ..ImagesAsked::default()
    };
    let dogs = admin.images(round, &asked).unwrap();
    assert_eq!((dogs.images.len(), dogs.total), (3, 8));
    assert_eq!(dogs.images, page.images[8..11]);
    let asked = ImagesAsked {
        class: Some("zebra".into()),
        ..ImagesAsked::default()
    };
    assert_eq!(
        problem(admin.images(round, &asked)).code,
        ProblemCode::Malformed
    );
    let file = admin.image(round, dogs.images[0].hash).unwrap();
    assert!(file.starts_with(b"\x89PNG"));
    let unknown = ContentHash::of(b"no image");
    assert_eq!(
        problem(admin.image(round, unknown)).code,
        ProblemCode::NotFound
    );

    let names: Vec<String> = dogs
        .images
        .iter()
        .map(|image| image.hash.to_string())
        .collect();
    let short = names[0][..10].to_owned();
    let request = drop_images(&[short, names[1].clone()], false);
    let changed = admin.drop_images(round, &request).unwrap();
    assert_eq!((changed.changed.len(), changed.dropped), (2, 2));
    assert!(
        admin
            .drop_images(round, &request)
            .unwrap()
            .changed
            .is_empty()
    );
    // All or none.
    let mixed = drop_images(&[names[2].clone(), unknown.to_string()], false);
    assert_eq!(
        problem(admin.drop_images(round, &mixed)).code,
        ProblemCode::Invalid
    );
    let asked = ImagesAsked {
        dropped: Some(true),
        ..ImagesAsked::default()
    };
    assert_eq!(admin.images(round, &asked).unwrap().total, 2);

    let first = client.results(round).unwrap();
    let without = train(admin, round, &TrainingRequest::default());
    assert_eq!(
        (without.dropped, &without.per_class[..]),
        (2, &[8, 6, 8][..])
    );
    assert_eq!(without.images, first.images);
    assert_ne!(without.model.hash, first.model.hash);
    let log = admin.log(round).unwrap();
    let told = log
        .iter()
        .find(|event| event.text.contains("images dropped"));
    assert!(told.unwrap().text.contains(&names[0]), "{log:?}");
    // The files stay, and so can be taken back in.
    assert_eq!(admin.image(round, dogs.images[0].hash).unwrap(), file);
    admin
        .drop_images(round, &drop_images(&names[..2], true))
        .unwrap();
    let again = train(admin, round, &TrainingRequest::default());
    assert_eq!((again.dropped, again.model.hash), (0, first.model.hash));
}

#[test]
fn a_class_without_images_is_told_and_a_round_without_any_fails() {
    let fixture = Fixture::start();
    let admin = &fixture.admin;
    let (round, _) = done(&fixture);
    let names = |class: Option<&str>| -> Vec<String> {
        let images = all(admin, round).images.into_iter();
        let of_class = images.filter(|image| class.is_none_or(|class| image.class == class));
        of_class.map(|image| image.hash.to_string()).collect()
    };
    admin
        .drop_images(round, &drop_images(&names(Some("fox")), false))
        .unwrap();
    let results = train(admin, round, &TrainingRequest::default());
    assert_eq!(results.per_class, [8, 8, 0]);
    let told = &results.warnings;
    assert!(
        told.iter().any(|told| told.contains("\"fox\" was dropped")),
        "{told:?}"
    );
    admin
        .drop_images(round, &drop_images(&names(None), false))
        .unwrap();
    let asked = admin.train(round, &TrainingRequest::default()).unwrap();
    let Err(RequestError::TrainingEnded {
        state: RoundState::Failed { reason },
        ..
    }) = wait(admin, &asked)
    else {
        panic!("a model of nothing")
    };
    assert!(reason.contains("--undo"), "{reason}");
    assert_eq!(admin.status(round).unwrap().state, RoundState::Done);
    admin
        .drop_images(round, &drop_images(&names(None), true))
        .unwrap();
    admin.retry_training(round, asked.training).unwrap();
    wait(admin, &asked).unwrap();
}

#[test]
fn a_class_is_drawn_again_from_its_next_seeds_and_nothing_else_is() {
    let fixture = Fixture::start();
    let admin = &fixture.admin;
    let (round, _) = done(&fixture);
    let before = all(admin, round).images;
    let made = fixture.made.load(Ordering::SeqCst);
    let again = train(admin, round, &redraw("cat"));
    assert_eq!(fixture.made.load(Ordering::SeqCst), made + 8);
    assert_eq!(again.per_class, [8, 8, 8]);
    let cat = |draw| RedrawnClass {
        class: "cat".into(),
        draw,
    };
    assert_eq!(again.redrawn, [cat(1)]);
    let images = all(admin, round).images;
    assert_eq!((images.len(), &images[..24]), (32, &before[..]));
    for (old, new) in before.iter().zip(&images[24..]) {
        assert_eq!(
            (new.draw, &new.class, &new.prompt),
            (1, &old.class, &old.prompt)
        );
        // Each image may have been drawn four times at first.
        let seed: ImageSeed = old.seed.parse().unwrap();
        assert_eq!(new.seed, seed.attempt(4).to_string());
        assert_ne!(new.hash, old.hash);
    }
    // A training after it has the class as it was drawn last, unless it is told otherwise.
    let later = train(admin, round, &TrainingRequest::default());
    assert_eq!(
        (&later.redrawn, later.model.hash),
        (&again.redrawn, again.model.hash)
    );
    let of_first = TrainingRequest {
        images_of: Some(1),
        ..TrainingRequest::default()
    };
    let old = train(admin, round, &of_first);
    assert_eq!(old.model.hash, admin.results(round).unwrap().model.hash);
    assert_ne!(old.model.hash, again.model.hash);
    assert_eq!(fixture.made.load(Ordering::SeqCst), made + 8);
    let third = train(admin, round, &redraw("cat"));
    assert_eq!(third.redrawn, [cat(2)]);
    assert_eq!(all(admin, round).total, 40);
}

#[test]
fn a_total_of_several_engines_is_drawn_again_by_the_same() {
    let fixture = Fixture::start();
    let admin = &fixture.admin;
    let mut spec = fused_round();
    spec.synthesis.fuse = None;
    spec.synthesis.images = ImageBudget::Total(45);
    let round = fixture.open(&spec);
    let client = fixture.client("a");
    client.submit(round, &class_prompts(&[0, 1, 2])).unwrap();
    admin.close(round).unwrap();
    until(admin, round, |_| false);
    let results = train(admin, round, &redraw("fox"));
    assert_eq!(results.per_class, [15, 15, 15]);
    let images = all(admin, round).images;
    let of = |draw, engine: &str| {
        let images = images.iter();
        images
            .filter(|i| i.class == "fox" && i.draw == draw && i.engine == engine)
            .count()
    };
    for engine in ["noise", "faint", "loud"] {
        assert_eq!((of(0, engine), of(1, engine)), (5, 5), "{engine}");
    }
}

#[test]
fn other_weights_pause_a_class_that_is_drawn_again() {
    for names in [&["painter"][..], &["noise", "painter"]] {
        let folder = tempfile::tempdir().unwrap();
        let serve = |weights: &'static [u8]| {
            let noise = |name: &'static str, weights: &'static [u8]| {
                move || noise_of(name, 0.3, Duration::ZERO, &Arc::default(), weights)
            };
            let engines = Engines::new()
                .with("noise", noise("noise", b"first"))
                .with("painter", noise("painter", weights));
            let config = config(folder.path(), ([127, 0, 0, 1], 0).into(), engines);
            let server = Server::start(config).unwrap();
            let admin = AdminClient::new(&server.url(), server.admin_token()).unwrap();
            (server, admin)
        };
        let mut spec = round_spec();
        spec.synthesis.sources = names.iter().copied().map(SourcePlan::new).collect();
        spec.expected_clients = Some(1);
        let (server, admin) = serve(b"first");
        let round = admin.open_round(&spec).unwrap().round_id;
        client(&admin, &server.url(), "a")
            .submit(round, &class_prompts(&[0, 1]))
            .unwrap();
        until(&admin, round, |_| false);
        let first = admin.results(round).unwrap();
        server.shutdown();

        let (server, admin) = serve(b"second");
        let asked = admin.train(round, &redraw("dog")).unwrap();
        let Err(RequestError::TrainingEnded {
            state: RoundState::Paused { reason },
            ..
        }) = wait(&admin, &asked)
        else {
            panic!("{names:?}: images of other weights")
        };
        let retry = format!("round retry {round} --training {}", asked.training);
        assert!(reason.contains(&retry), "{reason}");
        server.shutdown();

        let (server, admin) = serve(b"first");
        admin.retry_training(round, asked.training).unwrap();
        wait(&admin, &asked).unwrap();
        let again = admin.training_results(round, asked.training).unwrap();
        assert_eq!(again.per_class, first.per_class);
        server.shutdown();
    }
}

#[test]
fn a_class_that_nobody_has_prompts_of_is_not_drawn_again() {
    let fixture = Fixture::start();
    let admin = &fixture.admin;
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    let round = fixture.open(&spec);
    fixture
        .client("a")
        .submit(round, &class_prompts(&[0, 1]))
        .unwrap();
    until(admin, round, |_| false);
    let asked = admin.train(round, &redraw("fox")).unwrap();
    let Err(RequestError::TrainingEnded {
        state: RoundState::Failed { reason },
        ..
    }) = wait(admin, &asked)
    else {
        panic!("images of no prompt")
    };
    assert!(reason.contains("\"fox\""), "{reason}");
    // What is asked for after it begins with what there was before.
    let after = train(admin, round, &TrainingRequest::default());
    assert!(after.redrawn.is_empty());
}

#[test]
fn a_fused_round_loses_what_is_dropped_and_is_not_drawn_again() {
    let fixture = Fixture::start();
    let admin = &fixture.admin;
    let mut spec = fused_round();
    spec.synthesis.images = ImageBudget::Total(45);
    let fuse = spec.synthesis.fuse.as_mut().unwrap();
    (fuse.keep, fuse.quotas, fuse.adjust_weights) = (Some(30), None, None);
    let round = fixture.open(&spec);
    let client = fixture.client("a");
    client.submit(round, &class_prompts(&[0, 1, 2])).unwrap();
    admin.close(round).unwrap();
    until(admin, round, |_| false);
    let first = client.results(round).unwrap();
    assert_eq!(
        train(admin, round, &TrainingRequest::default()).model.hash,
        first.model.hash
    );
    let cats = ImagesAsked {
        class: Some("cat".into()),
        ..ImagesAsked::default()
    };
    let cats = admin.images(round, &cats).unwrap().images;
    let names: Vec<String> = cats.iter().map(|image| image.hash.to_string()).collect();
    admin
        .drop_images(round, &drop_images(&names, false))
        .unwrap();
    let without = train(admin, round, &TrainingRequest::default());
    // Of the class's fifteen images a part was chosen.
    let chosen = first.fusion.unwrap().per_class[0];
    assert_eq!(
        (without.dropped, &without.per_class[..]),
        (chosen, &[0, 15, 15][..])
    );
    assert_eq!(
        problem(admin.train(round, &redraw("cat"))).code,
        ProblemCode::WrongState
    );
}

#[test]
fn a_training_is_cancelled_and_keeps_its_round_until_then() {
    let fixture = Fixture::start_in(tempfile::tempdir().unwrap(), Duration::from_millis(2));
    let admin = &fixture.admin;
    let (round, _) = done(&fixture);
    let long = TrainingRequest {
        plan: Some(TrainingPlan {
            epochs: 10_000,
            ..round_spec().training
        }),
        ..redraw("cat")
    };
    let asked = admin.train(round, &long).unwrap();
    assert_eq!(problem(admin.delete(round)).code, ProblemCode::WrongState);
    let at_work = |status: &TrainingStatus| matches!(status.state, RoundState::Training { .. });
    let mut until_training = |status: &TrainingStatus| match at_work(status) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let stopped = admin.wait_for_training(round, asked.training, None, &mut until_training);
    assert!(
        matches!(stopped, Err(RequestError::StillWorking { .. })),
        "{stopped:?}"
    );
    let cancelled = admin.cancel_training(round, asked.training).unwrap();
    assert_eq!(cancelled.state, RoundState::Cancelled);
    let ended = wait(admin, &asked);
    assert!(
        matches!(ended, Err(RequestError::TrainingEnded { .. })),
        "{ended:?}"
    );
    // The job may come to its end yet.
    while problem_of_deletion(admin, round) {}
    assert!(
        !fixture
            .folder
            .path()
            .join(format!("rounds/{round}"))
            .exists()
    );
}

fn problem_of_deletion(admin: &AdminClient, round: RoundId) -> bool {
    match admin.delete(round) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.problem().unwrap().code, ProblemCode::WrongState);
            true
        }
    }
}

#[test]
fn a_deleted_round_leaves_no_model_of_any_training() {
    let fixture = Fixture::start();
    let admin = &fixture.admin;
    let (round, _) = done(&fixture);
    train(admin, round, &redraw("dog"));
    let models = fixture.folder.path().join("models");
    assert_eq!(std::fs::read_dir(&models).unwrap().count(), 2);
    while problem_of_deletion(admin, round) {}
    assert_eq!(std::fs::read_dir(&models).unwrap().count(), 0);
}

#[test]
fn a_restart_in_the_middle_of_a_class_makes_no_image_twice() {
    let pause = Duration::from_millis(3);
    let first = Fixture::start_in(tempfile::tempdir().unwrap(), pause);
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::PerPrompt(100);
    spec.expected_clients = Some(1);
    let round = first.open(&spec);
    first
        .client("a")
        .submit(round, &class_prompts(&[0, 1]))
        .unwrap();
    until(&first.admin, round, |_| false);
    let made = first.made.load(Ordering::SeqCst);
    let asked = first.admin.train(round, &redraw("dog")).unwrap();
    let mut begun = |status: &TrainingStatus| match status.state {
        RoundState::Synthesising { done, .. } if done > 0 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let stopped = first
        .admin
        .wait_for_training(round, asked.training, None, &mut begun);
    assert!(
        matches!(stopped, Err(RequestError::StillWorking { .. })),
        "{stopped:?}"
    );
    let of_first = Arc::clone(&first.made);
    let second = Fixture::start_in(first.stop(), Duration::ZERO);
    let drawn = of_first.load(Ordering::SeqCst) - made;
    assert!(drawn < 100, "the first server was to be interrupted");
    wait(&second.admin, &asked).unwrap();
    assert_eq!(drawn + second.made.load(Ordering::SeqCst), 100);
    let results = second
        .admin
        .training_results(round, asked.training)
        .unwrap();
    assert_eq!(results.per_class, [100, 100, 0]);
}
