//! Connections that say nothing, say it slowly, or come in crowds: they hold up nobody else.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::sleep;
use std::time::{Duration, Instant};

use promptfed_client::FederationClient;
use promptfed_prompts::protocol::{RegistrationRequest, RoundId, WIRE_MEDIA_TYPE};
use promptfed_server::{ImageServer, ImageServerConfig, Limits};

use crate::images;
use crate::support::{Fixture, class_prompts, round_spec};

/// Long enough for every machine; nothing here takes it where all is well.
const PATIENCE: Duration = Duration::from_secs(30);
/// Less than the times that servers have where a test gives them none.
const SOON: Duration = Duration::from_secs(8);
/// Longer than any test: what has this time-out does not end by it.
const NEVER: Duration = Duration::from_secs(600);

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Whether the other side ends a connection on which nothing was asked.
fn is_ended(socket: &mut TcpStream) -> bool {
    match socket.read(&mut [0; 64]) {
        Ok(bytes) => bytes == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// The token of a new client.
fn token(fixture: &Fixture, name: &str) -> String {
    let request = RegistrationRequest {
        name: name.into(),
        replace_token: false,
    };
    fixture.admin.register(&request).unwrap().token
}

/// Begins a submission of `length` bytes and sends the first ten.
fn begin_submission(fixture: &Fixture, round: RoundId, token: &str, length: usize) -> TcpStream {
    announce_submission(fixture, round, token, length, "\r\n0123456789")
}

/// Announces a submission of `length` bytes; `rest` is what comes behind that.
fn announce_submission(
    fixture: &Fixture,
    round: RoundId,
    token: &str,
    length: usize,
    rest: &str,
) -> TcpStream {
    let mut socket = connect(fixture.server.addr());
    let head = format!(
        "PUT /v1/rounds/{round}/submission HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {WIRE_MEDIA_TYPE}\r\nContent-Length: {length}\r\n{rest}"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

/// What comes first on a connection.
fn answer(socket: &mut TcpStream) -> String {
    let mut answer = [0; 4096];
    let bytes = socket.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..bytes]).into_owned()
}

#[test]
fn silent_connections_make_room_for_those_that_ask() {
    let fixture = Fixture::limited(Limits {
        connections: 16,
        reserved_connections: 0,
        head: NEVER,
        ..Limits::default()
    });
    let client = fixture.client("a");
    let mut silent: Vec<TcpStream> = (0..80).map(|_| connect(fixture.server.addr())).collect();
    assert!(client.rounds().unwrap().is_empty());
    fixture.admin.health().unwrap();
    let new = FederationClient::new(&fixture.server.url(), "a", &token(&fixture, "b")).unwrap();
    assert!(new.rounds().unwrap().is_empty());
    // All but as many as there may be have been ended.
    let begun = Instant::now();
    let mut ended = 0;
    while ended < 64 && begun.elapsed() < PATIENCE {
        silent.retain_mut(|socket| {
            socket
                .set_read_timeout(Some(Duration::from_millis(5)))
                .unwrap();
            let is_ended = is_ended(socket);
            ended += usize::from(is_ended);
            !is_ended
        });
    }
    assert!(ended >= 64, "{ended}");
}

#[test]
fn who_does_not_finish_a_request_s_head_is_disconnected() {
    let fixture = Fixture::limited(Limits {
        head: Duration::from_secs(1),
        ..Limits::default()
    });
    let begun = Instant::now();
    assert!(
        is_ended(&mut connect(fixture.server.addr())),
        "a silent one"
    );
    assert!(begun.elapsed() < SOON);

    let mut slow = connect(fixture.server.addr());
    slow.write_all(b"GET /health HTTP/1.1\r\nX-Slow: ").unwrap();
    let begun = Instant::now();
    let mut is_open = true;
    while is_open && begun.elapsed() < SOON {
        sleep(Duration::from_millis(20));
        is_open = slow.write_all(b"x").is_ok();
    }
    assert!(!is_open, "one that sends a byte now and then");

    let begun = Instant::now();
    let mut idle = connect(fixture.server.addr());
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut all = Vec::new();
    idle.read_to_end(&mut all).unwrap();
    assert!(all.starts_with(b"HTTP/1.1 200"), "one that stays idle");
    assert!(begun.elapsed() < SOON);
}

#[test]
fn one_client_s_slow_bodies_hold_up_nobody_else() {
    let fixture = Fixture::limited(Limits {
        requests_per_client: 8,
        work: 1,
        body_grace: NEVER,
        ..Limits::default()
    });
    let round = fixture.open(&round_spec());
    let slow = token(&fixture, "slow");
    let mut waiting: Vec<TcpStream> = (0..40)
        .map(|_| begin_submission(&fixture, round, &slow, 1000))
        .collect();
    let others = ["a", "b", "c", "d", "e"].map(|name| fixture.client(name));
    for other in &others {
        other.submit(round, &class_prompts(&[0])).unwrap();
    }
    fixture.admin.health().unwrap();
    assert_eq!(fixture.admin.status(round).unwrap().submissions, 5);
    // The client's own requests beyond its share are told to come again.
    let begun = Instant::now();
    let mut refused = 0;
    while refused < 32 && begun.elapsed() < PATIENCE {
        waiting.retain_mut(|socket| {
            socket
                .set_read_timeout(Some(Duration::from_millis(5)))
                .unwrap();
            let mut answer = [0; 4096];
            let Ok(bytes) = socket.read(&mut answer) else {
                return true;
            };
            let answer = String::from_utf8_lossy(&answer[..bytes]).to_lowercase();
            assert!(answer.starts_with("http/1.1 429 "), "{answer}");
            assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
            refused += 1;
            false
        });
    }
    assert_eq!((refused, waiting.len()), (32, 8));
    // Who gives up has its share again.
    drop(waiting);
    let client = FederationClient::new(&fixture.server.url(), "slow", &slow).unwrap();
    client.submit(round, &class_prompts(&[1])).unwrap();
}

#[test]
fn a_body_that_comes_too_slowly_is_refused() {
    let fixture = Fixture::limited(Limits {
        body_grace: Duration::from_secs(2),
        bytes_per_second: 1_000_000,
        ..Limits::default()
    });
    let round = fixture.open(&round_spec());
    let token = token(&fixture, "slow");
    let begun = Instant::now();
    let told = answer(&mut begin_submission(&fixture, round, &token, 1_000_000));
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    assert!(begun.elapsed() < SOON);

    // Never still, and yet too slow.
    let mut slow = begin_submission(&fixture, round, &token, 1_000_000);
    slow.set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let begun = Instant::now();
    let mut answer = [0; 4096];
    let told = loop {
        assert!(begun.elapsed() < SOON);
        // Where the server has closed already, its answer is there to be read.
        let _ = slow.write_all(b"x");
        match slow.read(&mut answer) {
            Ok(bytes) => break String::from_utf8_lossy(&answer[..bytes]).into_owned(),
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                "{error}"
            ),
        }
    };
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    assert!(told.contains("too slowly"), "{told}");
}

#[test]
fn bodies_beyond_the_server_s_room_are_told_to_come_again() {
    let fixture = Fixture::limited(Limits {
        body_bytes: 20_000,
        body_grace: NEVER,
        ..Limits::default()
    });
    let round = fixture.open(&round_spec());
    let token = token(&fixture, "large");
    // What is refused takes no room, however often it comes.
    for _ in 0..5 {
        let told = answer(&mut begin_submission(&fixture, round, &token, 15_000));
        assert!(told.starts_with("HTTP/1.1 429 "), "{told}");
    }
    // Who waits for the server's word before the body is refused before it.
    let waits = "Expect: 100-continue\r\n\r\n";
    let told = answer(&mut announce_submission(
        &fixture, round, &token, 15_000, waits,
    ));
    assert!(told.starts_with("HTTP/1.1 429 "), "{told}");
    let small = fixture.client("small");
    small.submit(round, &class_prompts(&[0])).unwrap();
}

#[test]
fn an_image_server_disconnects_who_says_nothing() {
    let made = Arc::new(AtomicU64::new(0));
    let server = ImageServer::start(ImageServerConfig {
        limits: Limits {
            head: Duration::from_secs(1),
            ..Limits::default()
        },
        ..images::config(images::noise(Duration::ZERO, &made), "noise")
    })
    .unwrap();
    let url = server.url();
    let address = url["http://".len()..].trim_end_matches("/v1");
    let begun = Instant::now();
    assert!(is_ended(&mut connect(address.parse().unwrap())));
    assert!(begun.elapsed() < SOON);
}
