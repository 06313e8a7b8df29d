//! What an operator does: registers many, looks, deletes, copies.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use promptfed_client::{AdminClient, FederationClient, RequestError};
use promptfed_prompts::protocol::{
    Problem, ProblemCode, RegistrationRequest, RegistrationsRequest, RoundId, RoundStatus,
};
use promptfed_prompts::{ContentHash, PromptSet};
use promptfed_server::{Error, RoundKeys, Server, backup, restore};

use crate::support::{Fixture, captioned_prompts, class_prompts, config, engines, round_spec};

fn nothing(_: &RoundStatus) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn problem<T: std::fmt::Debug>(result: Result<T, RequestError>) -> Problem {
    let error = result.unwrap_err();
    error.problem().unwrap_or_else(|| panic!("{error}")).clone()
}

fn names(names: &[&str]) -> RegistrationsRequest {
    RegistrationsRequest::of(names.iter().map(ToString::to_string).collect())
}

#[test]
fn many_are_registered_at_once_or_none() {
    let fixture = Fixture::start();
    let both = fixture.admin.invite_all(&names(&["a", "b"])).unwrap();
    let url = fixture.server.url();
    for (invitation, name) in both.iter().zip(["a", "b"]) {
        assert_eq!(invitation.name, name);
        let registration = fixture.admin.enrol(invitation).unwrap();
        let client = FederationClient::of(&url, &registration).unwrap();
        assert!(client.rounds().unwrap().is_empty());
    }
    // All that are there already are told at once, and nobody else.
    let refused = problem(fixture.admin.invite_all(&names(&["c", "a", "d", "b"])));
    assert_eq!(refused.code, ProblemCode::NameTaken);
    assert!(refused.message.ends_with(": \"a\", \"b\""), "{refused:?}");
    let known: Vec<String> = fixture
        .admin
        .clients()
        .unwrap()
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(known, ["a", "b"]);
    for wrong in [&["x", "x"][..], &["x", "hospit\u{430}l"], &[]] {
        let told = fixture.admin.invite_all(&names(wrong));
        assert!(matches!(told, Err(RequestError::Invalid(_))), "{wrong:?}");
    }
}

#[test]
fn a_revoked_token_works_no_longer_until_there_is_a_new_one() {
    let fixture = Fixture::start();
    let mut request = RegistrationRequest {
        name: "a".into(),
        replace_token: false,
    };
    let url = fixture.server.url();
    let registration = fixture.admin.register(&request).unwrap();
    let client = FederationClient::of(&url, &registration).unwrap();
    let round = fixture.open(&round_spec());
    client.submit(round, &class_prompts(&[0])).unwrap();
    let revoked = fixture.admin.revoke(registration.client_id).unwrap();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(
        fixture.admin.revoke(registration.client_id).unwrap(),
        revoked
    );
    assert_eq!(problem(client.rounds()).code, ProblemCode::Unauthenticated);
    // What it has sent stays, and is told.
    let members = fixture.admin.members(round).unwrap();
    assert_eq!(members.len(), 1);
    assert!(members[0].submission.is_some());
    request.replace_token = true;
    let again = fixture.admin.register(&request).unwrap();
    assert_eq!(again.client_id, registration.client_id);
    let client = FederationClient::of(&url, &again).unwrap();
    client.submit(round, &class_prompts(&[1])).unwrap();
    assert_eq!(fixture.admin.clients().unwrap()[0].revoked_at, None);
}

#[test]
fn who_has_submitted_is_told_and_who_has_not() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let sent = class_prompts(&[0, 2]);
    let receipt = fixture.client("a").submit(round, &sent).unwrap().receipt;
    let b = fixture.client("b");
    let members = fixture.admin.members(round).unwrap();
    let stored = members[0].submission.as_ref().unwrap();
    assert_eq!(members[0].name, "a");
    assert_eq!((stored.prompts, stored.classes), (2, Some(2)));
    assert_eq!((stored.bytes, stored.hash), (receipt.bytes, receipt.hash));
    assert_eq!(stored.received_at, receipt.received_at);
    assert_eq!(members[1].name, "b");
    assert_eq!(members[1].submission, None);
    let intruder = AdminClient::new(&fixture.server.url(), "pfc-2-none").unwrap();
    assert_eq!(
        problem(intruder.members(round)).code,
        ProblemCode::Unauthenticated
    );
    assert_eq!(problem(b.receipt(round)).code, ProblemCode::NotFound);
}

fn get(fixture: &Fixture, path: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let url = format!("{}{path}", fixture.server.url());
    let mut answer = agent.get(&url).call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), text)
}

