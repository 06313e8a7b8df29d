//! What is told of answers that are no server's of this protocol, and of tokens that are none.
#![allow(clippy::unwrap_used)]

use promptfed_client::{AdminClient, FederationClient, RequestError, RetryPolicy};
use promptfed_prompts::LabelSpace;
use promptfed_prompts::protocol::{
    ClassifierArchitecture, ImageBudget, PictureFit, RoundId, RoundSpec, SourcePlan, SynthesisPlan,
    TrainingPlan,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::spawn;
use std::time::Duration;

/// Answers each request by its path, and keeps the requests' heads.
fn server(answer: impl Fn(&str) -> String + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = read_request(&mut stream);
            let told = answer(&head);
            kept.lock().unwrap().push(head);
            stream.write_all(told.as_bytes()).unwrap();
        }
    });
    (url, heads)
}

/// Reads a request to the end of its body, and returns its head.
fn read_request(stream: &mut TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let lower = line.to_lowercase();
        if let Some(told) = lower.strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&lower);
    }
    if !head.contains("expect:") {
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
    }
    head
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn client(url: &str) -> FederationClient {
    let retry = RetryPolicy {
        attempts: 2,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(1),
    };
    FederationClient::with_retry(url, "site", "token", retry).unwrap()
}

#[test]
fn a_log_in_page_is_told_as_one() {
    let page = "<!DOCTYPE html><html><head><title>Log in to\n the hospital</title></head></html>";
    for status in ["200 OK", "401 Unauthorized"] {
        let (url, heads) = server(move |_| response(status, "content-type: text/html\r\n", page));
        let told = client(&url).round(RoundId::new(1)).unwrap_err().to_string();
        assert!(told.contains("titled \"Log in to the hospital\""), "{told}");
        assert!(
            told.contains("proxy") && !told.contains("matching versions"),
            "{told}"
        );
        assert_eq!(heads.lock().unwrap().len(), 1, "it was asked again");
    }
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let (elsewhere, stolen) = server(|_| response("200 OK", "", "{}"));
    let to = format!("location: {elsewhere}/v1/rounds/1\r\n");
    let (url, _) = server(move |_| response("302 Found", &to, ""));
    let told = client(&url).round(RoundId::new(1)).unwrap_err();
    assert!(
        matches!(told, RequestError::Redirected { status: 302, .. }),
        "{told}"
    );
    assert!(told.to_string().contains(&elsewhere), "{told}");
    assert!(stolen.lock().unwrap().is_empty());
}

#[test]
fn a_server_of_another_version_is_told_with_both() {
    let health = r#"{"status":"ok","version":"9.9.9","wire_version":7}"#;
    let (url, _) = server(move |head| {
        let is_health = head.starts_with("get /health");
        response(
            "200 OK",
            "",
            if is_health {
                health
            } else {
                r#"{"renamed":1}"#
            },
        )
    });
    let told = client(&url).round(RoundId::new(1)).unwrap_err().to_string();
    assert!(
        told.contains("9.9.9") && told.contains(env!("CARGO_PKG_VERSION")),
        "{told}"
    );
}

#[test]
fn a_body_that_may_not_be_announced_is_sent_as_it_is() {
    let (url, heads) = server(|head| {
        if head.contains("expect:") {
            return response("417 Expectation Failed", "", "");
        }
        let problem = r#"{"status":422,"code":"invalid","message":"reached","remedy":"none"}"#;
        response("422 Unprocessable Entity", "", problem)
    });
    // A round whose label space is longer than what is sent unannounced.
    let names: Vec<String> = (0..4000)
        .map(|i| format!("a class with a long name, number {i}"))
        .collect();
    let space = LabelSpace::from_names("long", names.iter().map(String::as_str)).unwrap();
    let spec = RoundSpec {
        name: "long".into(),
        label_space: space,
        prompts: None,
        synthesis: SynthesisPlan {
            sources: vec![SourcePlan::new("noise")],
            images: ImageBudget::PerPrompt(1),
            steps: None,
            guidance: None,
            sampler: None,
            min_clip_score: None,
            fuse: None,
            seed: 0,
        },
        training: TrainingPlan {
            epochs: 1,
            batch_size: 8,
            learning_rate: 0.05,
            momentum: 0.9,
            label_smoothing: 0.1,
            weight_decay: 5e-4,
            flip: true,
            shift: 0.125,
            image_size: 16,
            fit: PictureFit::Crop,
            width: 4,
            architecture: ClassifierArchitecture::Small,
            validation_fraction: 0.25,
            seed: 0,
        },
        expected_clients: None,
        open_results: false,
    };
    let admin = AdminClient::new(&url, "token").unwrap();
    let told = admin.open_round(&spec).unwrap_err().to_string();
    assert!(told.contains("reached"), "{told}");
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 2);
    assert!(heads[0].contains("expect:") && !heads[1].contains("expect:"));
}

#[test]
fn what_copying_puts_beside_a_token_is_taken_away_and_the_rest_refused() {
    let (url, heads) = server(|_| response("404 Not Found", "", "{}"));
    let asked = FederationClient::new(&url, "site", "\u{feff}pf-1-secret\r\n").unwrap();
    asked.round(RoundId::new(1)).unwrap_err();
    assert!(heads.lock().unwrap()[0].contains("authorization: bearer pf-1-secret\r\n"));
    for token in [
        "",
        " \n",
        "two parts",
        "line\nbreak",
        "caf\u{e9}",
        "\u{1b}[31m",
    ] {
        let Err(told) = FederationClient::new(&url, "site", token) else {
            panic!("{token:?} was taken");
        };
        assert!(matches!(told, RequestError::Token { .. }), "{told}");
        let told = told.to_string();
        assert!(token.trim().is_empty() || !told.contains(token), "{told}");
    }
}

#[test]
fn who_waits_outlives_a_server_that_is_started_again() {
    let status = |state: &str| {
        format!(
            r#"{{"round_id":1,"name":"r","state":"{state}","submissions":1,"expected_clients":null,"opened_at":1,"closed_at":null,"finished_at":null,"warnings":[]}}"#
        )
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (open, done) = (status("queued"), status("done"));
    spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream
            .write_all(response("200 OK", "", &open).as_bytes())
            .unwrap();
        drop((stream, listener));
        std::thread::sleep(Duration::from_millis(300));
        // Another test may have the port for a moment.
        let listener = loop {
            match TcpListener::bind(addr) {
                Ok(listener) => break listener,
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream
            .write_all(response("200 OK", "", &done).as_bytes())
            .unwrap();
    });
    let session = client(&format!("http://{addr}"));
    let limit = Some(Duration::from_secs(30));
    let mut seen = 0;
    let end = session.wait(RoundId::new(1), limit, &mut |_| {
        seen += 1;
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(end.unwrap().submissions, 1);
    assert_eq!(seen, 2);
}
