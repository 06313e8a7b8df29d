//! Downloads, from a small server that stands in for the hub.

use super::{failure, golden, images, json, synth};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

/// What the server holds and does.
struct Hub {
    files: BTreeMap<String, Vec<u8>>,
    /// After so many bytes of this file the connection breaks, once.
    cut: Option<(&'static str, usize)>,
    /// Whether the bytes of [`WEIGHTS`] change on the way.
    damages: bool,
    /// (file, range) of every request for contents.
    asked: Vec<(String, String)>,
}

struct Running {
    hub: Arc<Mutex<Hub>>,
    address: String,
}

fn start() -> Running {
    let mut files = BTreeMap::new();
    let root = golden().join("sd15");
    collect(&root, &root, &mut files);
    files.insert("README.md".into(), b"A tiny model.".to_vec());
    files.insert("v1-5.ckpt".into(), vec![0; 1000]);
    let hub = Arc::new(Mutex::new(Hub {
        files,
        cut: None,
        damages: false,
        asked: Vec::new(),
    }));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let shared = Arc::clone(&hub);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || answer(stream.unwrap(), &shared));
        }
    });
    Running { hub, address }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap();
            let name = name.to_str().unwrap().replace('\\', "/");
            files.insert(name, std::fs::read(path).unwrap());
        }
    }
}