#[test]
fn what_the_server_does_is_counted_for_the_administrator() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    let round = fixture.open(&spec);
    fixture.open(&round_spec());
    let a = fixture.client("a");
    let receipt = a.submit(round, &class_prompts(&[0, 1])).unwrap().receipt;
    // The same again is none more.
    a.submit(round, &class_prompts(&[0, 1])).unwrap();
    a.wait(round, None, &mut nothing).unwrap();
    assert_eq!(get(&fixture, "/metrics").0, 401);
    let mut text = fixture.admin.metrics().unwrap();
    // The round is done a moment before its job is counted.
    while !text.contains("promptfed_jobs_total{end=\"done\"} 1") {
        text = fixture.admin.metrics().unwrap();
    }
    let bytes = format!("promptfed_submitted_bytes_total {}", receipt.bytes);
    for line in [
        "promptfed_submissions_total 1",
        &bytes,
        "promptfed_images_total 16",
        "promptfed_rounds{state=\"done\"} 1",
        "promptfed_rounds{state=\"open\"} 1",
        "promptfed_requests_total{status=\"5xx\"} 0",
    ] {
        assert!(text.lines().any(|there| there == line), "{line}\n{text}");
    }
    assert!(
        text.contains("promptfed_stage_seconds_total{stage=\"synthesis\"}"),
        "{text}"
    );
}

