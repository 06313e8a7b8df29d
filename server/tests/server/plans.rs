//! What one member can do to the others: nothing.

use std::ops::ControlFlow;

use promptfed_client::RequestError;
use promptfed_prompts::protocol::{
    ImageBudget, Problem, ProblemCode, PromptPlan, SubmissionOutcome,
};
use promptfed_prompts::{Level, PromptSet, TemplateSet};

use crate::support::{Fixture, captioned_prompts, class_prompts, round_spec};

fn problem<T: std::fmt::Debug>(result: Result<T, RequestError>) -> Problem {
    let error = result.unwrap_err();
    error.problem().unwrap_or_else(|| panic!("{error}")).clone()
}

/// Prompts whose captions are these numbers.
fn numbered(numbers: std::ops::Range<u32>) -> PromptSet {
    let captions: Vec<String> = numbers.map(|i| format!("picture {i}")).collect();
    captioned_prompts(&captions.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_quota_is_part_of_the_plan_and_named_by_the_refusal() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.prompts = Some(PromptPlan {
        level: Level::Class,
        templates: TemplateSet::builtin("fgl").unwrap(),
        max_per_client: Some(2),
    });
    let round = fixture.open(&spec);
    let client = fixture.client("a");
    assert_eq!(client.round(round).unwrap(), spec);
    let refused = problem(client.submit(round, &class_prompts(&[0, 1, 2])));
    assert_eq!(
        (refused.status, refused.code),
        (422, ProblemCode::Incompatible)
    );
    assert!(
        refused.message.contains("takes 2 of each client"),
        "{refused:?}"
    );
    assert!(refused.remedy.contains("--max-prompts 2"), "{refused:?}");
    client.submit(round, &class_prompts(&[0, 1])).unwrap();
}

#[test]
fn what_would_make_the_pool_too_large_is_refused_when_it_comes() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    // Ten million images at most: a thousand prompts.
    spec.synthesis.images = ImageBudget::PerPrompt(10_000);
    let round = fixture.open(&spec);
    let [a, b, c] = ["a", "b", "c"].map(|name| fixture.client(name));
    a.submit(round, &numbered(0..600)).unwrap();
    // What others have sent too takes no room.
    let same = c.submit(round, &numbered(0..600)).unwrap();
    let refused = problem(b.submit(round, &numbered(600..1200)));
    assert_eq!(
        (refused.status, refused.code),
        (422, ProblemCode::Incompatible)
    );
    assert!(
        refused.message.contains("more than 1000 distinct prompts"),
        "{refused:?}"
    );
    assert_eq!(a.status(round).unwrap().submissions, 2);
    // What was refused has taken no room either.
    b.submit(round, &numbered(600..1000)).unwrap();
    let refused = problem(a.submit(round, &numbered(1000..1001)));
    // The first six hundred are still those of another client.
    assert_eq!(refused.code, ProblemCode::Incompatible);
    fixture
        .admin
        .exclude(round, same.receipt.client_id)
        .unwrap();
    let answer = a.submit(round, &numbered(1000..1600)).unwrap();
    assert_eq!(answer.outcome, SubmissionOutcome::Replaced);
    let refused = problem(b.submit(round, &numbered(500..1000)));
    assert_eq!(refused.code, ProblemCode::Incompatible);
    fixture.admin.cancel(round).unwrap();
}

#[test]
fn a_total_leaves_an_image_for_every_class_that_is_taken() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::Total(2);
    let round = fixture.open(&spec);
    let [a, b] = ["a", "b"].map(|name| fixture.client(name));
    a.submit(round, &class_prompts(&[0, 1])).unwrap();
    let refused = problem(b.submit(round, &class_prompts(&[1, 2])));
    assert!(
        refused.message.contains("more than 2 classes"),
        "{refused:?}"
    );
    b.submit(round, &class_prompts(&[1])).unwrap();
}

#[test]
fn a_pool_is_counted_anew_after_an_upgrade() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::PerPrompt(10_000);
    let round = fixture.open(&spec);
    fixture
        .client("a")
        .submit(round, &numbered(0..600))
        .unwrap();
    let folder = fixture.stop();
    // As an earlier version leaves it.
    let database = rusqlite::Connection::open(folder.path().join("server.sqlite")).unwrap();
    database
        .execute_batch(
            "DELETE FROM pieces;
            UPDATE rounds SET pooled_prompts = 0, pooled_classes = 0, pooled_bytes = 0",
        )
        .unwrap();
    drop(database);
    let fixture = Fixture::start_in(folder, Default::default());
    let b = fixture.client("b");
    let refused = problem(b.submit(round, &numbered(600..1001)));
    assert!(refused.message.contains("distinct prompts"), "{refused:?}");
    b.submit(round, &numbered(600..1000)).unwrap();
}

#[test]
fn a_stored_set_that_cannot_be_read_refuses_nobody_else() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let unreadable = fixture.client("a").submit(round, &numbered(0..6)).unwrap();
    let folder = fixture.stop();
    let database = rusqlite::Connection::open(folder.path().join("server.sqlite")).unwrap();
    database
        .execute_batch(
            "UPDATE submissions SET wire = x'00';
            DELETE FROM pieces;
            UPDATE rounds SET pooled_prompts = 0, pooled_classes = 0, pooled_bytes = 0",
        )
        .unwrap();
    drop(database);
    let fixture = Fixture::start_in(folder, Default::default());
    let b = fixture.client("b");
    b.submit(round, &numbered(3..9)).unwrap();
    let client = unreadable.receipt.client_id;
    assert_eq!(fixture.admin.exclude(round, client).unwrap().submissions, 1);
    b.submit(round, &numbered(0..3)).unwrap();
}

