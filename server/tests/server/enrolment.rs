//! How clients come by their tokens: one-time codes, what is refused, and what no log tells.

use std::path::Path;
use std::sync::{Arc, Mutex};

use promptfed_client::{
    Credentials, EnrolmentString, FederationClient, Fingerprint, RequestError, ServerTrust,
    new_token,
};
use promptfed_prompts::protocol::{
    Enrolment, Invitation, Problem, ProblemCode, RegistrationRequest, RegistrationsRequest,
};
use promptfed_server::{Engines, Server, ServerConfig, Transport};

use crate::support::{Fixture, class_prompts, round_spec};

fn invite(fixture: &Fixture, name: &str) -> Invitation {
    let request = RegistrationRequest {
        name: name.into(),
        replace_token: false,
    };
    fixture.admin.invite(&request).unwrap()
}

fn string(fixture: &Fixture, invitation: &Invitation) -> EnrolmentString {
    EnrolmentString::new(&fixture.server.url(), None, invitation).unwrap()
}

/// Enrols by a string as text, as it is handed out.
fn enrol(string: &EnrolmentString, token: &str) -> Result<Enrolment, RequestError> {
    let read: EnrolmentString = string.to_string().parse().unwrap();
    read.enrol(token, &ServerTrust::default())
}

fn problem<T: std::fmt::Debug>(result: Result<T, RequestError>) -> Problem {
    let error = result.unwrap_err();
    let problem = error.problem().unwrap_or_else(|| panic!("{error}")).clone();
    assert!(problem.remedy.contains("operator"), "{problem:?}");
    problem
}

fn knows(fixture: &Fixture, token: &str) -> bool {
    let client = FederationClient::new(&fixture.server.url(), "a", token).unwrap();
    match client.rounds() {
        Ok(_) => true,
        Err(error) => {
            let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
            assert_eq!(problem.code, ProblemCode::Unauthenticated);
            false
        }
    }
}

#[test]
fn a_code_is_spent_once_by_whoever_comes_first() {
    let fixture = Fixture::start();
    let invitation = invite(&fixture, "hospital-a");
    let string = string(&fixture, &invitation);
    let token = new_token(invitation.client_id).unwrap();
    // A code opens nothing but the enrolment.
    assert!(!knows(&fixture, &invitation.code) && !knows(&fixture, &token));
    let enrolled = enrol(&string, &token).unwrap();
    assert_eq!(enrolled.client_id, invitation.client_id);
    assert_eq!(enrolled.name, "hospital-a");
    assert!(knows(&fixture, &token));
    // The same again, as after an answer that was lost, and by another who has seen the string.
    assert_eq!(enrol(&string, &token).unwrap(), enrolled);
    let other = new_token(invitation.client_id).unwrap();
    assert_eq!(problem(enrol(&string, &other)).code, ProblemCode::SpentCode);
    assert!(knows(&fixture, &token) && !knows(&fixture, &other));
    let round = fixture.open(&round_spec());
    let client = FederationClient::new(&fixture.server.url(), "a", &token).unwrap();
    client.submit(round, &class_prompts(&[0])).unwrap();
}

#[test]
fn codes_that_are_none_are_not_known() {
    let fixture = Fixture::start();
    let invitation = invite(&fixture, "a");
    let of_b = invite(&fixture, "b");
    let secret = |code: &str| code.rsplit('-').next().unwrap().to_owned();
    let own = &invitation.client_id;
    for code in [
        format!("pfe-{own}-{}", "0".repeat(64)),
        format!("pfe-{own}-"),
        // That of another client, under this one's name; and one of a client that is not there.
        format!("pfe-{own}-{}", secret(&of_b.code)),
        format!("pfe-99-{}", secret(&invitation.code)),
    ] {
        let wrong = Invitation {
            code,
            ..invitation.clone()
        };
        let token = new_token(invitation.client_id).unwrap();
        let refused = problem(enrol(&string(&fixture, &wrong), &token));
        assert_eq!(
            (refused.status, refused.code),
            (403, ProblemCode::UnknownCode)
        );
        assert!(!knows(&fixture, &token));
    }
    // None of this has spent anything.
    let token = new_token(invitation.client_id).unwrap();
    enrol(&string(&fixture, &invitation), &token).unwrap();
}

/// A statement on the database of a server that does not run.
fn execute(folder: &Path, sql: &str) {
    let database = rusqlite::Connection::open(folder.join("server.sqlite")).unwrap();
    assert!(database.execute(sql, []).unwrap() > 0, "{sql}");
}