#[test]
fn a_server_that_can_work_is_ready() {
    let fixture = Fixture::start();
    let (status, text) = get(&fixture, "/ready");
    assert_eq!(status, 200, "{text}");
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    for part in ["ready", "store", "disk", "jobs"] {
        assert_eq!(told[part], true, "{part}");
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

fn holds(folder: &Path, wanted: &[u8]) -> bool {
    files(folder).iter().any(|file| {
        let bytes = std::fs::read(file).unwrap();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

/// A prompt set with this caption.
fn told_apart(caption: &str) -> PromptSet {
    captioned_prompts(&[caption, "in a box", "on a mat"])
}

/// What the database has of a round's only submission. It is small enough to stand in one page.
fn stored(folder: &Path, round: RoundId) -> Vec<u8> {
    let database = rusqlite::Connection::open(folder.join("server.sqlite")).unwrap();
    let sql = "SELECT wire FROM submissions WHERE round_id = ?1";
    let sent: Vec<u8> = database
        .query_row(sql, [round.get()], |row| row.get(0))
        .unwrap();
    assert!(sent.len() < 2000);
    sent
}

/// Waits until nothing of deleted rounds is left in the database's files.
fn erased(admin: &AdminClient) {
    while !is_erased(admin) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn is_erased(admin: &AdminClient) -> bool {
    let text = admin.metrics().unwrap();
    let mut lines = text.lines();
    lines.any(|line| line == "promptfed_rounds_to_erase 0")
}

#[test]
fn a_deleted_round_leaves_no_byte_of_its_prompts() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    let a = fixture.client("a");
    let (gone, kept) = (fixture.open(&spec), fixture.open(&spec));
    let caption = b"a zebra of 1874 in the rain";
    a.submit(gone, &told_apart(std::str::from_utf8(caption).unwrap()))
        .unwrap();
    a.submit(kept, &told_apart("a lamp of 1903 in the fog"))
        .unwrap();
    for round in [gone, kept] {
        a.wait(round, None, &mut nothing).unwrap();
    }
    let folder = fixture.folder.path().to_owned();
    let (wire, other_wire) = (stored(&folder, gone), stored(&folder, kept));
    // The images' manifest tells the caption, whose set is sealed.
    assert!(holds(&folder, &wire) && holds(&folder, caption));
    // An earlier version's copy goes too.
    std::fs::write(folder.join("server.sqlite.v1"), &wire).unwrap();
    // The job of the last round may come to its end yet.
    let deleted = loop {
        match fixture.admin.delete(gone) {
            Ok(deleted) => break deleted,
            Err(error) => assert_eq!(error.problem().unwrap().code, ProblemCode::WrongState),
        }
    };
    assert_eq!((deleted.round_id, deleted.submissions), (gone, 1));
    assert!(!folder.join(format!("models/{gone}.safetensors")).exists());
    assert!(!folder.join(format!("rounds/{gone}")).exists());
    assert!(!folder.join(format!("keys/{gone}.key")).exists());
    assert!(folder.join(format!("keys/{kept}.key")).exists());
    erased(&fixture.admin);
    assert!(!folder.join("server.sqlite.v1").exists());
    assert!(!holds(&folder, &wire) && !holds(&folder, caption));
    assert_eq!(
        problem(fixture.admin.status(gone)).code,
        ProblemCode::NotFound
    );
    assert_eq!(
        problem(fixture.admin.delete(gone)).code,
        ProblemCode::NotFound
    );
    // The other round is whole.
    assert!(holds(&folder, &other_wire));
    assert_eq!(
        fixture.admin.results(kept).unwrap().prompt_sets[0].hash,
        ContentHash::of(&other_wire)
    );

    let fixture = Fixture::start_in(fixture.stop(), Default::default());
    assert!(!holds(&folder, &wire) && !holds(&folder, caption));
    // Its number is not given again.
    assert_eq!(fixture.open(&round_spec()), RoundId::new(3));
}

#[test]
fn an_erasure_that_fails_keeps_neither_the_answer_nor_the_server() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let set = told_apart("a zebra of 1874 in the rain");
    fixture.client("a").submit(round, &set).unwrap();
    let wire = stored(fixture.folder.path(), round);
    // Reads the database as it is now, so that no byte of it can go.
    let database = fixture.folder.path().join("server.sqlite");
    let reader = rusqlite::Connection::open(&database).unwrap();
    let read = reader.unchecked_transaction().unwrap();
    let rounds: u32 = read
        .query_row("SELECT count(*) FROM rounds", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rounds, 1);
    assert_eq!(fixture.admin.delete(round).unwrap().submissions, 1);
    assert!(fixture.admin.rounds().unwrap().is_empty());
    assert!(!is_erased(&fixture.admin));
    // Others are served, also by the next server, which starts nevertheless.
    fixture.open(&round_spec());
    let fixture = Fixture::start_in(fixture.stop(), Default::default());
    let other = fixture.open(&round_spec());
    fixture
        .client("b")
        .submit(other, &class_prompts(&[0]))
        .unwrap();
    assert!(!is_erased(&fixture.admin));
    drop(read);
    erased(&fixture.admin);
    assert!(!holds(fixture.folder.path(), &wire));
    assert_eq!(fixture.admin.rounds().unwrap().len(), 2);
}

#[cfg(unix)]
#[test]
fn files_that_cannot_be_removed_keep_no_server_from_starting() {
    use std::os::unix::fs::symlink;
    let fixture = Fixture::start();
    let folder = fixture.stop();
    // A model's place is a folder with something in it, which no removal of a file takes.
    std::fs::create_dir_all(folder.path().join("models/78.safetensors/x")).unwrap();
    std::fs::create_dir_all(folder.path().join("rounds/77/synthetic")).unwrap();
    symlink("nowhere", folder.path().join("rounds/77/synthetic/link")).unwrap();
    let fixture = Fixture::start_in(folder, Default::default());
    assert!(fixture.admin.rounds().unwrap().is_empty());
    let left = fixture.folder.path().join("rounds/77");
    while left.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_name_of_an_earlier_version_can_have_a_new_token() {
    let fixture = Fixture::start();
    fixture.client("a");
    let folder = fixture.stop();
    let database = rusqlite::Connection::open(folder.path().join("server.sqlite")).unwrap();
    // With a Cyrillic а.
    let name = "hospit\u{430}l";
    database
        .execute("UPDATE clients SET name = ?1", [name])
        .unwrap();
    drop(database);
    let fixture = Fixture::start_in(folder, Default::default());
    let ask = |name: &str| RegistrationRequest {
        name: name.into(),
        replace_token: true,
    };
    let registration = fixture.admin.register(&ask(name)).unwrap();
    let client = FederationClient::of(&fixture.server.url(), &registration).unwrap();
    assert!(client.rounds().unwrap().is_empty());
    let refused = problem(fixture.admin.register(&ask("hospit\u{430}l 2")));
    assert_eq!(refused.code, ProblemCode::Invalid);
    // Several at once as one alone.
    let several = |more: &str| RegistrationsRequest {
        replace_tokens: true,
        ..names(&[name, more])
    };
    let invited = fixture.admin.invite_all(&several("b")).unwrap();
    assert_eq!(invited[0].client_id, registration.client_id);
    let refused = problem(fixture.admin.invite_all(&several("hospit\u{430}l 2")));
    assert_eq!(refused.code, ProblemCode::Invalid);
}

#[test]
fn a_round_in_work_is_not_deleted_and_files_of_deleted_rounds_are_swept() {
    let fixture = Fixture::start_in(
        tempfile::tempdir().unwrap(),
        std::time::Duration::from_millis(5),
    );
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    spec.synthesis.images = promptfed_prompts::protocol::ImageBudget::PerPrompt(2000);
    let round = fixture.open(&spec);
    fixture
        .client("a")
        .submit(round, &class_prompts(&[0]))
        .unwrap();
    assert_eq!(
        problem(fixture.admin.delete(round)).code,
        ProblemCode::WrongState
    );
    fixture.admin.cancel(round).unwrap();
    let folder = fixture.stop();
    let left = folder.path().join("rounds/77/synthetic");
    std::fs::create_dir_all(&left).unwrap();
    let fixture = Fixture::start_in(folder, Default::default());
    while left.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    fixture.admin.delete(round).unwrap();
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_the_servers_files() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    let round = fixture.open(&spec);
    let a = fixture.client("a");
    a.submit(round, &class_prompts(&[0, 1])).unwrap();
    a.wait(round, None, &mut nothing).unwrap();
    let folder = fixture.folder.path();
    let mut looked_at = 0;
    for file in files(folder) {
        // A lock has nothing in it.
        if file.extension().is_some_and(|ending| ending == "lock") {
            continue;
        }
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
        looked_at += 1;
    }
    // Database, journals, token, model, manifest and sixteen images at least.
    assert!(looked_at > 20, "{looked_at}");
}

#[test]
fn a_copy_made_under_load_is_whole_and_serves() {
    let fixture = Fixture::start();
    let mut spec = round_spec();
    spec.expected_clients = Some(1);
    let done = fixture.open(&spec);
    let clients: Vec<FederationClient> = (0..4)
        .map(|i| fixture.client(&format!("client {i}")))
        .collect();
    clients[0].submit(done, &class_prompts(&[0, 1])).unwrap();
    fixture.admin.wait(done, None, &mut nothing).unwrap();
    let model = fixture.admin.results(done).unwrap().model;
    let open = fixture.open(&round_spec());
    let space = tempfile::tempdir().unwrap();
    let copy = space.path().join("copy");
    let (before, report) = std::thread::scope(|scope| {
        let before: Vec<_> = clients
            .iter()
            .map(|client| client.submit(open, &class_prompts(&[0])).unwrap().receipt)
            .collect();
        for client in &clients {
            scope.spawn(move || {
                for i in 0..20u32 {
                    client.submit(open, &class_prompts(&[i % 3])).unwrap();
                }
            });
        }
        (
            before,
            backup(fixture.folder.path(), &copy, RoundKeys::LeftOut).unwrap(),
        )
    });
    assert!(report.files > 16 && report.bytes > model.bytes);
    assert_eq!(report.rounds_without_key, [done, open]);
    assert!(matches!(
        backup(fixture.folder.path(), &copy, RoundKeys::LeftOut),
        Err(Error::Backup { .. })
    ));
    let token = fixture.server.admin_token().to_owned();
    let inside = fixture.folder.path().join("copies/monday");
    let told = backup(fixture.folder.path(), &inside, RoundKeys::LeftOut)
        .unwrap_err()
        .to_string();
    assert!(told.contains("data folder itself"), "{told}");
    assert!(!fixture.folder.path().join("copies").exists());

    let restored = space.path().join("restored");
    assert_eq!(restore(&copy, &restored).unwrap(), report);
    let made = Default::default();
    let addr = ([127, 0, 0, 1], 0).into();
    let server =
        Server::start(config(&restored, addr, engines(Default::default(), &made))).unwrap();
    assert_eq!(server.admin_token(), token);
    let admin = AdminClient::new(&server.url(), &token).unwrap();
    let results = admin.results(done).unwrap();
    assert_eq!(ContentHash::of(&admin.model(&results).unwrap()), model.hash);
    // Every client had submitted when the copy began; what came meanwhile took its place, or did not.
    let members = admin.members(open).unwrap();
    assert_eq!(
        members.iter().filter(|m| m.submission.is_some()).count(),
        before.len()
    );
    server.shutdown();

    let told = restore(&copy, &restored).unwrap_err().to_string();
    assert!(told.contains("already"), "{told}");
    let model_file = copy.join(format!("models/{done}.safetensors"));
    let mut bytes = std::fs::read(&model_file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&model_file, bytes).unwrap();
    let fresh = space.path().join("fresh");
    let told = restore(&copy, &fresh).unwrap_err().to_string();
    assert!(told.contains("safetensors"), "{told}");
    assert!(!fresh.exists());
    std::fs::remove_file(copy.join("backup.txt")).unwrap();
    assert!(restore(&copy, &fresh).is_err());
    let empty = tempfile::tempdir().unwrap();
    assert!(backup(empty.path(), &space.path().join("x"), RoundKeys::LeftOut).is_err());
}
