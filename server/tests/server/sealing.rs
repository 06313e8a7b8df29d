//! Sealed prompts: what an eavesdropper, a thief of the database and a thief of a backup find, and what does not open.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use promptfed_client::{AdminClient, FederationClient, Registration, RequestError};
use promptfed_privacy::{SEALED_MAGIC, SealedFor, seal, sealed_bytes};
use promptfed_prompts::protocol::{
    FailureKind, Problem, ProblemCode, RegistrationRequest, RoundId, RoundState, RoundStatus,
    SubmissionAnswer, SubmissionOutcome, WIRE_MEDIA_TYPE,
};
use promptfed_prompts::{
    COUNTS_KEY, Caption, ClassIndex, ContentHash, Domain, Level, PromptSet, TemplateSet,
};
use promptfed_server::{RoundKeys, Server, backup, restore};

use crate::support::{Fixture, class_prompts, config, engines, label_space, round_spec};

fn nothing(_: &RoundStatus) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn register(fixture: &Fixture, name: &str) -> Registration {
    let request = RegistrationRequest {
        name: name.into(),
        replace_token: false,
    };
    fixture.admin.register(&request).unwrap()
}

/// Relays connections to a server and keeps what goes through, either way.
struct Tap {
    url: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    fn on(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tap = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            heard: Arc::default(),
        };
        let heard = Arc::clone(&tap.heard);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(server).unwrap();
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let (up, down) = (Arc::clone(&heard), Arc::clone(&heard));
                thread::spawn(move || pump(client, server, &up));
                thread::spawn(move || pump(back.0, back.1, &down));
            }
        });
        tap
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, heard: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        heard.lock().unwrap().extend_from_slice(&buffer[..n]);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// All files below a folder, by their paths in it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(open) = folders.pop() {
        for entry in std::fs::read_dir(open).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                files.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    files
}

const TEMPLATE: &str = "made with a burnt stick, {a domain} of {a label}: {caption}";

/// A prompt set that tells a caption and a domain.
fn telling() -> PromptSet {
    let templates = TemplateSet::from_toml(&format!(
        "name = \"own\"\n[[templates]]\nlevel = \"instance\"\nany_domain = true\npositive = \"{TEMPLATE}\""
    ))
    .unwrap();
    let mut builder = PromptSet::builder(&label_space(), Level::Instance, &templates);
    let caption = Caption::try_from("a zebra of 1874 in the rain").unwrap();
    let domain = Domain::try_from("charcoal").unwrap();
    builder
        .add(ClassIndex::new(0), Some(domain), Some(caption))
        .unwrap();
    builder.build().unwrap()
}

/// What tells something of [`telling`], or lets a guess of it be tried.
fn telltales(set: &PromptSet) -> Vec<(String, Vec<u8>)> {
    let texts = [
        "a zebra of 1874",
        "in the rain",
        "charcoal",
        "made with a burnt stick",
    ];
    let mut found: Vec<_> = texts
        .map(|text| (text.to_owned(), text.as_bytes().to_vec()))
        .into();
    // Magic, version and the head of the compressed set.
    found.push(("the wire format".into(), set.to_wire()[..16].to_vec()));
    found.push(("the hash".into(), set.hash().as_bytes().to_vec()));
    found.push((
        "the hash's digits".into(),
        set.hash().to_string().into_bytes(),
    ));
    for piece in set.pieces().filter(|piece| piece.key != COUNTS_KEY) {
        found.push((format!("the key of {:?}", piece.kind), piece.key.to_vec()));
    }
    found
}

