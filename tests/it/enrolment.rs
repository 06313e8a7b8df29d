//! How clients come by their credentials, with the real program.

use crate::support::server::Server;
use crate::support::{assets, failure, json, promptfed};
use assert_cmd::Command;
use promptfed::client::EnrolmentString;
use serde_json::Value;
use std::path::Path;

/// What the administrator asks of a server, whose data lie in this folder.
fn admin(here: &Path, server: &Server, args: &[&str]) -> Command {
    let mut command = promptfed(here, args);
    command.args(["--server", &server.url]);
    command
}

/// The last part of a token or a code, which nobody can guess.
fn secret(text: &str) -> String {
    text.trim().rsplit('-').next().unwrap().to_owned()
}

fn credentials(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The files of a folder whose names begin like this.
fn files(folder: &Path, start: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(start)).collect()
}

#[test]
fn a_round_of_enrolled_clients_leaves_no_secret_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let log = here.join("log.txt");
    let server = Server::logging(here, &log);
    std::fs::write(here.join("names.txt"), "hospital-a\nhospital-b\n").unwrap();
    let add = ["client", "add", "--from", "names.txt"];
    let added = json(&mut admin(here, &server, &add));
    let open = [
        "round",
        "open",
        "emoji",
        "--steps",
        "1",
        "--epochs",
        "1",
        "--width",
        "8",
        "--expected-clients",
        "2",
    ];
    json(&mut admin(here, &server, &open));

    // The path of README.md: after the first command nothing is said of the server any more.
    let mut secrets = Vec::new();
    for handed in added.as_array().unwrap() {
        let own = here.join(handed["name"].as_str().unwrap());
        std::fs::create_dir(&own).unwrap();
        let string = handed["enrolment"].as_str().unwrap();
        std::fs::write(own.join("mail.txt"), format!("Dear client,\n{string}\n")).unwrap();
        let told = json(&mut promptfed(&own, &["enrol", "mail.txt"]));
        assert_eq!(told["name"], handed["name"]);
        assert_eq!(told["server"], server.url.as_str());
        let extract = ["extract", "--round", "1"];
        json(promptfed(&own, &extract).arg(assets().join("emoji/private.parquet")));
        let sent = json(&mut promptfed(&own, &["submit", "--round", "1"]));
        assert_eq!(sent["answer"]["outcome"], "stored");
        secrets.push(string.to_owned());
        let kept = credentials(&own.join("promptfed-credentials.json"));
        secrets.push(secret(kept["token"].as_str().unwrap()));
    }
    let one = here.join("hospital-b");
    let status = json(&mut promptfed(&one, &["round", "status", "1", "--wait"]));
    assert_eq!(status["state"], "done", "{status}");
    json(&mut promptfed(&one, &["round", "model", "1"]));
    // Elsewhere they are named by a flag or a variable.
    let file = one.join("promptfed-credentials.json");
    let listed = json(promptfed(&assets(), &["round", "list"]).env("PROMPTFED_CREDENTIALS", &file));
    assert_eq!(listed[0]["state"], "done");
    let listed = json(promptfed(&assets(), &["round", "list", "--credentials"]).arg(&file));
    assert_eq!(listed[0]["state"], "done");

    let rotated = json(&mut admin(
        here,
        &server,
        &["client", "rotate", "hospital-a"],
    ));
    secrets.push(rotated["enrolment"].as_str().unwrap().to_owned());
    let wrong = "pfc-1-a-token-that-is-none";
    std::fs::write(here.join("wrong.token"), wrong).unwrap();
    let list = ["round", "list", "--token-file", "wrong.token"];
    failure(&mut admin(here, &server, &list));
    secrets.push(wrong.to_owned());
    let token = std::fs::read_to_string(here.join("promptfed-server/admin.token")).unwrap();
    secrets.push(secret(&token));
    drop(server);

    let log = std::fs::read_to_string(log).unwrap();
    for part in [
        "client registered",
        "client enrolled",
        "client rotated",
        "/v1/enrolment",
        "hospital-b",
    ] {
        assert!(log.contains(part), "{part}");
    }
    assert_eq!(log.matches("client registered").count(), 2);
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "the log holds a secret");
    }
    // What the strings hold.
    assert!(!log.contains("pfe-"), "the log holds a code");
}

