//! Jobs that fail, by what passes and by what does not, and what an operator does about them.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use promptfed_client::{AdminClient, FederationClient, RequestError};
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{
    FailureKind, ImageBudget, ProblemCode, RoundId, RoundSpec, RoundState, RoundStatus, SourcePlan,
};
use promptfed_server::{Engines, RunningServer, Server};
use rusqlite::Connection;

use crate::fusion::until;
use crate::support::{Fixture, class_prompts, client, config, noise_of, round_spec};

fn nothing(_: &RoundStatus) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn serve(folder: &Path, engines: Engines) -> (RunningServer, AdminClient) {
    let server = Server::start(config(folder, ([127, 0, 0, 1], 0).into(), engines)).unwrap();
    let admin = AdminClient::new(&server.url(), server.admin_token()).unwrap();
    (server, admin)
}

/// An engine whose disk is full while the flag is set.
fn moody(full: &Arc<AtomicBool>) -> Engines {
    let full = Arc::clone(full);
    Engines::new().with("moody", move || {
        if full.load(Ordering::SeqCst) {
            let error = std::io::Error::new(std::io::ErrorKind::StorageFull, "no space is left");
            return Err(error.into());
        }
        noise_of("moody", 0.3, Duration::ZERO, &Default::default(), b"none")
    })
}

fn spec_of(engine: &str) -> RoundSpec {
    let mut spec = round_spec();
    spec.synthesis.sources = vec![SourcePlan::new(engine)];
    spec
}

/// Waits until a job has ended, whatever its end.
fn ended(admin: &AdminClient, round: RoundId) -> RoundStatus {
    until(admin, round, |state| {
        matches!(state, RoundState::Paused { .. })
    })
}

fn told(admin: &AdminClient, round: RoundId) -> String {
    let events = admin.log(round).unwrap();
    assert!(events.is_sorted_by_key(|event| event.at));
    let texts: Vec<String> = events.into_iter().map(|event| event.text).collect();
    texts.join("\n")
}

#[test]
fn a_full_disk_fails_a_round_that_can_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(true));
    let (server, admin) = serve(folder.path(), moody(&full));
    let a = client(&admin, &server.url(), "a");
    let round = admin.open_round(&spec_of("moody")).unwrap().round_id;
    a.submit(round, &class_prompts(&[0, 1])).unwrap();
    admin.close(round).unwrap();
    let status = ended(&admin, round);
    let RoundState::Failed { reason } = &status.state else {
        panic!("{status:?}")
    };
    assert!(
        reason.contains("no space is left") && reason.contains("round retry 1"),
        "{reason}"
    );
    assert_eq!(status.failure, Some(FailureKind::Transient));
    assert_eq!(status.attempts, 1);
    // Closing it again does not pass for success.
    let error = admin.close(round).unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(problem.code, ProblemCode::WrongState);
    assert!(problem.message.contains("no space is left"), "{problem:?}");

    full.store(false, Ordering::SeqCst);
    let again = admin.retry(round).unwrap();
    assert!(
        !again.state.is_final() && again.failure.is_none(),
        "{again:?}"
    );
    let done = a.wait(round, None, &mut nothing).unwrap();
    assert_eq!((done.attempts, done.failure), (2, None));
    assert_eq!(a.results(round).unwrap().images.accepted, 16);
    let told = told(&admin, round);
    for part in [
        "opened",
        "client 1 submitted: 2 prompts",
        "closed by the administrator",
        "attempt 1 began",
        "failed (transient)",
        "tried again",
        "attempt 2 began",
        "training took",
        "done",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let error = admin.retry(round).unwrap_err();
    assert_eq!(error.problem().unwrap().code, ProblemCode::WrongState);
}

#[test]
fn what_does_not_pass_is_told_as_final() {
    let fixture = Fixture::start();
    let client = fixture.client("a");
    let round = fixture.open(&spec_of("panicking"));
    client.submit(round, &class_prompts(&[0])).unwrap();
    fixture.admin.close(round).unwrap();
    let status = ended(&fixture.admin, round);
    assert_eq!(status.failure, Some(FailureKind::Final));
}

