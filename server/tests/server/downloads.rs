//! Downloads that nobody reads: they cost little, and they end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use promptfed_client::AdminClient;
use promptfed_prompts::protocol::{RegistrationRequest, RoundId};
use promptfed_server::Limits;

#[cfg(target_os = "linux")]
use crate::crash::{Process, free_address};
use crate::support::{Fixture, class_prompts, client, round_spec};

/// Long enough for every machine; nothing here takes it where all is well.
const PATIENCE: Duration = Duration::from_secs(60);
/// Far more than sockets hold.
const LARGE: u64 = 57_000_000;

/// A finished round, with a large file of zeros in place of its model.
fn large_model(admin: &AdminClient, url: &str, folder: &Path) -> RoundId {
    let round = admin.open_round(&round_spec()).unwrap().round_id;
    client(admin, url, "a")
        .submit(round, &class_prompts(&[0, 1, 2]))
        .unwrap();
    admin.close(round).unwrap();
    admin
        .wait(round, None, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    let model = folder.join("models").join(format!("{round}.safetensors"));
    let file = std::fs::File::create(model).unwrap();
    file.set_len(LARGE).unwrap();
    round
}

fn ask(address: SocketAddr, round: RoundId, token: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "GET /v1/rounds/{round}/model HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

#[test]
fn a_large_model_arrives_whole() {
    let fixture = Fixture::start();
    let round = large_model(&fixture.admin, &fixture.server.url(), fixture.folder.path());
    let mut socket = ask(fixture.server.addr(), round, fixture.server.admin_token());
    let mut all = Vec::new();
    socket.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains(&format!("content-length: {LARGE}")), "{head}");
    assert_eq!((all.len() - end - 4) as u64, LARGE);
}

#[test]
fn a_download_that_is_not_read_ends() {
    let fixture = Fixture::limited(Limits {
        write: Duration::from_secs(3),
        ..Limits::default()
    });
    let round = large_model(&fixture.admin, &fixture.server.url(), fixture.folder.path());
    let mut unread = ask(fixture.server.addr(), round, fixture.server.admin_token());
    // Its system refuses what is written to a server that has gone.
    let begun = Instant::now();
    while unread.write_all(b"x").is_ok() {
        // Without the limit above it would wait for 30 s.
        assert!(begun.elapsed() < Duration::from_secs(15), "it still waits");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut came = 0;
    let mut piece = vec![0; 1 << 16];
    while let Ok(bytes @ 1..) = unread.read(&mut piece) {
        came += bytes as u64;
    }
    assert!(came < LARGE, "{came}");
    // Who reads has all of it.
    let mut read = ask(fixture.server.addr(), round, fixture.server.admin_token());
    let mut all = Vec::new();
    read.read_to_end(&mut all).unwrap();
    assert!(all.len() as u64 > LARGE);
}

#[test]
fn a_download_that_is_read_slowly_arrives_whole() {
    // A tenth of the time that answers have otherwise, and ten times the pace: what a system holds by itself would last longer.
    let fixture = Fixture::limited(Limits {
        write: Duration::from_secs(3),
        ..Limits::default()
    });
    let round = large_model(&fixture.admin, &fixture.server.url(), fixture.folder.path());
    let mut slow = ask(fixture.server.addr(), round, fixture.server.admin_token());
    let begun = Instant::now();
    let mut piece = vec![0; 20_000];
    let mut came = 0;
    while begun.elapsed() < Duration::from_secs(9) {
        came += slow.read(&mut piece).unwrap() as u64;
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    assert!(came + rest.len() as u64 > LARGE);
}

#[test]
fn a_client_has_so_many_downloads_at_once() {
    let fixture = Fixture::limited(Limits {
        requests_per_client: 2,
        write: Duration::from_secs(600),
        ..Limits::default()
    });
    let round = large_model(&fixture.admin, &fixture.server.url(), fixture.folder.path());
    let request = RegistrationRequest {
        name: "a".into(),
        replace_token: true,
    };
    let token = fixture.admin.register(&request).unwrap().token;
    let status = |socket: &mut TcpStream| {
        let mut start = [0; 12];
        socket.read_exact(&mut start).unwrap();
        String::from_utf8_lossy(&start[9..]).into_owned()
    };
    let mut unread = [(); 2].map(|()| ask(fixture.server.addr(), round, &token));
    assert_eq!(unread.each_mut().map(status), ["200", "200"]);
    let mut third = ask(fixture.server.addr(), round, &token);
    assert_eq!(status(&mut third), "429");
    let mut admin = ask(fixture.server.addr(), round, fixture.server.admin_token());
    assert_eq!(status(&mut admin), "200");
}

/// A number of kB of what the system says about a process.
#[cfg(target_os = "linux")]
fn memory(process: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.unwrap().trim_start_matches(':').split_whitespace();
    number
        .take(1)
        .map(|n| n.parse::<u64>().unwrap())
        .sum::<u64>()
}

#[cfg(target_os = "linux")]
#[test]
fn downloads_that_nobody_reads_cost_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let server = Process::start(folder.path(), address);
    let admin = server.admin(folder.path());
    let round = large_model(&admin, &format!("http://{address}"), folder.path());
    let token = std::fs::read_to_string(folder.path().join("admin.token")).unwrap();
    let process = server.child.id();
    let before = memory(process, "VmHWM");
    let mut unread: Vec<TcpStream> = (0..40).map(|_| ask(address, round, token.trim())).collect();
    for socket in &mut unread {
        socket.read_exact(&mut [0; 4096]).unwrap();
    }
    // All of them in memory would be 2.2 GB.
    let most = memory(process, "VmHWM");
    assert!(most < before + 200_000, "{before} kB, then {most} kB");
    drop(unread);
    admin.health().unwrap();
    let after = memory(process, "VmRSS");
    assert!(after < before + 100_000, "{before} kB, then {after} kB");
}