#[test]
fn a_code_outlives_a_restart_but_not_its_time() {
    let fixture = Fixture::start();
    let (a, b) = (invite(&fixture, "a"), invite(&fixture, "b"));
    let clients = fixture.admin.clients().unwrap();
    assert_eq!(clients[0].code_expires_at, Some(a.expires_at));
    assert_eq!(clients[0].enrolled_at, None);
    let folder = fixture.stop();
    execute(
        folder.path(),
        "UPDATE enrolments SET expires_at = 1 WHERE client_id = 2",
    );
    let fixture = Fixture::start_in(folder, Default::default());
    let token = new_token(a.client_id).unwrap();
    enrol(&string(&fixture, &a), &token).unwrap();
    let late = new_token(b.client_id).unwrap();
    let refused = problem(enrol(&string(&fixture, &b), &late));
    assert_eq!(
        (refused.status, refused.code),
        (410, ProblemCode::ExpiredCode)
    );
    assert!(!knows(&fixture, &late));
    let clients = fixture.admin.clients().unwrap();
    assert!(clients[0].enrolled_at.is_some() && clients[0].code_expires_at.is_none());
    assert_eq!(clients[1].code_expires_at, Some(1));
    // A client that has come in time does not go with its code's time.
    let folder = fixture.stop();
    execute(
        folder.path(),
        "UPDATE enrolments SET expires_at = 1 WHERE client_id = 1",
    );
    let fixture = Fixture::start_in(folder, Default::default());
    assert!(knows(&fixture, &token));
    assert_eq!(enrol(&string(&fixture, &a), &token).unwrap().name, "a");
}

#[test]
fn a_code_is_kept_as_a_hash_and_so_is_a_token() {
    let fixture = Fixture::start();
    let (a, b) = (invite(&fixture, "a"), invite(&fixture, "b"));
    let token = new_token(a.client_id).unwrap();
    enrol(&string(&fixture, &a), &token).unwrap();
    let folder = fixture.stop();
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let content = std::fs::read(&path).unwrap();
        for secret in [&a.code, &b.code, &token] {
            let secret = secret.rsplit('-').next().unwrap();
            // As text, and as the bytes that it stands for.
            let bytes: Vec<u8> = (0..32)
                .map(|i| u8::from_str_radix(&secret[2 * i..2 * i + 2], 16).unwrap())
                .collect();
            for part in [secret.as_bytes(), &bytes[..]] {
                let found = content.windows(part.len()).any(|window| window == part);
                assert!(!found, "{} holds a secret", path.display());
            }
        }
        looked_at += 1;
    }
    assert!(looked_at >= 2, "the database and the administrator's token");
}

#[test]
fn a_new_code_takes_the_place_of_the_old_one_and_then_of_the_token() {
    let fixture = Fixture::start();
    let first = invite(&fixture, "a");
    let mut request = RegistrationRequest {
        name: "a".into(),
        replace_token: true,
    };
    let second = fixture.admin.invite(&request).unwrap();
    assert_eq!(second.client_id, first.client_id);
    let old = new_token(first.client_id).unwrap();
    let refused = problem(enrol(&string(&fixture, &first), &old));
    assert_eq!(refused.code, ProblemCode::UnknownCode);
    enrol(&string(&fixture, &second), &old).unwrap();

    let third = fixture.admin.invite(&request).unwrap();
    assert!(knows(&fixture, &old), "until the new code is spent");
    let new = new_token(first.client_id).unwrap();
    enrol(&string(&fixture, &third), &new).unwrap();
    assert!(knows(&fixture, &new) && !knows(&fixture, &old));

    // What is revoked is so at once, with a code that was not spent.
    let fourth = fixture.admin.invite(&request).unwrap();
    fixture.admin.revoke(first.client_id).unwrap();
    assert!(!knows(&fixture, &new));
    let last = new_token(first.client_id).unwrap();
    let refused = problem(enrol(&string(&fixture, &fourth), &last));
    assert_eq!(refused.code, ProblemCode::UnknownCode);
    request.name = "b".into();
    let b = fixture.admin.invite(&request).unwrap();
    fixture.admin.revoke(b.client_id).unwrap();
    let refused = problem(enrol(&string(&fixture, &b), &last));
    assert_eq!(refused.code, ProblemCode::UnknownCode);
}

#[test]
fn how_long_a_code_works_is_said() {
    let fixture = Fixture::start();
    let request = RegistrationsRequest {
        code_seconds: 60,
        ..RegistrationsRequest::of(vec!["a".into()])
    };
    let before = std::time::SystemTime::now();
    let invitation = &fixture.admin.invite_all(&request).unwrap()[0];
    let since = before.duration_since(std::time::UNIX_EPOCH).unwrap();
    let left = invitation.expires_at - since.as_millis() as u64;
    assert!((60_000..3_600_000).contains(&left), "{left}");
}