#[test]
fn neither_socket_nor_database_nor_backup_tells_of_a_prompt() {
    let fixture = Fixture::start();
    let tap = Tap::on(fixture.server.addr());
    let round = fixture.open(&round_spec());
    let registration = register(&fixture, "a");
    let client = FederationClient::of(&tap.url, &registration).unwrap();
    let set = telling();
    let receipt = client.submit(round, &set).unwrap().receipt;
    assert_eq!(receipt.bytes, sealed_bytes(set.to_wire().len()) as u64);
    client.submit(round, &set).unwrap();
    assert_eq!(client.receipt(round).unwrap(), receipt);

    let telltales = telltales(&set);
    assert!(telltales.len() > 9);
    // The search would find them.
    assert!(holds(set.to_json().as_bytes(), &telltales[0].1));
    let heard = tap.heard.lock().unwrap().clone();
    assert!(holds(&heard, &SEALED_MAGIC) && holds(&heard, b"PUT /v1/rounds/1/submission"));
    for (what, bytes) in &telltales {
        assert!(!holds(&heard, bytes), "{what} was heard");
    }

    let folder = fixture.folder.path();
    let space = tempfile::tempdir().unwrap();
    let copy = space.path().join("copy");
    let report = backup(folder, &copy, RoundKeys::LeftOut).unwrap();
    assert_eq!(report.rounds_without_key, [round]);
    let mut seen = Vec::new();
    for place in [folder, &copy] {
        for (name, bytes) in files(place) {
            for (what, wanted) in &telltales {
                assert!(!holds(&bytes, wanted), "{what} is in {}", name.display());
            }
            seen.push(name);
        }
    }
    let count = |name: &str| seen.iter().filter(|file| **file == Path::new(name)).count();
    assert_eq!(count("server.sqlite"), 2);
    assert_eq!(count("server.sqlite-wal"), 1);
    // The key is in the data folder, and not in the backup.
    assert_eq!(count(&format!("keys/{round}.key")), 1);
}

#[test]
fn a_backup_with_keys_goes_on_and_one_without_says_what_is_missing() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let registration = register(&fixture, "a");
    let client = FederationClient::of(&fixture.server.url(), &registration).unwrap();
    client.submit(round, &class_prompts(&[0, 1])).unwrap();
    let token = fixture.server.admin_token().to_owned();
    let space = tempfile::tempdir().unwrap();
    for (keys, missing) in [
        (RoundKeys::Copied, vec![]),
        (RoundKeys::LeftOut, vec![round]),
    ] {
        let copy = space.path().join(format!("copy {keys:?}"));
        let restored = space.path().join(format!("restored {keys:?}"));
        let report = backup(fixture.folder.path(), &copy, keys).unwrap();
        assert_eq!(report.rounds_without_key, missing);
        assert_eq!(restore(&copy, &restored).unwrap(), report);
        let (addr, made) = (([127, 0, 0, 1], 0).into(), Default::default());
        let engines = engines(Default::default(), &made);
        let server = Server::start(config(&restored, addr, engines)).unwrap();
        let admin = AdminClient::new(&server.url(), &token).unwrap();
        let client = FederationClient::of(&server.url(), &registration).unwrap();
        if missing.is_empty() {
            admin.close(round).unwrap();
            admin.wait(round, None, &mut nothing).unwrap();
            continue;
        }
        let error = client.submit(round, &class_prompts(&[2])).unwrap_err();
        let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
        assert_eq!(problem.code, ProblemCode::WrongState);
        assert!(problem.message.contains("lost the key"), "{problem}");
        admin.close(round).unwrap();
        let Err(RequestError::RoundEnded {
            state: RoundState::Failed { reason },
            ..
        }) = admin.wait(round, None, &mut nothing)
        else {
            panic!("a round without its key came to an end")
        };
        assert!(
            reason.contains("1.key") && reason.contains("put the file back"),
            "{reason}"
        );
        let status = admin.status(round).unwrap();
        assert_eq!(status.failure, Some(FailureKind::Transient));
        std::fs::create_dir_all(restored.join("keys")).unwrap();
        let key = PathBuf::from(format!("keys/{round}.key"));
        std::fs::copy(fixture.folder.path().join(&key), restored.join(&key)).unwrap();
        admin.retry(round).unwrap();
        admin.wait(round, None, &mut nothing).unwrap();
    }
}

/// Sends these bytes as a submission.
fn put(
    fixture: &Fixture,
    round: RoundId,
    client: &Registration,
    sent: &[u8],
) -> Result<SubmissionAnswer, Problem> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let url = format!("{}/v1/rounds/{round}/submission", fixture.server.url());
    let mut answer = agent
        .put(&url)
        .header("Authorization", format!("Bearer {}", client.token))
        .header("Content-Type", WIRE_MEDIA_TYPE)
        .send(sent)
        .unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    match answer.status().is_success() {
        true => Ok(serde_json::from_str(&text).unwrap()),
        false => Err(serde_json::from_str(&text).unwrap()),
    }
}