#[test]
fn counts_are_reckoned_with_whoever_has_them() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let counted = {
        let space = crate::support::label_space();
        let templates = TemplateSet::builtin("fgl").unwrap();
        let mut builder = PromptSet::builder(&space, Level::Class, &templates);
        builder.counts(true);
        for class in [0, 1] {
            let class = promptfed_prompts::ClassIndex::new(class);
            builder.add(class, None, None).unwrap();
        }
        builder.build().unwrap()
    };
    let plain = class_prompts(&[1, 2]);
    let [a, b] = ["a", "b"].map(|name| fixture.client(name));
    // Each takes the place of the other's kind, in both orders.
    for (of_a, of_b) in [(&counted, &plain), (&plain, &counted)] {
        a.submit(round, of_a).unwrap();
        b.submit(round, of_b).unwrap();
    }
    let members = fixture.admin.members(round).unwrap();
    for member in members {
        fixture.admin.exclude(round, member.client_id).unwrap();
    }
    let database = rusqlite::Connection::open(fixture.folder.path().join("server.sqlite")).unwrap();
    let counted: (u64, u64, u64, u64) = database
        .query_row(
            "SELECT pooled_prompts, pooled_classes, pooled_bytes, (SELECT count(*) FROM pieces) FROM rounds",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(counted, (0, 0, 0, 0));
}

#[test]
fn one_clients_counts_do_not_refuse_the_others() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.expected_clients = Some(2);
    let round = fixture.open(&spec);
    let space = crate::support::label_space();
    let mut builder =
        PromptSet::builder(&space, Level::Class, &TemplateSet::builtin("fgl").unwrap());
    builder.counts(true);
    builder
        .add(promptfed_prompts::ClassIndex::new(0), None, None)
        .unwrap();
    let one = builder.build().unwrap();
    let json = one.to_json();
    assert!(json.contains("\"count\":1"), "{json}");
    let full = json.replace("\"count\":1", "\"count\":4294967295");
    let full = PromptSet::from_json(&full, &space).unwrap();
    fixture.client("a").submit(round, &full).unwrap();
    let b = fixture.client("b");
    b.submit(round, &one).unwrap();
    b.wait(round, None, &mut |_| ControlFlow::Continue(()))
        .unwrap();
}

#[test]
fn an_excluded_client_submits_no_more_until_it_is_let_in() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let [a, b] = ["a", "b"].map(|name| fixture.client(name));
    // The first one fixes level and templates where the plan does not.
    let first = a.submit(round, &captioned_prompts(&["on a mat"])).unwrap();
    let refused = problem(b.submit(round, &class_prompts(&[0])));
    assert_eq!(refused.code, ProblemCode::Incompatible);
    let client = first.receipt.client_id;
    assert_eq!(fixture.admin.exclude(round, client).unwrap().submissions, 0);
    b.submit(round, &class_prompts(&[0])).unwrap();
    let refused = problem(a.submit(round, &class_prompts(&[1])));
    assert_eq!(
        (refused.status, refused.code),
        (403, ProblemCode::Forbidden)
    );
    let members = fixture.admin.members(round).unwrap();
    assert!(members[0].excluded && members[0].submission.is_none());
    assert!(!members[1].excluded && members[1].submission.is_some());
    fixture.admin.include(round, client).unwrap();
    a.submit(round, &class_prompts(&[1])).unwrap();
    let unknown = promptfed_prompts::protocol::ClientId::new(99);
    let refused = problem(fixture.admin.exclude(round, unknown));
    assert_eq!(refused.code, ProblemCode::NotFound);
}

#[test]
fn members_see_their_own_hash_and_only_of_rounds_they_took_part_in() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.expected_clients = Some(2);
    let round = fixture.open(&spec);
    let [a, b, c] = ["a", "b", "c"].map(|name| fixture.client(name));
    let own = a.submit(round, &class_prompts(&[0, 1])).unwrap().receipt;
    b.submit(round, &class_prompts(&[2])).unwrap();
    a.wait(round, None, &mut |_| ControlFlow::Continue(()))
        .unwrap();

    let all = fixture.admin.results(round).unwrap();
    assert_eq!(all.prompt_sets.len(), 2);
    let seen = a.results(round).unwrap();
    assert_eq!(seen.prompt_sets.len(), 1);
    assert_eq!(seen.prompt_sets[0].hash, own.hash);
    assert_eq!(seen.pooled, all.pooled);
    assert_eq!(a.model(&seen).unwrap().len() as u64, seen.model.bytes);
    for refused in [
        problem(c.results(round)),
        problem(c.synthetic(round)),
        problem(c.model(&all)),
    ] {
        assert_eq!(
            (refused.status, refused.code),
            (403, ProblemCode::Forbidden)
        );
    }

    spec.open_results = true;
    spec.expected_clients = Some(1);
    let open = fixture.open(&spec);
    a.submit(open, &class_prompts(&[0, 1])).unwrap();
    a.wait(open, None, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    let seen = c.results(open).unwrap();
    assert!(seen.prompt_sets.is_empty());
    c.model(&seen).unwrap();
}

#[test]
fn a_round_that_no_machine_can_train_is_refused_when_it_is_opened() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::Total(10_000_000);
    spec.training.image_size = 256;
    spec.training.batch_size = 8192;
    spec.training.width = 512;
    let Ok(text) = std::fs::read_to_string("/proc/meminfo") else {
        println!("skipped: this machine does not tell its memory");
        return;
    };
    assert!(text.contains("MemTotal"), "{text}");
    // 256 x 256 x 3 x 10,000,000 bytes of images alone: two terabytes.
    let refused = problem(fixture.admin.open_round(&spec));
    assert_eq!(refused.code, ProblemCode::Invalid);
    assert!(refused.message.contains("GB of memory"), "{refused:?}");
}