#[test]
fn a_string_of_another_server_is_refused_by_its_fingerprint() {
    let start = || {
        let folder = tempfile::tempdir().unwrap();
        let addr = ([127, 0, 0, 1], 0).into();
        let mut config = ServerConfig::new(addr, folder.path().to_owned(), Engines::new());
        config.transport = Transport::SelfSigned;
        (Server::start(config).unwrap(), folder)
    };
    let ((own, _folder), (other, _other_folder)) = (start(), start());
    let pin = |server: &promptfed_server::RunningServer| -> Fingerprint {
        server.fingerprint().unwrap().parse().unwrap()
    };
    let trust = ServerTrust {
        fingerprint: Some(pin(&own)),
        ..ServerTrust::default()
    };
    let admin =
        promptfed_client::AdminClient::with_trust(&own.url(), own.admin_token(), &trust).unwrap();
    let request = RegistrationRequest {
        name: "a".into(),
        replace_token: false,
    };
    let invitation = admin.invite(&request).unwrap();
    let token = new_token(invitation.client_id).unwrap();
    // Somebody else answers at the address, and is told nothing.
    let misled = EnrolmentString::new(&other.url(), Some(pin(&own)), &invitation).unwrap();
    let error = enrol(&misled, &token).unwrap_err();
    assert!(matches!(error, RequestError::Tls { .. }), "{error}");
    let told = error.to_string();
    assert!(told.contains(&pin(&own).to_string()), "{told}");

    let string = EnrolmentString::new(&own.url(), Some(pin(&own)), &invitation).unwrap();
    let enrolled = enrol(&string, &token).unwrap();
    let credentials = Credentials::new(&string, string.fingerprint(), enrolled, token);
    let client = credentials.connect(&ServerTrust::default()).unwrap();
    assert!(client.rounds().unwrap().is_empty());
    let mut moved = credentials;
    moved.server = other.url();
    let error = moved
        .connect(&ServerTrust::default())
        .unwrap()
        .rounds()
        .unwrap_err();
    assert!(matches!(error, RequestError::Tls { .. }), "{error}");
}

/// Takes connections for a server and writes down what comes over them.
fn tapped(server: std::net::SocketAddr) -> (String, Arc<Mutex<Vec<u8>>>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut server = std::net::TcpStream::connect(server).unwrap();
            let mut back = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = client.read(&mut buffer) {
                    kept.lock().unwrap().extend_from_slice(&buffer[..n]);
                    if server.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    (url, heard)
}

#[test]
fn the_token_is_not_sent_to_enrol_and_no_secret_is_in_an_address() {
    let fixture = Fixture::start();
    let invitation = invite(&fixture, "a");
    let (url, heard) = tapped(fixture.server.addr());
    let string = EnrolmentString::new(&url, None, &invitation).unwrap();
    let token = new_token(invitation.client_id).unwrap();
    let enrolled = enrol(&string, &token).unwrap();
    let secret = token.rsplit('-').next().unwrap();
    let code = invitation.code.rsplit('-').next().unwrap();
    let sent = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
    assert!(sent.contains(code) && !sent.contains(secret), "{sent}");
    assert!(!sent.to_lowercase().contains("authorization"), "{sent}");

    let credentials = Credentials::new(&string, None, enrolled, token.clone());
    let client = credentials.connect(&ServerTrust::default()).unwrap();
    let round = fixture.open(&round_spec());
    client.round(round).unwrap();
    client.submit(round, &class_prompts(&[0, 1])).unwrap();
    client.receipt(round).unwrap();
    let sent = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    let lines: Vec<&str> = sent
        .lines()
        .filter(|line| line.ends_with(" HTTP/1.1"))
        .collect();
    // Enrolment, the round, its key, the submission, the receipt.
    assert_eq!(lines.len(), 5, "{lines:?}");
    for line in lines {
        let address = line.rsplit(' ').nth(1).unwrap();
        assert!(address.starts_with("/v1/"), "{line}");
        assert!(
            !address.contains(code) && !address.contains(secret),
            "{address}"
        );
    }
}

#[test]
fn what_anybody_may_send_is_small() {
    let fixture = Fixture::start();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let url = format!("{}/v1/enrolment", fixture.server.url());
    let post = |body: String| {
        let request = agent.post(&url).header("content-type", "application/json");
        request.send(body).unwrap().status().as_u16()
    };
    let hash = "0".repeat(64);
    let of = |code: &str| format!(r#"{{"code":"{code}","token_hash":"{hash}"}}"#);
    assert_eq!(post(of("")), 403);
    assert_eq!(post(of(&"x".repeat(2000))), 413);
    assert_eq!(post("{}".into()), 400);
    assert_eq!(post(r#"{"code":"pfe-1-0","token_hash":"0"}"#.into()), 400);
}
