//! What the server takes, what it refuses, what it keeps.

use promptfed_client::RequestError;
use promptfed_prompts::protocol::{
    ImageBudget, ProblemCode, PromptPlan, RoundId, RoundState, SourcePlan, SubmissionOutcome,
};
use promptfed_prompts::{ClassIndex, LabelSpace, Level, PromptSet, TemplateSet};

use crate::support::{Fixture, captioned_prompts, class_prompts, round_spec};

fn refusal<T: std::fmt::Debug>(result: Result<T, RequestError>) -> (u16, ProblemCode) {
    let error = result.unwrap_err();
    let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
    (problem.status, problem.code)
}

#[test]
fn the_same_content_has_one_receipt_and_other_content_replaces_it() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let client = fixture.client("a");
    assert_eq!(refusal(client.receipt(round)), (404, ProblemCode::NotFound));
    let first = client.submit(round, &class_prompts(&[0, 1])).unwrap();
    assert_eq!(first.outcome, SubmissionOutcome::Stored);
    assert_eq!(first.receipt.prompts, 2);
    let again = client.submit(round, &class_prompts(&[1, 0])).unwrap();
    assert_eq!(again.outcome, SubmissionOutcome::Duplicate);
    assert_eq!(again.receipt, first.receipt);
    let other = client.submit(round, &class_prompts(&[2])).unwrap();
    assert_eq!(other.outcome, SubmissionOutcome::Replaced);
    assert_eq!(client.receipt(round).unwrap(), other.receipt);
    assert_eq!(client.status(round).unwrap().submissions, 1);
}

#[test]
fn a_round_closes_itself_and_a_repeated_submission_still_has_its_receipt() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.expected_clients = Some(2);
    let round = fixture.open(&spec);
    let (a, b, late) = (
        fixture.client("a"),
        fixture.client("b"),
        fixture.client("late"),
    );
    a.submit(round, &class_prompts(&[0])).unwrap();
    a.submit(round, &class_prompts(&[1])).unwrap();
    assert_eq!(a.status(round).unwrap().state, RoundState::Open);
    let answer = b.submit(round, &class_prompts(&[2])).unwrap();
    assert_ne!(b.status(round).unwrap().state, RoundState::Open);
    let again = b.submit(round, &class_prompts(&[2])).unwrap();
    assert_eq!(
        (again.outcome, again.receipt),
        (SubmissionOutcome::Duplicate, answer.receipt)
    );
    let refused = (409, ProblemCode::WrongState);
    assert_eq!(refusal(b.submit(round, &class_prompts(&[0]))), refused);
    assert_eq!(refusal(late.submit(round, &class_prompts(&[0]))), refused);
}

#[test]
fn an_empty_round_stays_open_and_a_cancelled_one_takes_nothing() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let client = fixture.client("a");
    assert_eq!(
        refusal(fixture.admin.close(round)),
        (409, ProblemCode::WrongState)
    );
    assert_eq!(client.status(round).unwrap().state, RoundState::Open);
    assert_eq!(
        fixture.admin.cancel(round).unwrap().state,
        RoundState::Cancelled
    );
    assert_eq!(
        fixture.admin.cancel(round).unwrap().state,
        RoundState::Cancelled
    );
    assert_eq!(
        refusal(fixture.admin.close(round)),
        (409, ProblemCode::WrongState)
    );
    let refused = (409, ProblemCode::WrongState);
    assert_eq!(refusal(client.submit(round, &class_prompts(&[0]))), refused);
    assert_eq!(refusal(client.results(round)), refused);
}

#[test]
fn another_label_space_is_refused_before_anything_is_stored() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let client = fixture.client("a");
    let other = LabelSpace::from_names("pets", ["dog", "cat", "fox"]).unwrap();
    let templates = TemplateSet::builtin("fgl").unwrap();
    let mut builder = PromptSet::builder(&other, Level::Class, &templates);
    builder.add(ClassIndex::new(0), None, None).unwrap();
    let error = refusal(client.submit(round, &builder.build().unwrap()));
    assert_eq!(error, (422, ProblemCode::WrongLabelSpace));
    assert_eq!(client.status(round).unwrap().submissions, 0);
}