#[test]
fn what_is_not_sealed_for_this_round_by_this_client_is_refused() {
    let fixture = Fixture::start();
    let [round, other] = [(); 2].map(|()| fixture.open(&round_spec()));
    let [a, b] = ["a", "b"].map(|name| register(&fixture, name));
    let session = FederationClient::of(&fixture.server.url(), &a).unwrap();
    let sealing = session.sealing(round).unwrap();
    assert_eq!((sealing.round_id, sealing.client_id), (round, a.client_id));
    let keys = [round, other].map(|round| session.sealing(round).unwrap().key.unwrap());
    assert_ne!(keys[0], keys[1]);
    let owner = SealedFor {
        round,
        client: a.client_id,
    };
    let set = class_prompts(&[0, 1]);
    let wire = set.to_wire();
    let good = seal(&wire, &keys[0], owner).unwrap();
    let refused = |client: &Registration, sent: &[u8]| {
        let problem = put(&fixture, round, client, sent).unwrap_err();
        (problem.status, problem.code)
    };

    let not_opened = (422, ProblemCode::NotOpened);
    assert_eq!(refused(&b, &good), not_opened);
    assert_eq!(
        refused(&a, &seal(&wire, &keys[1], owner).unwrap()),
        not_opened
    );
    let elsewhere = SealedFor {
        round: other,
        ..owner
    };
    assert_eq!(
        refused(&a, &seal(&wire, &keys[0], elsewhere).unwrap()),
        not_opened
    );
    for at in [6, 40, good.len() - 1] {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert_eq!(refused(&a, &changed), not_opened, "{at}");
    }
    let malformed = (400, ProblemCode::Malformed);
    assert_eq!(refused(&a, &wire), malformed);
    assert_eq!(refused(&a, &good[..20]), malformed);
    let mut later = good.clone();
    later[4] = 2;
    assert_eq!(refused(&a, &later), malformed);
    // What is in it is looked at as ever.
    let sealed = |content: &[u8]| seal(content, &keys[0], owner).unwrap();
    assert_eq!(refused(&a, &sealed(b"nonsense")), malformed);
    assert_eq!(refused(&a, &sealed(&[&wire[..], b"x"].concat())), malformed);
    assert_eq!(fixture.admin.status(round).unwrap().submissions, 0);

    let stored = put(&fixture, round, &a, &good).unwrap();
    assert_eq!(stored.outcome, SubmissionOutcome::Stored);
    assert_eq!(stored.receipt.hash, ContentHash::of(&good));
    for again in [good.clone(), sealed(&wire)] {
        let answer = put(&fixture, round, &a, &again).unwrap();
        assert_eq!(answer.outcome, SubmissionOutcome::Duplicate);
        assert_eq!(answer.receipt, stored.receipt);
    }
    let replaced = put(&fixture, round, &a, &sealed(&class_prompts(&[2]).to_wire())).unwrap();
    assert_eq!(replaced.outcome, SubmissionOutcome::Replaced);
}

#[test]
fn a_round_of_before_takes_prompts_as_they_are() {
    let fixture = Fixture::start();
    let round = fixture.open(&round_spec());
    let a = register(&fixture, "a");
    let folder = fixture.stop();
    let database = rusqlite::Connection::open(folder.path().join("server.sqlite")).unwrap();
    database
        .execute("UPDATE rounds SET sealing_key = NULL", [])
        .unwrap();
    drop(database);
    std::fs::remove_dir_all(folder.path().join("keys")).unwrap();
    let fixture = Fixture::start_in(folder, Default::default());
    let client = FederationClient::of(&fixture.server.url(), &a).unwrap();
    assert_eq!(client.sealing(round).unwrap().key, None);
    let set = class_prompts(&[0, 1]);
    let stored = client.submit(round, &set).unwrap();
    assert_eq!(stored.receipt.hash, set.hash());
    assert_eq!(stored.receipt.bytes, set.to_wire().len() as u64);
    let again = client.submit(round, &set).unwrap();
    assert_eq!(again.outcome, SubmissionOutcome::Duplicate);
    let key = client.sealing(fixture.open(&round_spec())).unwrap().key;
    let owner = SealedFor {
        round,
        client: a.client_id,
    };
    let sealed = seal(&set.to_wire(), &key.unwrap(), owner).unwrap();
    let refused = put(&fixture, round, &a, &sealed).unwrap_err();
    assert_eq!(
        (refused.status, refused.code),
        (400, ProblemCode::Malformed)
    );
    fixture.admin.close(round).unwrap();
    client.wait(round, None, &mut nothing).unwrap();
    let results = client.results(round).unwrap();
    assert_eq!(results.prompt_sets[0].hash, set.hash());
}
