//! The ledger against a meter that knows nothing of it: a relay between client and server that counts.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use promptfed_client::{ADMIN, AdminClient, FederationClient};
use promptfed_privacy::sealed_bytes;
use promptfed_prompts::ledger::{Direction, Ledger, PayloadKind};
use promptfed_prompts::protocol::RegistrationRequest;

use crate::support::{Fixture, captioned_prompts, class_prompts, round_spec};

/// Relays connections to a server and counts what goes through.
struct Relay {
    url: String,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
}

impl Relay {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            up: Arc::default(),
            down: Arc::default(),
        };
        let (up, down) = (Arc::clone(&relay.up), Arc::clone(&relay.down));
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(server).unwrap();
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let (up, down) = (Arc::clone(&up), Arc::clone(&down));
                thread::spawn(move || pump(client, server, &up));
                thread::spawn(move || pump(back.0, back.1, &down));
            }
        });
        relay
    }

    fn counted(&self) -> (u64, u64) {
        (
            self.up.load(Ordering::SeqCst),
            self.down.load(Ordering::SeqCst),
        )
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        // Counted first: the client may look as soon as it has the bytes.
        count.fetch_add(n as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn totals(ledger: &Ledger) -> (u64, u64) {
    (ledger.total(Direction::Up), ledger.total(Direction::Down))
}

#[test]
fn the_ledger_counts_what_crosses_the_socket() {
    let fixture = Fixture::start();
    let relay = Relay::to(fixture.server.addr());
    let admin = AdminClient::new(&relay.url, fixture.server.admin_token()).unwrap();
    let round = admin.open_round(&round_spec()).unwrap().round_id;
    let request = RegistrationRequest {
        name: "a".into(),
        replace_token: false,
    };
    let registration = admin.register(&request).unwrap();
    assert!(admin.register(&request).is_err());
    assert_eq!(totals(&admin.ledger()), relay.counted());
    let spec_bytes = serde_json::to_vec(&round_spec()).unwrap().len() as u64;
    assert_eq!(
        admin
            .ledger()
            .get(ADMIN, Direction::Up, PayloadKind::RoundSpec),
        spec_bytes
    );

    let client = FederationClient::of(&relay.url, &registration).unwrap();
    client.round(round).unwrap();
    let captions: Vec<String> = (0..5000)
        .map(|i| format!("picture number {i}, {}", i * i))
        .collect();
    let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
    let large = captioned_prompts(&captions);
    client.submit(round, &large).unwrap();
    let small = class_prompts(&[0, 1]);
    client.submit(round, &small).unwrap();
    assert!(client.results(round).is_err());
    client.status(round).unwrap();

    let mut both = client.ledger();
    let sent: usize = [&large, &small]
        .map(|set| sealed_bytes(set.to_wire().len()))
        .iter()
        .sum();
    let sent = sent as u64;
    assert_eq!(both.get("a", Direction::Up, PayloadKind::Prompts), sent);
    assert_eq!(
        both.get("a", Direction::Down, PayloadKind::RoundSpec),
        spec_bytes
    );
    assert!(both.get("a", Direction::Down, PayloadKind::Control) > 0);
    assert!(both.get("a", Direction::Up, PayloadKind::HttpFraming) > 0);
    assert_eq!(
        totals(&both),
        (client.socket_bytes().up(), client.socket_bytes().down())
    );
    both.merge(&admin.ledger());
    assert_eq!(totals(&both), relay.counted());
}

#[test]
fn threads_that_share_a_session_lose_no_byte() {
    let fixture = Fixture::start();
    let relay = Relay::to(fixture.server.addr());
    let round = fixture.open(&round_spec());
    let request = RegistrationRequest {
        name: "a".into(),
        replace_token: false,
    };
    let registration = fixture.admin.register(&request).unwrap();
    let client = FederationClient::of(&relay.url, &registration).unwrap();
    thread::scope(|scope| {
        for class in 0..3 {
            let client = &client;
            scope.spawn(move || {
                for _ in 0..10 {
                    client.submit(round, &class_prompts(&[class])).unwrap();
                }
            });
        }
    });
    assert_eq!(totals(&client.ledger()), relay.counted());
    let sent: u64 = (0..3)
        .map(|class| 10 * sealed_bytes(class_prompts(&[class]).to_wire().len()) as u64)
        .sum();
    assert_eq!(
        client
            .ledger()
            .get("a", Direction::Up, PayloadKind::Prompts),
        sent
    );
}