#[test]
fn sets_that_cannot_be_pooled_are_refused_when_they_come() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let (a, b) = (fixture.client("a"), fixture.client("b"));
    a.submit(round, &class_prompts(&[0])).unwrap();
    let error = refusal(b.submit(round, &captioned_prompts(&["on a mat"])));
    assert_eq!(error, (422, ProblemCode::Incompatible));
    let mut builder = PromptSet::builder(
        &crate::support::label_space(),
        Level::Class,
        &TemplateSet::builtin("pocket").unwrap(),
    );
    builder.add(ClassIndex::new(0), None, None).unwrap();
    let error = refusal(b.submit(round, &builder.build().unwrap()));
    assert_eq!(error, (422, ProblemCode::Incompatible));
    // Alone in the round, a client may change its mind about the level.
    let answer = a.submit(round, &captioned_prompts(&["on a mat"])).unwrap();
    assert_eq!(answer.outcome, SubmissionOutcome::Replaced);
    b.submit(round, &captioned_prompts(&["in a box"])).unwrap();
}

#[test]
fn a_round_with_a_prompt_plan_takes_its_level_and_templates_alone() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.prompts = Some(PromptPlan {
        level: Level::Class,
        templates: TemplateSet::builtin("fgl").unwrap(),
        max_per_client: None,
    });
    let round = fixture.open(&spec);
    let client = fixture.client("a");
    assert_eq!(client.round(round).unwrap(), spec);
    let refused = |set: &PromptSet, parts: [&str; 3]| {
        let error = client.submit(round, set).unwrap_err();
        let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
        assert_eq!(
            (problem.status, problem.code),
            (422, ProblemCode::Incompatible)
        );
        let told = format!("{} {}", problem.message, problem.remedy);
        for part in parts {
            assert!(told.contains(part), "{told}");
        }
    };
    // The first submission does not fix it.
    refused(
        &captioned_prompts(&["on a mat"]),
        ["`instance`", "`class`", "--round"],
    );
    let mut builder = PromptSet::builder(
        &crate::support::label_space(),
        Level::Class,
        &TemplateSet::builtin("pocket").unwrap(),
    );
    builder.add(ClassIndex::new(0), None, None).unwrap();
    refused(
        &builder.build().unwrap(),
        [
            "`a {label}`",
            "`{label}, real world images, high resolution `",
            "--round",
        ],
    );
    assert_eq!(client.status(round).unwrap().submissions, 0);
    client.submit(round, &class_prompts(&[0])).unwrap();

    spec.prompts.as_mut().unwrap().level = Level::Domain;
    spec.prompts.as_mut().unwrap().templates = TemplateSet::from_toml(
        "name = \"own\"\n[[templates]]\nlevel = \"class\"\npositive = \"{label}\"",
    )
    .unwrap();
    assert!(matches!(
        fixture.admin.open_round(&spec),
        Err(RequestError::Invalid(_))
    ));
}

#[test]
fn plans_out_of_range_and_unknown_engines_open_nothing() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.synthesis.sources = vec![SourcePlan::new("imagined")];
    assert_eq!(
        refusal(fixture.admin.open_round(&spec)),
        (422, ProblemCode::Invalid)
    );
    let mut spec = round_spec();
    spec.synthesis.sampler = Some("imagined".into());
    assert_eq!(
        refusal(fixture.admin.open_round(&spec)),
        (422, ProblemCode::Invalid)
    );
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::PerPrompt(0);
    assert!(matches!(
        fixture.admin.open_round(&spec),
        Err(RequestError::Invalid(_))
    ));
    assert!(fixture.admin.rounds().unwrap().is_empty());
    assert_eq!(
        refusal(fixture.admin.close(RoundId::new(9))),
        (404, ProblemCode::NotFound)
    );
}

#[test]
fn a_client_reads_the_plan_as_it_was_opened() {
    let fixture = Fixture::start();
    let spec = round_spec();
    let round = fixture.open(&spec);
    assert_eq!(fixture.client("a").round(round).unwrap(), spec);
}

#[test]
fn everything_is_there_after_a_restart() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let token = fixture.server.admin_token().to_owned();
    let client = fixture.client("a");
    let answer = client.submit(round, &class_prompts(&[0])).unwrap();
    drop(client);
    let fixture = Fixture::start_in(fixture.stop(), Default::default());
    assert_eq!(fixture.server.admin_token(), token);
    let status = fixture.admin.status(round).unwrap();
    assert_eq!((status.state, status.submissions), (RoundState::Open, 1));
    let other = fixture.client("b");
    other.submit(round, &class_prompts(&[1])).unwrap();
    assert_eq!(
        answer.receipt.client_id.get() + 1,
        other.receipt(round).unwrap().client_id.get()
    );
}
