//! Who may do what.

use promptfed_client::{AdminClient, FederationClient, RequestError};
use promptfed_privacy::sealed_bytes;
use promptfed_prompts::protocol::{ProblemCode, RegistrationRequest, RoundId};
use promptfed_server::{Error, Server};

use crate::support::{Fixture, captioned_prompts, class_prompts, config, engines, round_spec};

fn code<T: std::fmt::Debug>(result: Result<T, RequestError>) -> ProblemCode {
    let error = result.unwrap_err();
    let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
    assert!(!problem.message.is_empty() && !problem.remedy.is_empty());
    problem.code
}

#[test]
fn unknown_tokens_are_refused_everywhere() {
    let fixture = Fixture::start();
    let url = fixture.server.url();
    let round = fixture.open(&round_spec());
    let known = fixture.client("known");
    known.submit(round, &class_prompts(&[0])).unwrap();
    for token in ["nonsense", "pfc-1-0000", "pfa-0000"] {
        let admin = AdminClient::new(&url, token).unwrap();
        let client = FederationClient::new(&url, "x", token).unwrap();
        assert_eq!(
            code(admin.open_round(&round_spec())),
            ProblemCode::Unauthenticated
        );
        assert_eq!(code(admin.close(round)), ProblemCode::Unauthenticated);
        assert_eq!(
            code(client.submit(round, &class_prompts(&[0]))),
            ProblemCode::Unauthenticated
        );
        assert_eq!(code(client.round(round)), ProblemCode::Unauthenticated);
        assert_eq!(code(client.status(round)), ProblemCode::Unauthenticated);
        assert_eq!(code(client.results(round)), ProblemCode::Unauthenticated);
    }
}

#[test]
fn a_client_is_no_administrator_and_the_other_way_round() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let request = RegistrationRequest {
        name: "a".into(),
        replace_token: false,
    };
    let registration = fixture.admin.register(&request).unwrap();
    let intruder = AdminClient::new(&fixture.server.url(), &registration.token).unwrap();
    assert_eq!(code(intruder.register(&request)), ProblemCode::Forbidden);
    assert_eq!(
        code(intruder.open_round(&round_spec())),
        ProblemCode::Forbidden
    );
    assert_eq!(code(intruder.close(round)), ProblemCode::Forbidden);
    assert_eq!(code(intruder.cancel(round)), ProblemCode::Forbidden);
    let pretender =
        FederationClient::new(&fixture.server.url(), "b", fixture.server.admin_token()).unwrap();
    assert_eq!(
        code(pretender.submit(round, &class_prompts(&[0]))),
        ProblemCode::Forbidden
    );
}

#[test]
fn nothing_of_the_administrators_is_done_for_a_client() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let request = RegistrationRequest {
        name: "a".into(),
        replace_token: false,
    };
    let token = fixture.admin.register(&request).unwrap().token;
    let document: serde_json::Value =
        serde_json::from_str(promptfed_server::api_document()).unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let security = operation["security"].as_array();
            let of_admin = |rule: &serde_json::Value| rule.get("admin").is_some();
            if !security.is_some_and(|rules| rules.len() == 1 && of_admin(&rules[0])) {
                continue;
            }
            let path = path
                .replace("{round_id}", &round.to_string())
                .replace("{client_id}", "1")
                .replace("{training}", "1")
                .replace("{hash}", "0");
            let request = ureq::http::Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(format!("{}{path}", fixture.server.url()))
                .header("authorization", format!("Bearer {token}"))
                .body(())
                .unwrap();
            let answer = agent.run(request).unwrap();
            assert_eq!(answer.status().as_u16(), 403, "{method} {path}");
            asked += 1;
        }
    }
    // Metrics, clients (4), opening, deleting, closing, cancelling and trying again, the log, members, exclusions (2), images (3), trainings (7).
    assert_eq!(asked, 24);
    assert_eq!(fixture.admin.rounds().unwrap().len(), 1);
}

#[test]
fn a_new_token_ends_the_old_one() {
    let fixture = Fixture::start();
    let mut request = RegistrationRequest {
        name: "a".into(),
        replace_token: false,
    };
    let first = fixture.admin.register(&request).unwrap();
    assert_eq!(
        code(fixture.admin.register(&request)),
        ProblemCode::NameTaken
    );
    request.replace_token = true;
    let second = fixture.admin.register(&request).unwrap();
    assert_eq!(first.client_id, second.client_id);
    let old = FederationClient::of(&fixture.server.url(), &first).unwrap();
    assert_eq!(code(old.rounds()), ProblemCode::Unauthenticated);
    let new = FederationClient::of(&fixture.server.url(), &second).unwrap();
    assert!(new.rounds().unwrap().is_empty());
}

#[test]
fn one_server_at_a_time_uses_a_folder() {
    let fixture = Fixture::start();
    let addr = ([127, 0, 0, 1], 0).into();
    let second = config(
        fixture.folder.path(),
        addr,
        engines(Default::default(), &fixture.made),
    );
    assert!(matches!(
        Server::start(second),
        Err(Error::FolderInUse { .. })
    ));
}

#[test]
fn a_given_admin_token_works_and_a_weak_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let addr = ([127, 0, 0, 1], 0).into();
    let mut config = config(folder.path(), addr, promptfed_server::Engines::new());
    config.admin_token = Some("weak".into());
    assert!(matches!(
        Server::start(config.clone()),
        Err(Error::WeakAdminToken)
    ));
    config.admin_token = Some("a-token-of-some-length".into());
    let server = Server::start(config).unwrap();
    let admin = AdminClient::new(&server.url(), "a-token-of-some-length").unwrap();
    assert!(admin.rounds().unwrap().is_empty());
    assert_eq!(code(admin.status(RoundId::new(1))), ProblemCode::NotFound);
    assert!(!folder.path().join("admin.token").exists());
}

#[test]
fn a_large_submission_with_a_wrong_token_is_refused_before_it_is_sent() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let captions: Vec<String> = (0u32..40_000)
        .map(|i| {
            [0u8, 1, 2]
                .map(|part| blake3::hash(&[&i.to_le_bytes()[..], &[part]].concat()).to_string())
                .concat()
        })
        .collect();
    let prompts = captioned_prompts(&captions.iter().map(String::as_str).collect::<Vec<_>>());
    let bytes = sealed_bytes(prompts.to_wire().len()) as u64;
    let stranger = FederationClient::new(&fixture.server.url(), "x", "pfc-1-0000").unwrap();
    assert_eq!(
        code(stranger.submit(round, &prompts)),
        ProblemCode::Unauthenticated
    );
    assert!(bytes > 2 << 20 && stranger.socket_bytes().up() < 2000);
    let client = fixture.client("a");
    assert_eq!(client.submit(round, &prompts).unwrap().receipt.bytes, bytes);
}
