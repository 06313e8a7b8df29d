//! Other people's services, over real sockets: what passes is waited for, what does not is told, and the key is never seen.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use promptfed_synth::service::{ApiKey, Fault, Limits, Retry, Service, ServiceError};
use serde_json::{Value, json};

use crate::http_server::{Asked, Reply, Server};

const KEY: &str = "sk-test-0123456789abcdef";

fn limits() -> Limits {
    Limits {
        silence: Duration::from_secs(5),
        whole: Duration::from_secs(5),
        retry: Retry {
            attempts: 3,
            first_pause: Duration::from_millis(5),
            longest_pause: Duration::from_secs(10),
        },
        ..Limits::default()
    }
}

fn key() -> ApiKey {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    ApiKey::from_file(&file).unwrap()
}

fn service(server: &Server, limits: Limits) -> Service {
    Service::new(&format!("{}/v1", server.url()), Some(key()), limits).unwrap()
}

fn post(service: &Service) -> Result<Value, ServiceError> {
    service.post("things", &json!({"n": 1}), &AtomicBool::new(false))
}

fn answering(
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Server, Result<Value, ServiceError>) {
    let server = Server::start(answer);
    let answer = post(&service(&server, limits()));
    (server, answer)
}

fn good() -> Reply {
    Reply::json(&json!({"good": true}))
}

#[test]
fn a_request_arrives_as_it_was_meant() {
    let (server, answer) = answering(|_| good());
    assert_eq!(answer.unwrap(), json!({"good": true}));
    let asked = &server.asked()[0];
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("POST", "/v1/things")
    );
    assert_eq!(asked.json(), json!({"n": 1}));
    assert_eq!(
        asked.authorization.as_deref(),
        Some(&*format!("Bearer {KEY}"))
    );
    let _: Value = service(&server, limits())
        .get("models", &AtomicBool::new(false))
        .unwrap();
    assert_eq!(server.asked()[1].method, "GET");
    let without = Service::new(server.url(), None, limits()).unwrap();
    let _: Value = without.get("models", &AtomicBool::new(false)).unwrap();
    assert_eq!(server.asked()[2].authorization, None);
}