/// Changes the database of a server that does not run.
fn change(folder: &Path, sql: &str) {
    let database = Connection::open(folder.join("server.sqlite")).unwrap();
    assert_eq!(database.execute(sql, []).unwrap(), 1);
}

#[test]
fn a_job_that_ended_the_server_again_and_again_is_set_aside() {
    let first = Fixture::start();
    let round = first.open(&round_spec());
    first
        .client("a")
        .submit(round, &class_prompts(&[0, 1]))
        .unwrap();
    let folder = first.stop();
    // As five starts would leave it whose job never came to its end.
    change(
        folder.path(),
        "UPDATE rounds SET state = 'queued', closed_at = 1, attempts = 5, unfinished = 5",
    );
    let second = Fixture::start_in(folder, Duration::ZERO);
    let status = ended(&second.admin, round);
    let RoundState::Failed { reason } = &status.state else {
        panic!("{status:?}")
    };
    assert!(reason.contains("ended the server 5 times"), "{reason}");
    assert_eq!(status.failure, Some(FailureKind::Poison));
    assert_eq!(status.attempts, 5);
    assert_eq!(second.made.load(Ordering::SeqCst), 0);
    // The others are not held up by it, and an operator can insist.
    let other = second.open(&round_spec());
    second
        .client("b")
        .submit(other, &class_prompts(&[2]))
        .unwrap();
    second.admin.close(other).unwrap();
    second.admin.wait(other, None, &mut nothing).unwrap();
    second.admin.retry(round).unwrap();
    let done = second.admin.wait(round, None, &mut nothing).unwrap();
    assert_eq!(done.attempts, 6);
}

#[test]
fn an_attempt_that_gets_further_than_the_last_one_is_no_poison() {
    let first = Fixture::start();
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::PerPrompt(2000);
    let round = first.open(&spec);
    first
        .client("a")
        .submit(round, &class_prompts(&[0, 1]))
        .unwrap();
    let folder = first.stop();
    change(
        folder.path(),
        "UPDATE rounds SET state = 'queued', closed_at = 1, attempts = 4, unfinished = 4",
    );
    let second = Fixture::start_in(folder, Duration::from_millis(2));
    let status = until(
        &second.admin,
        round,
        |state| matches!(state, RoundState::Synthesising { done, .. } if *done > 200),
    );
    assert_eq!(status.attempts, 5);
    let unfinished = |folder: &Path| -> u32 {
        let database = Connection::open(folder.join("server.sqlite")).unwrap();
        let sql = "SELECT unfinished FROM rounds";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    // The four before it count no more; itself does, until it ends.
    assert_eq!(unfinished(second.folder.path()), 1);
    let folder = second.stop();
    // Told to end, it came to an orderly end.
    assert_eq!(unfinished(folder.path()), 0);
}

#[test]
fn who_has_sent_nothing_is_excluded_without_harm_to_the_images() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) = serve(folder.path(), moody(&Arc::new(AtomicBool::new(true))));
    let a = client(&admin, &server.url(), "a");
    client(&admin, &server.url(), "b");
    let clients = admin.clients().unwrap();
    let round = admin.open_round(&spec_of("moody")).unwrap().round_id;
    a.submit(round, &class_prompts(&[0])).unwrap();
    admin.close(round).unwrap();
    ended(&admin, round);
    let made = folder.path().join(format!("rounds/{round}/made"));
    std::fs::create_dir_all(&made).unwrap();
    let unknown = promptfed_prompts::protocol::ClientId::new(99);
    let error = admin.exclude(round, unknown).unwrap_err();
    assert_eq!(error.problem().unwrap().code, ProblemCode::NotFound);
    assert!(made.exists());
    admin.exclude(round, clients[1].client_id).unwrap();
    assert!(made.exists());
    admin.exclude(round, clients[0].client_id).unwrap();
    assert!(!made.exists());
    server.shutdown();
}

