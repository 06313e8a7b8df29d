//! `kill -9` at any moment loses nothing that was acknowledged.
//!
//! The server runs as a process of its own: this test program started again, or, with `PROMPTFED_BIN` set, that program
//! as `serve --addr <address> --data-dir <folder>`.

use std::net::{SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::{scope, sleep};
use std::time::Duration;

use promptfed_client::{AdminClient, FederationClient, ImagesAsked, RetryPolicy};
use promptfed_privacy::{PrivateKey, SealedFor};
use promptfed_prompts::protocol::{
    DropRequest, ImageBudget, RegistrationRequest, RoundId, RoundState, RoundStatus, SealingKey,
    SourcePlan, SubmissionReceipt, TrainingPlan, TrainingRequest, TrainingStatus,
};
use promptfed_prompts::{ContentHash, PromptSet};
use promptfed_server::run_blocking;
use rusqlite::{Connection, OpenFlags};

use crate::fusion::{fused_round, until};
use crate::support::{captioned_prompts, class_prompts, config, engines, round_spec};

const DATA: &str = "PROMPTFED_TEST_DATA";
const ADDRESS: &str = "PROMPTFED_TEST_ADDRESS";
const CLIENTS: usize = 6;
const ROUNDS: u32 = 25;
const KILLS: usize = 8;

/// Many attempts with short pauses: a server that was killed is back soon.
const PATIENT: RetryPolicy = RetryPolicy {
    attempts: 400,
    first_pause: Duration::from_millis(10),
    longest_pause: Duration::from_millis(100),
};

/// Not a test by itself: the server process of the tests below.
#[test]
#[ignore = "runs as a child process of the tests below"]
fn child() {
    let (Ok(data), Ok(address)) = (std::env::var(DATA), std::env::var(ADDRESS)) else {
        println!("skipped: {DATA} and {ADDRESS} are not set");
        return;
    };
    let engines = engines(Duration::from_millis(5), &Default::default());
    run_blocking(
        config(data.as_ref(), address.parse().unwrap(), engines),
        |_| {},
    )
    .unwrap();
}

pub(crate) struct Process {
    pub(crate) child: Child,
    address: SocketAddr,
}

impl Process {
    pub(crate) fn start(folder: &Path, address: SocketAddr) -> Self {
        let command = match std::env::var_os("PROMPTFED_BIN") {
            Some(binary) => {
                let mut command = Command::new(binary);
                command.arg("serve").arg("--addr").arg(address.to_string());
                command.arg("--data-dir").arg(folder);
                command
            }
            None => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args(["--ignored", "--exact", "crash::child", "--test-threads=1"]);
                command.env(DATA, folder).env(ADDRESS, address.to_string());
                command
            }
        };
        Self {
            child: spawn(command),
            address,
        }
    }

    /// SIGKILL: the process cannot clean anything up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn admin(&self, folder: &Path) -> AdminClient {
        let token = folder.join("admin.token");
        while !token.exists() {
            sleep(Duration::from_millis(10));
        }
        let token = std::fs::read_to_string(token).unwrap();
        let url = format!("http://{}", self.address);
        let admin = AdminClient::with_retry(&url, token.trim(), PATIENT).unwrap();
        // Repeated until the server listens; opening a round is not.
        admin.health().unwrap();
        admin
    }
}

/// A failed test leaves no server behind.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(mut command: Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The port stays the same over restarts, so that clients find the server again.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Numbers that are the same in every run.
fn number(what: &str, i: usize) -> u64 {
    let hash = ContentHash::of(format!("{what} {i}").as_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap())
}

