//! Prompt sets that clients take back.

use promptfed_client::RequestError;
use promptfed_prompts::protocol::{
    ImageBudget, Problem, ProblemCode, RoundId, RoundState, SourcePlan, SubmissionOutcome,
};
use rusqlite::{Connection, OpenFlags};

use crate::support::{Fixture, captioned_prompts, class_prompts, round_spec};

fn problem<T: std::fmt::Debug>(result: Result<T, RequestError>) -> Problem {
    let error = result.unwrap_err();
    error
        .problem()
        .cloned()
        .unwrap_or_else(|| panic!("{error}"))
}

/// Rows of a round in a table of the server's database.
fn rows(fixture: &Fixture, table: &str, round: RoundId) -> u32 {
    let file = fixture.folder.path().join("server.sqlite");
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = format!("SELECT count(*) FROM {table} WHERE round_id = ?1");
    database
        .query_row(&sql, [round.get()], |row| row.get(0))
        .unwrap()
}

#[test]
fn what_is_withdrawn_is_gone_and_other_prompts_can_come() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let [a, b] = ["a", "b"].map(|name| fixture.client(name));
    let sent = a.submit(round, &class_prompts(&[0, 1])).unwrap().receipt;
    assert!(rows(&fixture, "pieces", round) > 0);
    let withdrawal = a.withdraw(round).unwrap();
    assert_eq!(withdrawal.receipt.as_ref(), Some(&sent));
    assert_eq!(
        (withdrawal.round_id, withdrawal.client_id),
        (round, sent.client_id)
    );
    for table in ["submissions", "submission_templates", "pieces"] {
        assert_eq!(rows(&fixture, table, round), 0, "{table}");
    }
    assert_eq!(problem(a.receipt(round)).code, ProblemCode::NotFound);
    assert_eq!(a.status(round).unwrap().submissions, 0);
    // Once more changes nothing.
    assert_eq!(a.withdraw(round).unwrap().receipt, None);
    let log = fixture.admin.log(round).unwrap();
    let told = log.iter().filter(|event| event.text.contains("withdrew"));
    assert_eq!(told.count(), 1, "{log:?}");

    // The first to submit no longer decides on the level.
    b.submit(round, &captioned_prompts(&["on a mat"])).unwrap();
    let answer = a.submit(round, &captioned_prompts(&["in a box"])).unwrap();
    assert_eq!(answer.outcome, SubmissionOutcome::Stored);
    a.withdraw(round).unwrap();
    assert_eq!(a.status(round).unwrap().submissions, 1);
    assert!(b.receipt(round).is_ok());
}

#[test]
fn the_pool_has_room_again_for_what_was_withdrawn_and_for_no_more() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::Total(2);
    let round = fixture.open(&spec);
    let [a, b] = ["a", "b"].map(|name| fixture.client(name));
    a.submit(round, &class_prompts(&[0, 1])).unwrap();
    b.submit(round, &class_prompts(&[1])).unwrap();
    a.withdraw(round).unwrap();
    // Class 1 is still that of b.
    assert_eq!(
        problem(a.submit(round, &class_prompts(&[0, 2]))).code,
        ProblemCode::Incompatible
    );
    a.submit(round, &class_prompts(&[2])).unwrap();
    b.withdraw(round).unwrap();
    b.submit(round, &class_prompts(&[0])).unwrap();
}

#[test]
fn a_round_that_is_closed_gives_nothing_back() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    let a = fixture.client("a");
    let done = fixture.open(&spec);
    a.submit(done, &class_prompts(&[0])).unwrap();
    a.wait(done, None, &mut |_| std::ops::ControlFlow::Continue(()))
        .unwrap();
    let refused = problem(a.withdraw(done));
    assert_eq!(
        (refused.status, refused.code),
        (409, ProblemCode::WrongState)
    );
    assert!(refused.remedy.contains("delete the round"), "{refused}");
    assert!(a.receipt(done).is_ok());

    spec.synthesis.sources = vec![SourcePlan::new("broken")];
    let failed = fixture.open(&spec);
    a.submit(failed, &class_prompts(&[0])).unwrap();
    let ended = a.wait(failed, None, &mut |_| std::ops::ControlFlow::Continue(()));
    assert!(matches!(
        ended,
        Err(RequestError::RoundEnded {
            state: RoundState::Failed { .. },
            ..
        })
    ));
    let refused = problem(a.withdraw(failed));
    assert!(refused.remedy.contains("exclude this client"), "{refused}");

    assert_eq!(
        problem(a.withdraw(RoundId::new(99))).code,
        ProblemCode::NotFound
    );
    assert_eq!(
        problem(fixture.client("b").withdraw(done)).code,
        ProblemCode::WrongState
    );
}