/// Answers one request and closes the connection.
fn answer(mut stream: TcpStream, hub: &Mutex<Hub>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut range = String::new();
    for line in lines {
        let line = line.ok()?;
        if let Some(value) = line.to_lowercase().strip_prefix("range: bytes=") {
            range = value.to_owned();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut hub = hub.lock().unwrap();
    let refuse = |stream: &mut TcpStream| {
        let text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(text.as_bytes()).ok()
    };
    let known = [
        "/api/models/owner/tiny/revision/main",
        &format!("/api/models/owner/tiny/revision/{COMMIT}"),
    ]
    .contains(&path.as_str());
    if known {
        let siblings: Vec<Value> = hub
            .files
            .keys()
            .map(|name| serde_json::json!({ "rfilename": name }))
            .collect();
        let body = serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        return stream.write_all((head + &body).as_bytes()).ok();
    }
    let prefix = format!("/owner/tiny/resolve/{COMMIT}/");
    let Some(name) = path.strip_prefix(&prefix).map(str::to_owned) else {
        return refuse(&mut stream);
    };
    let Some(contents) = hub.files.get(&name).cloned() else {
        return refuse(&mut stream);
    };
    let (from, to) = range.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let end = to.parse().map_or(contents.len(), |to: usize| to + 1);
    let mut body = contents[from..end].to_vec();
    let asks_size = (from, end) == (0, 1) && to == "0";
    if !asks_size {
        hub.asked.push((name.clone(), range.clone()));
    }
    let etag = if name.ends_with(".safetensors") {
        sha256(&contents)
    } else {
        format!("{:040x}", contents.len())
    };
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n\
         ETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        body.len(),
        end - 1,
        contents.len()
    );
    if hub.damages && name == WEIGHTS && !asks_size {
        *body.last_mut()? ^= 1;
    }
    if let Some((_, bytes)) = hub.cut.filter(|(file, _)| *file == name && !asks_size) {
        hub.cut = None;
        body.truncate(bytes);
    }
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `synth` of one image with the server's model, in a cache of its own.
fn draw(hub: &Running, folder: &Path, model: &str, out: &str) -> assert_cmd::Command {
    let mut command = synth(folder, model);
    command
        .env("HF_ENDPOINT", &hub.address)
        .env("HF_HOME", folder.join("cache"))
        .args(["--prompt", "a church", "--steps", "2"])
        .args(["--out", out]);
    command
}

fn blobs(folder: &Path) -> Vec<PathBuf> {
    let blobs = folder.join("cache/hub/models--owner--tiny/blobs");
    let entries = std::fs::read_dir(blobs).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_interrupted_download_goes_on_and_the_image_is_that_of_the_folder() {
    let hub = start();
    hub.hub.lock().unwrap().cut = Some((WEIGHTS, 100_000));
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (code, told) = failure(&mut draw(&hub, here, "owner/tiny", "out"));
    assert_eq!(code, 4, "{told}");
    assert!(
        told.contains(WEIGHTS) && told.contains("goes on where it stopped"),
        "{told}"
    );
    let parts: Vec<_> = blobs(here)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "part"))
        .collect();
    assert_eq!(parts.len(), 1);
    assert_eq!(std::fs::metadata(&parts[0]).unwrap().len(), 100_000);

    json(&mut draw(&hub, here, "owner/tiny", "out"));
    let asked = hub.hub.lock().unwrap().asked.clone();
    let of_weights: Vec<&str> = asked
        .iter()
        .filter(|(file, _)| file == WEIGHTS)
        .map(|(_, range)| range.as_str())
        .collect();
    assert_eq!(of_weights, ["0-", "100000-"]);
    let all: Vec<&String> = asked.iter().map(|(file, _)| file).collect();
    assert!(
        !all.iter()
            .any(|file| file.ends_with(".ckpt") || file.ends_with(".md"))
    );
    assert_eq!(all.len(), 13, "every file once, the weights twice: {all:?}");

    let job: Value =
        serde_json::from_slice(&std::fs::read(here.join("out/job.json")).unwrap()).unwrap();
    let origin = &job["engine"]["origin"];
    assert_eq!(origin["model"], "owner/tiny");
    assert_eq!(origin["revision"], COMMIT);
    assert_eq!(origin["files"].as_object().unwrap().len(), 12);

    let local = golden().join("sd15");
    json(&mut draw(&hub, here, local.to_str().unwrap(), "local"));
    // Their records name different models.
    let pixels = |out: &str| {
        let (_, png) = images(&here.join(out)).remove(0);
        image::load_from_memory(&png).unwrap().to_rgb8()
    };
    assert!(pixels("out") == pixels("local"));

    // Again without the hub: by branch and by commit.
    let asked = hub.hub.lock().unwrap().asked.len();
    for model in ["owner/tiny", &format!("owner/tiny@{COMMIT}")] {
        let mut command = draw(&hub, here, model, "out");
        command
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_ENDPOINT", "http://127.0.0.1:9");
        assert_eq!(json(&mut command)["report"]["resumed"], 1);
    }
    // And with it: nothing is downloaded twice.
    json(&mut draw(&hub, here, "owner/tiny", "out"));
    assert_eq!(hub.hub.lock().unwrap().asked.len(), asked);
}

#[test]
fn what_the_hub_does_not_give_is_told() {
    let hub = start();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (code, told) = failure(&mut draw(&hub, here, "owner/absent", "out"));
    assert_eq!(code, 4, "{told}");
    assert!(
        told.contains("owner/absent@main") && told.contains("HF_TOKEN"),
        "{told}"
    );
    let (code, told) = failure(&mut draw(&hub, here, "owner/tiny@nowhere", "out"));
    assert_eq!(code, 4, "{told}");
    let (code, told) = failure(draw(&hub, here, "owner/tiny", "out").env("HF_HUB_OFFLINE", "1"));
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("HF_HUB_OFFLINE is set"), "{told}");
    let (code, told) =
        failure(draw(&hub, here, "owner/tiny", "out").env("HF_ENDPOINT", "http://127.0.0.1:9"));
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("cannot be reached"), "{told}");
    hub.hub.lock().unwrap().files.remove(WEIGHTS);
    let (code, told) = failure(&mut draw(&hub, here, "owner/tiny", "out"));
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("its unet has no safetensors"), "{told}");
    assert!(
        hub.hub.lock().unwrap().asked.is_empty(),
        "it downloaded first"
    );
}

#[test]
fn a_damaged_file_is_not_kept() {
    let hub = start();
    hub.hub.lock().unwrap().damages = true;
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (code, told) = failure(&mut draw(&hub, here, "owner/tiny", "out"));
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("arrived damaged"), "{told}");
    hub.hub.lock().unwrap().damages = false;
    json(&mut draw(&hub, here, "owner/tiny", "out"));
}