fn prompts(client: usize, round: u32) -> PromptSet {
    let captions: Vec<String> = (0..=number("size", client) % 40)
        .map(|i| format!("picture {i} of client {client} in round {round}"))
        .collect();
    captioned_prompts(&captions.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut process = Process::start(folder.path(), address);
    let admin = process.admin(folder.path());
    let url = format!("http://{address}");
    let mut spec = round_spec();
    if std::env::var_os("PROMPTFED_BIN").is_some() {
        spec.synthesis.sources = vec![SourcePlan::new("pocket")];
    }
    for _ in 0..ROUNDS {
        admin.open_round(&spec).unwrap();
    }
    let clients: Vec<FederationClient> = (0..CLIENTS)
        .map(|i| {
            let request = RegistrationRequest {
                name: format!("client {i}"),
                replace_token: false,
            };
            let Ok(registration) = admin.register(&request) else {
                panic!("client {i}")
            };
            let (name, token) = (&registration.name, &registration.token);
            FederationClient::with_retry(&url, name, token, PATIENT).unwrap()
        })
        .collect();

    let acknowledged: Mutex<Vec<(usize, SubmissionReceipt)>> = Mutex::default();
    scope(|threads| {
        for (i, client) in clients.iter().enumerate() {
            let acknowledged = &acknowledged;
            threads.spawn(move || {
                for round in 1..=ROUNDS {
                    let answer = client
                        .submit(RoundId::new(round), &prompts(i, round))
                        .unwrap();
                    acknowledged.lock().unwrap().push((i, answer.receipt));
                }
            });
        }
        // Kills are spread over the work, so that each falls among requests under way.
        for kill in 0..KILLS {
            let receipts = (kill * CLIENTS * ROUNDS as usize) / KILLS;
            while acknowledged.lock().unwrap().len() <= receipts {
                sleep(Duration::from_millis(1));
            }
            sleep(Duration::from_micros(number("pause", kill) % 5000));
            process.kill();
            process = Process::start(folder.path(), address);
        }
    });
    process.kill();

    process = Process::start(folder.path(), address);
    admin.health().unwrap();
    let acknowledged = acknowledged.into_inner().unwrap();
    assert_eq!(acknowledged.len(), CLIENTS * ROUNDS as usize);
    for (client, receipt) in &acknowledged {
        assert_eq!(
            clients[*client].receipt(receipt.round_id).unwrap(),
            *receipt
        );
    }
    process.kill();

    let database = folder.path().join("server.sqlite");
    let database =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    for (client, receipt) in &acknowledged {
        let sql = "SELECT wire FROM submissions WHERE round_id = ?1 AND client_id = ?2";
        let key = [receipt.round_id.get(), receipt.client_id.get()];
        let sent: Vec<u8> = database.query_row(sql, key, |row| row.get(0)).unwrap();
        let file = folder.path().join(format!("keys/{}.key", receipt.round_id));
        let secret: SealingKey = std::fs::read_to_string(file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let owner = SealedFor {
            round: receipt.round_id,
            client: receipt.client_id,
        };
        let wire = PrivateKey::from_bytes(secret.as_bytes()).open(&sent, owner);
        assert_eq!(
            wire.unwrap(),
            prompts(*client, receipt.round_id.get()).to_wire()
        );
    }
}

#[test]
fn a_job_goes_on_after_a_kill_and_ends_the_same() {
    if std::env::var_os("PROMPTFED_BIN").is_some() {
        println!("skipped: the program has no engine for tests");
        return;
    }
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::PerPrompt(150);
    let models = [0, 3].map(|kills| {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let mut process = Process::start(folder.path(), address);
        let admin = process.admin(folder.path());
        let round = admin.open_round(&spec).unwrap().round_id;
        let client = crate::support::client(&admin, &format!("http://{address}"), "a");
        client.submit(round, &class_prompts(&[0, 1])).unwrap();
        admin.close(round).unwrap();
        let mut killed = 0;
        for kill in 1..=kills {
            let mut enough = |status: &RoundStatus| match status.state {
                RoundState::Synthesising { done, .. } if done >= 60 * kill => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            };
            // A job that was quicker than the question is not killed: also an order of events.
            if admin.wait(round, None, &mut enough).is_err() {
                process.kill();
                process = Process::start(folder.path(), address);
                killed += 1;
            }
        }
        admin
            .wait(round, None, &mut |_| ControlFlow::Continue(()))
            .unwrap();
        let results = admin.results(round).unwrap();
        assert_eq!(
            (results.images.planned, results.images.accepted),
            (300, 300)
        );
        process.kill();
        assert_eq!(killed > 0, kills > 0);
        results.model.hash
    });
    assert_eq!(models[0], models[1]);
}

#[test]
fn a_fusion_goes_on_after_kills_and_ends_the_same() {
    if std::env::var_os("PROMPTFED_BIN").is_some() {
        println!("skipped: the program has no engine for tests");
        return;
    }
    let mut spec = fused_round();
    spec.synthesis.images = ImageBudget::Total(90);
    let fuse = spec.synthesis.fuse.as_mut().unwrap();
    fuse.keep = Some(60);
    fuse.adjust_weights = Some(12);
    fuse.signals = true;
    let wholes = [false, true].map(|kills| {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let mut process = Process::start(folder.path(), address);
        let admin = process.admin(folder.path());
        let round = admin.open_round(&spec).unwrap().round_id;
        let client = crate::support::client(&admin, &format!("http://{address}"), "a");
        client.submit(round, &class_prompts(&[0, 1, 2])).unwrap();
        admin.close(round).unwrap();
        let mut killed = 0;
        let moments = [("training task models", 1), ("adjusting weights", 3)];
        for (moment, steps) in moments.iter().filter(|_| kills) {
            let reached = |state: &RoundState| match state {
                RoundState::Fusing { stage, done, .. } => stage == moment && *done >= *steps,
                _ => false,
            };
            if reached(&until(&admin, round, reached).state) {
                process.kill();
                process = Process::start(folder.path(), address);
                admin.health().unwrap();
                killed += 1;
            }
        }
        until(&admin, round, |_| false);
        let results = admin.results(round).unwrap();
        process.kill();
        assert_eq!(killed > 0, kills, "killed {killed} times");
        let fusion = results.fusion.unwrap();
        assert_eq!((fusion.made, fusion.chosen), (90, 60));
        (fusion.record_hash, fusion.chosen_hash, results.model.hash)
    });
    assert_eq!(wholes[0], wholes[1]);
}

#[test]
fn a_class_drawn_again_goes_on_after_kills_and_ends_the_same() {
    if std::env::var_os("PROMPTFED_BIN").is_some() {
        println!("skipped: the program has no engine for tests");
        return;
    }
    let mut spec = round_spec();
    spec.synthesis.images = ImageBudget::PerPrompt(60);
    spec.expected_clients = Some(1);
    let request = TrainingRequest {
        plan: Some(TrainingPlan {
            epochs: 40,
            ..spec.training
        }),
        redraw: vec!["dog".into()],
        publish: true,
        ..TrainingRequest::default()
    };
    let wholes = [false, true].map(|kills| {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let mut process = Process::start(folder.path(), address);
        let admin = process.admin(folder.path());
        let round = admin.open_round(&spec).unwrap().round_id;
        let client = crate::support::client(&admin, &format!("http://{address}"), "a");
        client.submit(round, &class_prompts(&[0, 1])).unwrap();
        until(&admin, round, |_| false);
        let first = admin.results(round).unwrap();
        let image = admin.images(round, &ImagesAsked::default()).unwrap().images[0].hash;
        let drops = DropRequest {
            images: vec![image.to_string()],
            undo: false,
        };
        admin.drop_images(round, &drops).unwrap();
        let asked = admin.train(round, &request).unwrap();
        let mut killed = 0;
        // Right after it was acknowledged; among its images; in its training; and once it is there.
        let moments: [fn(&RoundState) -> bool; 4] = [
            |_| true,
            |state| matches!(state, RoundState::Synthesising { done, .. } if *done >= 20),
            |state| matches!(state, RoundState::Training { epoch, .. } if *epoch >= 2),
            |_| false,
        ];
        for moment in moments.iter().filter(|_| kills) {
            let mut on = |status: &TrainingStatus| match moment(&status.state) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            let reached = admin.wait_for_training(round, asked.training, None, &mut on);
            killed += u32::from(reached.is_err());
            process.kill();
            // What is served meanwhile is the one or the other, and whole.
            process = Process::start(folder.path(), address);
            admin.health().unwrap();
            let results = admin.results(round).unwrap();
            let model = admin.training_model(&results).unwrap();
            assert_eq!(ContentHash::of(&model), results.model.hash);
            if results.training == 1 {
                assert_eq!(results, first);
            }
        }
        let mut on = |_: &TrainingStatus| ControlFlow::Continue(());
        admin
            .wait_for_training(round, asked.training, None, &mut on)
            .unwrap();
        let results = admin.results(round).unwrap();
        let images = admin.images(round, &ImagesAsked::default()).unwrap();
        process.kill();
        assert_eq!(killed > 0, kills);
        assert_eq!((results.training, results.dropped), (2, 1));
        assert_eq!(
            (&results.per_class[..], images.total),
            (&[59, 60, 0][..], 180)
        );
        (results.model.hash, images)
    });
    assert_eq!(wholes[0], wholes[1]);
}