#[test]
fn a_string_is_used_once_and_never_shown_again() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let server = Server::start(here, &[]);
    let assert = admin(here, &server, &["client", "add", "hospital-a"])
        .assert()
        .success();
    let output = assert.get_output();
    let string = String::from_utf8(output.stdout.clone()).unwrap();
    // One line, so that it can go into a file; what is to be known of it stands beside it.
    assert!(string.starts_with("pfe1-") && string.lines().count() == 1);
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        told.contains("once") && told.contains("--address"),
        "{told}"
    );
    assert!(!told.contains(string.trim()), "{told}");
    let clients = admin(here, &server, &["client", "list"]).assert().success();
    let clients = String::from_utf8(clients.get_output().stdout.clone()).unwrap();
    assert!(clients.contains("not enrolled yet"), "{clients}");

    // By standard input; nothing is left but the credentials, for this user's eyes.
    let told = json(promptfed(here, &["enrol"]).write_stdin(string.clone()));
    assert_eq!(told["credentials"], "promptfed-credentials.json");
    let place = here.join("promptfed-credentials.json");
    assert_eq!(files(here, "promptfed-credentials").len(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&place).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let first = credentials(&place);
    assert_eq!(first["server"], server.url.as_str());
    assert_eq!(first["fingerprint"], Value::Null);

    // Again: not over what is there, and not elsewhere.
    let (code, told) = failure(promptfed(here, &["enrol"]).write_stdin(string.clone()));
    assert!(code == 3 && told.contains("--force"), "{code} {told}");
    for args in [&["enrol", "--force"][..], &["enrol", "--credentials", "b"]] {
        let (code, told) = failure(promptfed(here, args).write_stdin(string.clone()));
        assert!(code == 4 && told.contains("used already"), "{code} {told}");
        assert!(!told.contains(string.trim()), "{told}");
    }
    assert_eq!(credentials(&place), first);
    assert!(!here.join("b").exists() && files(here, "b.").is_empty());
    json(&mut promptfed(here, &["round", "list"]));

    // Half a string, and one from the command line, which is none of its places.
    let half = &string[..string.len() / 2];
    let (code, told) = failure(promptfed(here, &["enrol", "--force"]).write_stdin(half));
    assert!(code == 3 && told.contains("copy it again"), "{code} {told}");
    assert!(!told.contains(half), "{told}");
    for flag in [
        &["submit", "--round", "1", "--token", "t"][..],
        &["client", "list", "--admin-token", "t"],
        &["serve", "--admin-token", "t"],
    ] {
        let (code, told) = failure(&mut promptfed(here, flag));
        assert_eq!(code, 2, "{told}");
    }

    // A new string ends the old token, once it is used.
    let rotated = json(&mut admin(here, &server, &["client", "rotate", "1"]));
    json(&mut promptfed(here, &["round", "list"]));
    let string = rotated["enrolment"].as_str().unwrap();
    std::fs::copy(&place, here.join("old")).unwrap();
    json(promptfed(here, &["enrol", "--force"]).write_stdin(string));
    let old = ["round", "list", "--credentials", "old"];
    let (code, told) = failure(&mut promptfed(here, &old));
    assert!(
        code == 4 && told.contains("promptfed enrol"),
        "{code} {told}"
    );
    json(&mut promptfed(here, &["round", "list"]));

    // One that was taken back.
    let rotated = json(&mut admin(
        here,
        &server,
        &["client", "rotate", "hospital-a"],
    ));
    json(&mut admin(
        here,
        &server,
        &["client", "revoke", "hospital-a"],
    ));
    let string = rotated["enrolment"].as_str().unwrap();
    let again = ["enrol", "--credentials", "c"];
    let (code, told) = failure(promptfed(here, &again).write_stdin(string));
    assert!(code == 4 && told.contains("operator"), "{code} {told}");
}

#[test]
fn an_enrolment_that_was_cut_off_is_done_again_with_the_same_string() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let server = Server::start(here, &[]);
    let added = json(&mut admin(here, &server, &["client", "add", "a"]));
    let string = added["enrolment"].as_str().unwrap();
    // Nobody answers, and the token that the server may have taken is kept.
    let elsewhere = ["client", "rotate", "a", "--address", "http://127.0.0.1:1"];
    let unreachable = json(&mut admin(here, &server, &elsewhere));
    let lost = unreachable["enrolment"].as_str().unwrap();
    let (code, told) = failure(promptfed(here, &["enrol"]).write_stdin(lost));
    assert!(code == 4 && told.contains("another try"), "{code} {told}");
    let kept = files(here, "promptfed-credentials.json.");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let token = std::fs::read_to_string(here.join(&kept[0])).unwrap();
    assert!(told.contains(&kept[0]) && !told.contains(&token), "{told}");
    let (_, told) = failure(promptfed(here, &["enrol"]).write_stdin(lost));
    assert_eq!(files(here, "promptfed-credentials.json."), kept, "{told}");
    assert_eq!(std::fs::read_to_string(here.join(&kept[0])).unwrap(), token);

    // What is wrong at the client keeps no new token, and gives up none that the server may have taken.
    for string in [lost, string] {
        let absent = ["enrol", "--ca-file", "absent"];
        let (code, told) = failure(promptfed(here, &absent).write_stdin(string));
        assert!(code == 3 && told.contains("absent"), "{code} {told}");
        assert_eq!(files(here, "promptfed-credentials.json."), kept);
    }

    // The first string is worth nothing since there is a second, and leaves nothing.
    let (code, told) = failure(promptfed(here, &["enrol"]).write_stdin(string));
    assert!(code == 4 && told.contains("not known"), "{code} {told}");
    assert_eq!(files(here, "promptfed-credentials.json."), kept);

    // The server has taken a code, and the client was ended before it had written what came of it.
    let added = json(&mut admin(here, &server, &["client", "add", "b"]));
    let string = added["enrolment"].as_str().unwrap();
    json(promptfed(here, &["enrol"]).write_stdin(string));
    let place = here.join("promptfed-credentials.json");
    let written = credentials(&place);
    std::fs::remove_file(&place).unwrap();
    let name = string.parse::<EnrolmentString>().unwrap().name();
    let pending = here.join(format!("promptfed-credentials.json.{name}"));
    std::fs::write(&pending, written["token"].as_str().unwrap()).unwrap();
    json(promptfed(here, &["enrol"]).write_stdin(string));
    assert_eq!(credentials(&place), written);
    assert!(!pending.exists());
}