#[test]
fn other_weights_pause_a_round_until_the_right_ones_are_back() {
    let folder = tempfile::tempdir().unwrap();
    let made = Arc::new(AtomicU64::new(0));
    let engines = |weights: &'static [u8], pause: u64| {
        let made = Arc::clone(&made);
        Engines::new().with("painter", move || {
            noise_of("painter", 0.3, Duration::from_millis(pause), &made, weights)
        })
    };
    let mut spec = spec_of("painter");
    spec.synthesis.images = ImageBudget::PerPrompt(120);
    let (server, admin) = serve(folder.path(), engines(b"first", 2));
    let a = client(&admin, &server.url(), "a");
    let round = admin.open_round(&spec).unwrap().round_id;
    a.submit(round, &class_prompts(&[0, 1])).unwrap();
    admin.close(round).unwrap();
    until(
        &admin,
        round,
        |state| matches!(state, RoundState::Synthesising { done, .. } if *done > 0),
    );
    server.shutdown();
    let before = made.load(Ordering::SeqCst);
    assert!(before < 240, "the first server was to be interrupted");

    let (server, admin) = serve(folder.path(), engines(b"second", 0));
    let status = ended(&admin, round);
    let RoundState::Paused { reason } = &status.state else {
        panic!("{status:?}")
    };
    for weights in [b"first".as_slice(), b"second"] {
        let hash = ContentHash::of(weights).to_string();
        assert!(reason.contains(&hash), "{reason}");
    }
    assert!(status.finished_at.is_none() && status.failure.is_none());
    assert_eq!(made.load(Ordering::SeqCst), before);
    server.shutdown();

    let (server, admin) = serve(folder.path(), engines(b"first", 0));
    // It waits for an operator, who knows why.
    assert!(matches!(
        admin.status(round).unwrap().state,
        RoundState::Paused { .. }
    ));
    admin.retry(round).unwrap();
    admin.wait(round, None, &mut nothing).unwrap();
    assert_eq!(made.load(Ordering::SeqCst), 240);
    assert_eq!(admin.results(round).unwrap().images.accepted, 240);
    server.shutdown();
}

#[test]
fn a_client_can_be_excluded_after_the_job_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(true));
    let (server, admin) = serve(folder.path(), moody(&full));
    let clients = ["a", "b"].map(|name| client(&admin, &server.url(), name));
    let round = admin.open_round(&spec_of("moody")).unwrap().round_id;
    clients[0].submit(round, &class_prompts(&[0, 1])).unwrap();
    let unwanted = clients[1].submit(round, &class_prompts(&[2])).unwrap();
    admin.close(round).unwrap();
    ended(&admin, round);
    let status = admin.exclude(round, unwanted.receipt.client_id).unwrap();
    assert_eq!(status.submissions, 1);
    full.store(false, Ordering::SeqCst);
    admin.retry(round).unwrap();
    admin.wait(round, None, &mut nothing).unwrap();
    let results = admin.results(round).unwrap();
    assert_eq!(results.per_class, [8, 8, 0]);
    assert_eq!(results.prompt_sets.len(), 1);
    // What is done is not changed any more.
    let error = admin
        .exclude(round, unwanted.receipt.client_id)
        .unwrap_err();
    assert_eq!(error.problem().unwrap().code, ProblemCode::WrongState);
    refused_results(&clients[1], round);
}

fn refused_results(client: &FederationClient, round: RoundId) {
    let error: RequestError = client.results(round).unwrap_err();
    assert_eq!(error.problem().unwrap().code, ProblemCode::Forbidden);
}

#[test]
fn a_round_of_which_nobody_is_left_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) = serve(folder.path(), moody(&Arc::new(AtomicBool::new(true))));
    let a = client(&admin, &server.url(), "a");
    let round = admin.open_round(&spec_of("moody")).unwrap().round_id;
    let answer = a.submit(round, &class_prompts(&[0])).unwrap();
    admin.close(round).unwrap();
    ended(&admin, round);
    admin.exclude(round, answer.receipt.client_id).unwrap();
    let error = admin.retry(round).unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(problem.code, ProblemCode::WrongState);
    assert!(problem.remedy.contains("no submission"), "{problem:?}");
}
