//! Requests that no good client makes: each ends in a problem document.

use std::io::{Read, Write};
use std::net::TcpStream;

use promptfed_privacy::MAX_SEALED_BYTES;
use promptfed_prompts::protocol::{
    PROBLEM_MEDIA_TYPE, Problem, ProblemCode, RegistrationRequest, WIRE_MEDIA_TYPE,
};

use crate::support::{Fixture, class_prompts, round_spec};

/// Sends the text as it is and reads until the server closes.
fn raw(fixture: &Fixture, request: &str) -> (String, Problem) {
    raw_bytes(fixture, request.as_bytes())
}

fn raw_bytes(fixture: &Fixture, request: &[u8]) -> (String, Problem) {
    let mut socket = TcpStream::connect(fixture.server.addr()).unwrap();
    socket.write_all(request).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{answer:?}"));
    assert!(
        head.to_lowercase()
            .contains(&format!("content-type: {PROBLEM_MEDIA_TYPE}")),
        "{head}"
    );
    let problem: Problem = serde_json::from_str(body).unwrap();
    assert!(
        head.starts_with(&format!("HTTP/1.1 {}", problem.status)),
        "{head}"
    );
    assert!(!problem.message.is_empty() && !problem.remedy.is_empty());
    (head.to_owned(), problem)
}

fn head(method: &str, path: &str, token: &str, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
    )
}

#[test]
fn unknown_paths_and_methods() {
    let fixture = Fixture::start();
    let (_, problem) = raw(&fixture, &head("GET", "/v2/nothing", "", ""));
    assert_eq!((problem.status, problem.code), (404, ProblemCode::NotFound));
    let (head_text, problem) = raw(&fixture, &head("DELETE", "/v1/rounds", "", ""));
    assert_eq!(
        (problem.status, problem.code),
        (405, ProblemCode::MethodNotAllowed)
    );
    assert!(head_text.to_lowercase().contains("allow: "), "{head_text}");
    let admin = fixture.server.admin_token();
    let (_, problem) = raw(&fixture, &head("GET", "/v1/rounds/first/status", admin, ""));
    assert_eq!(
        (problem.status, problem.code),
        (400, ProblemCode::Malformed)
    );
    let (_, problem) = raw(&fixture, &head("GET", "/v1/rounds/7/status", admin, ""));
    assert_eq!((problem.status, problem.code), (404, ProblemCode::NotFound));
}

#[test]
fn no_token_names_the_scheme() {
    let fixture = Fixture::start();
    let (head, problem) = raw(
        &fixture,
        "GET /v1/rounds HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(
        (problem.status, problem.code),
        (401, ProblemCode::Unauthenticated)
    );
    assert!(
        head.to_lowercase().contains("www-authenticate: bearer"),
        "{head}"
    );
}

#[test]
fn messages_that_are_none() {
    let fixture = Fixture::start();
    let admin = fixture.server.admin_token();
    let post = |body: &str, media_type: &str| {
        let more = format!(
            "Content-Type: {media_type}\r\nContent-Length: {}\r\n",
            body.len()
        );
        let (_, problem) = raw(
            &fixture,
            &(head("POST", "/v1/clients", admin, &more) + body),
        );
        (problem.status, problem.code)
    };
    let json = "application/json; charset=utf-8";
    assert_eq!(post("{", json), (400, ProblemCode::Malformed));
    assert_eq!(
        post(r#"{"name":"a","rank":"admiral"}"#, json),
        (400, ProblemCode::Malformed)
    );
    assert_eq!(post(r#"{"name":""}"#, json), (422, ProblemCode::Invalid));
    assert_eq!(
        post(r#"{"name":"a\nb"}"#, json),
        (422, ProblemCode::Invalid)
    );
    assert_eq!(
        post(r#"{"name":"a"}"#, "text/plain"),
        (415, ProblemCode::UnsupportedMediaType)
    );
    let huge = format!("Content-Type: {json}\r\nContent-Length: 99999999\r\n");
    let (_, problem) = raw(&fixture, &head("POST", "/v1/clients", admin, &huge));
    assert_eq!((problem.status, problem.code), (413, ProblemCode::TooLarge));
}

#[test]
fn prompt_sets_that_are_none() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let request = RegistrationRequest {
        name: "a".into(),
        replace_token: false,
    };
    let token = fixture.admin.register(&request).unwrap().token;
    let path = format!("/v1/rounds/{round}/submission");
    let put = |body: &[u8], media_type: &str| {
        let more = format!(
            "Content-Type: {media_type}\r\nContent-Length: {}\r\n",
            body.len()
        );
        let request = [head("PUT", &path, &token, &more).as_bytes(), body].concat();
        let (_, problem) = raw_bytes(&fixture, &request);
        (problem.status, problem.code)
    };
    let good = class_prompts(&[0]).to_wire();
    let malformed = (400, ProblemCode::Malformed);
    assert_eq!(put(b"", WIRE_MEDIA_TYPE), malformed);
    assert_eq!(put(b"{\"prompts\":[]}", WIRE_MEDIA_TYPE), malformed);
    assert_eq!(put(&good[..good.len() - 1], WIRE_MEDIA_TYPE), malformed);
    assert_eq!(put(&[&good[..], b"x"].concat(), WIRE_MEDIA_TYPE), malformed);
    assert_eq!(
        put(&good, "application/json"),
        (415, ProblemCode::UnsupportedMediaType)
    );
    let announced = MAX_SEALED_BYTES + 1;
    let more = format!("Content-Type: {WIRE_MEDIA_TYPE}\r\nContent-Length: {announced}\r\n");
    let (_, problem) = raw(&fixture, &head("PUT", &path, &token, &more));
    assert_eq!((problem.status, problem.code), (413, ProblemCode::TooLarge));
    // Whose token is wrong is refused before it sends anything: no 100 comes first.
    let more = format!(
        "Content-Type: {WIRE_MEDIA_TYPE}\r\nContent-Length: 3000000\r\nExpect: 100-continue\r\n"
    );
    let (_, problem) = raw(&fixture, &head("PUT", &path, "pfc-1-0000", &more));
    assert_eq!(
        (problem.status, problem.code),
        (401, ProblemCode::Unauthenticated)
    );
    assert_eq!(fixture.admin.status(round).unwrap().submissions, 0);
}