#[test]
fn what_passes_is_tried_again_and_retry_after_is_heeded() {
    for after in [
        "1".to_owned(),
        httpdate(SystemTime::now() + Duration::from_secs(4)),
    ] {
        let (server, answer) = answering(move |asked| match asked.number {
            0 => Reply::Whole(
                429,
                vec![("retry-after", after.clone())],
                b"slow down".to_vec(),
            ),
            _ => good(),
        });
        assert_eq!(answer.unwrap(), json!({"good": true}));
        let asked = server.asked();
        assert_eq!(asked.len(), 2);
        let waited = asked[1].at - asked[0].at;
        assert!(waited >= Duration::from_millis(500), "{waited:?}");
    }
    for status in [500, 502, 503, 504, 408] {
        let (server, answer) = answering(move |asked| match asked.number {
            0 | 1 => Reply::status(status, "busy"),
            _ => good(),
        });
        assert!(answer.is_ok());
        assert_eq!(server.asked().len(), 3);
    }
    let (server, answer) = answering(|asked| match asked.number {
        0 => Reply::Closed,
        1 => Reply::Torn(b"{\"good\":".to_vec()),
        _ => good(),
    });
    assert!(answer.is_ok());
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn trying_ends_and_says_that_it_may_pass() {
    let (server, answer) = answering(|_| Reply::status(503, "{\"error\": \"all cards are busy\"}"));
    let error = answer.unwrap_err();
    assert_eq!(server.asked().len(), 3);
    let told = error.to_string();
    assert!(
        error.is_transient() && told.contains("503") && told.contains("all cards are busy"),
        "{told}"
    );
    assert!(
        told.contains("tried 3 times") && told.contains("/v1/things"),
        "{told}"
    );

    let (server, answer) =
        answering(|_| Reply::Whole(429, vec![("retry-after", "3600".to_owned())], Vec::new()));
    let error = answer.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(
        server.asked().len(),
        1,
        "an hour is longer than the longest pause"
    );
    assert!(
        matches!(error.fault, Fault::Status { status: 429, retry_after: Some(after), .. } if after.as_secs() == 3600),
        "{error}"
    );

    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = Service::new(&format!("http://{port}"), Some(key()), limits()).unwrap();
    let error = post(&nobody).unwrap_err();
    assert!(
        error.is_transient() && matches!(error.fault, Fault::Unreachable(_)),
        "{error}"
    );
    assert_eq!(error.attempts, 3);
}

#[test]
fn what_does_not_pass_is_tried_once() {
    for (status, body) in [
        (400, "{\"error\": {\"message\": \"no such size\"}}"),
        (401, "bad key"),
        (404, "<html>nothing here</html>"),
        (422, "no"),
        (501, "not here"),
        (429, "{\"error\": {\"code\": \"insufficient_quota\"}}"),
    ] {
        let (server, answer) = answering(move |_| Reply::status(status, body));
        let error = answer.unwrap_err();
        assert!(!error.is_transient(), "{error}");
        assert!(error.to_string().contains(&status.to_string()));
        assert_eq!(server.asked().len(), 1);
    }
    let (server, answer) =
        answering(|_| Reply::status(200, "<html><title>Please log in</title></html>"));
    let error = answer.unwrap_err();
    let told = error.to_string();
    assert!(
        !error.is_transient() && told.contains("HTML") && told.contains("Please log in"),
        "{told}"
    );
    assert_eq!(server.asked().len(), 1);

    let (server, answer) = answering(|_| {
        Reply::Whole(
            302,
            vec![("location", "http://elsewhere.example/steal".to_owned())],
            Vec::new(),
        )
    });
    let told = answer.unwrap_err().to_string();
    assert!(told.contains("elsewhere.example"), "{told}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn silence_and_size_have_limits() {
    let server = Server::start(|_| Reply::Late(Duration::from_secs(3), 200, b"{}".to_vec()));
    for limits in [
        Limits {
            silence: Duration::from_millis(100),
            retry: Retry::NEVER,
            ..limits()
        },
        Limits {
            whole: Duration::from_millis(100),
            retry: Retry::NEVER,
            ..limits()
        },
    ] {
        let start = Instant::now();
        let error = post(&service(&server, limits)).unwrap_err();
        assert!(
            error.is_transient() && matches!(error.fault, Fault::TimedOut { .. }),
            "{error}"
        );
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    let small = Limits {
        answer_bytes: 1000,
        ..limits()
    };
    let announced = Server::start(|_| Reply::status(200, vec![b' '; 1001]));
    let endless = Server::start(|_| Reply::Endless);
    for server in [announced, endless] {
        let error = post(&service(&server, small)).unwrap_err();
        assert_eq!(error.fault, Fault::TooLarge { limit: 1000 });
        assert!(!error.is_transient());
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn every_wait_ends_when_the_work_is_cancelled() {
    let server = Server::start(|asked| match asked.number {
        0 => Reply::Whole(503, vec![("retry-after", "60".to_owned())], Vec::new()),
        _ => Reply::Late(Duration::from_secs(4), 200, b"{}".to_vec()),
    });
    let patient = Limits {
        retry: Retry {
            longest_pause: Duration::from_secs(100),
            ..limits().retry
        },
        ..limits()
    };
    for _ in [
        "while it waits to ask again",
        "while it waits for the answer",
    ] {
        let service = service(&server, patient);
        let cancel = Arc::new(AtomicBool::new(false));
        let later = Arc::clone(&cancel);
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            later.store(true, Ordering::Relaxed);
        });
        let start = Instant::now();
        let answer: Result<Value, _> = service.post("things", &json!({}), &cancel);
        let error = answer.unwrap_err();
        assert!(error.is_cancelled() && !error.is_transient(), "{error}");
        assert!(start.elapsed() < Duration::from_secs(3));
        thread.join().unwrap();
    }
    let cancelled = AtomicBool::new(true);
    let before = server.asked().len();
    let answer: Result<Value, _> = service(&server, patient).get("x", &cancelled);
    assert!(answer.unwrap_err().is_cancelled());
    assert_eq!(server.asked().len(), before);
}

#[test]
fn batches_are_answered_in_order_within_the_limits() {
    let server = Server::start(|asked| {
        let n = asked.json()["n"].as_u64().unwrap();
        let pause = Duration::from_millis(60 - 10 * (n % 6));
        Reply::Late(pause, 200, json!({"n": n}).to_string().into_bytes())
    });
    let three = Limits {
        concurrent: 3,
        ..limits()
    };
    let bodies: Vec<_> = (0..12).map(|n| json!({"n": n})).collect();
    let answers =
        service(&server, three).post_each::<Value>("things", &bodies, &AtomicBool::new(false));
    let answers: Vec<Value> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, bodies);
    assert!(
        (2..=3).contains(&server.most_at_once()),
        "{}",
        server.most_at_once()
    );

    let server = Server::start(|_| good());
    let slow = Limits {
        per_minute: Some(600),
        ..limits()
    };
    let answers =
        service(&server, slow).post_each::<Value>("things", &bodies[..4], &AtomicBool::new(false));
    assert!(answers.iter().all(Result::is_ok));
    let mut times: Vec<Instant> = server.asked().iter().map(|asked| asked.at).collect();
    times.sort();
    assert!(
        times[3] - times[0] >= Duration::from_millis(250),
        "four requests, 100 ms apart"
    );
}

#[test]
fn one_bad_request_does_not_stop_a_batch_and_a_refused_caller_does() {
    let bodies: Vec<_> = (0..9).map(|n| json!({"n": n})).collect();
    let one_at_a_time = Limits {
        concurrent: 1,
        ..limits()
    };
    let server = Server::start(|asked| match asked.json()["n"].as_u64() {
        Some(2) => Reply::status(400, "content policy"),
        _ => good(),
    });
    let answers = service(&server, one_at_a_time).post_each::<Value>(
        "things",
        &bodies,
        &AtomicBool::new(false),
    );
    let bad: Vec<usize> = (0..9).filter(|i| answers[*i].is_err()).collect();
    assert_eq!(bad, [2]);

    let server = Server::start(|asked| match asked.json()["n"].as_u64() {
        Some(2) => Reply::status(401, "bad key"),
        _ => good(),
    });
    let answers = service(&server, one_at_a_time).post_each::<Value>(
        "things",
        &bodies,
        &AtomicBool::new(false),
    );
    assert!(answers[..2].iter().all(Result::is_ok));
    assert!(matches!(
        answers[2].as_ref().unwrap_err().fault,
        Fault::Status { status: 401, .. }
    ));
    assert!(
        answers[3..]
            .iter()
            .all(|a| a.as_ref().unwrap_err().fault == Fault::NotAsked)
    );
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn the_key_is_in_no_message_and_goes_to_no_other_address() {
    for status in [200, 302, 401, 500] {
        let (_server, answer) = answering(move |asked| {
            let told = format!("you sent {}", asked.authorization.clone().unwrap());
            let location = format!("http://x/{}", asked.authorization.clone().unwrap());
            Reply::Whole(status, vec![("location", location)], told.into_bytes())
        });
        let error = answer.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(!told.contains("0123456789"), "{told}");
        assert!(told.contains("***"), "{told}");
    }
    let server = Server::start(|_| Reply::status(200, vec![1, 2, 3]));
    let service = service(&server, limits());
    assert!(!format!("{service:?}").contains("0123456789"));
    let bytes = service.fetch(
        &format!("{}/picture?sig=1", server.url()),
        &AtomicBool::new(false),
    );
    assert_eq!(bytes.unwrap(), [1, 2, 3]);
    assert_eq!(server.asked()[0].authorization, None);
    for address in ["file:///etc/passwd", "no address", "ftp://h/x"] {
        assert!(service.fetch(address, &AtomicBool::new(false)).is_err());
    }
}

fn httpdate(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}
