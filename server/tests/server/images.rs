//! Engines for other machines, over real sockets: what comes is what the engine makes here, bit for bit, and only for who has the token.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use promptfed_server::{Engines, ImageServer, ImageServerConfig};
use promptfed_synth::engines::ServiceEngine;
use promptfed_synth::engines::pocket::Pocket;
use promptfed_synth::engines::remote::Remote;
use promptfed_synth::job::read_manifest;
use promptfed_synth::service::{ApiKey, Limits, Retry};
use promptfed_synth::{
    Error, Generator, ImageBudget, ImageRequest, ImageSeed, JobSpec, PromptSource, Reproducible,
    Result, Sampler,
};
use serde_json::{Value, json};

use crate::support::{class_prompts, engines, label_space};

const TOKEN: &str = "a-token-for-tests-0123456789";

fn weights() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/pocket/all")
}

pub(crate) fn config(engines: Engines, default_model: &str) -> ImageServerConfig {
    ImageServerConfig {
        addr: ([127, 0, 0, 1], 0).into(),
        engines,
        default_model: default_model.into(),
        token: TOKEN.into(),
        max_images: 4,
        max_waiting: 64,
        tls: None,
        allow_plain_http: false,
        limits: promptfed_server::Limits::default(),
    }
}

fn start() -> ImageServer {
    ImageServer::start(config(Engines::new().with_pocket(weights()), "pocket")).unwrap()
}

/// Engine `noise` alone, which takes `pause` for an image.
pub(crate) fn noise(pause: Duration, made: &Arc<AtomicU64>) -> Engines {
    let all = engines(pause, made);
    let load = move || all.load("noise", &Arc::new(AtomicBool::new(false)));
    Engines::new().with("noise", load)
}

fn key(text: &str) -> ApiKey {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, text).unwrap();
    ApiKey::from_file(&file).unwrap()
}

fn engine<'a>(url: &'a str, token: &str) -> ServiceEngine<'a> {
    ServiceEngine {
        name: "far",
        address: url,
        model: None,
        key: Some(key(token)),
        limits: Limits {
            retry: Retry {
                attempts: 2,
                first_pause: Duration::from_millis(5),
                longest_pause: Duration::from_secs(2),
            },
            ..Limits::default()
        },
        size: None,
        ask_size: None,
    }
}

fn connect(url: &str, token: &str) -> Result<Remote> {
    Remote::connect(engine(url, token), None, &Arc::new(AtomicBool::new(false)))
}

fn post(url: &str, body: &Value) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent
        .post(format!("{url}/images/generations"))
        .header("authorization", format!("Bearer {TOKEN}"))
        .send_json(body)
        .unwrap();
    let body = response.body_mut().read_to_string().unwrap();
    (
        response.status().as_u16(),
        serde_json::from_str(&body).unwrap(),
    )
}

fn requests(engine: &dyn Generator) -> Vec<ImageRequest> {
    let mut requests = Vec::new();
    for (i, sampler) in Sampler::FLOW.iter().enumerate() {
        requests.push(ImageRequest {
            negative: "low quality".into(),
            steps: 3 + i as u32,
            guidance: 1.0 + i as f32,
            sampler: *sampler,
            ..ImageRequest::with_defaults(
                "a photo of a church",
                ImageSeed::from_u64(i as u64),
                engine.describe(),
            )
        });
    }
    requests
}

#[test]
fn another_machine_s_images_are_this_one_s_bit_for_bit() {
    let server = start();
    let mut near = Pocket::load(&weights()).unwrap();
    let mut far = connect(&server.url(), TOKEN).unwrap();
    let (own, told) = (near.describe().clone(), far.describe().clone());
    assert_eq!(told.weights_hash, own.weights_hash);
    assert_eq!(told.reproducible, Reproducible::Exact);
    assert_eq!(
        (told.defaults, &told.samplers),
        (own.defaults, &own.samplers)
    );
    assert_eq!(told.settings["engine"], format!("pocket {}", own.version));
    let requests = requests(&near);
    let (here, there) = (
        near.generate(&requests).unwrap(),
        far.generate(&requests).unwrap(),
    );
    assert_eq!(there.len(), requests.len());
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(here.to_rgb8(), there.to_rgb8());
    }
    let wrong = ImageRequest {
        sampler: Sampler::Ddim,
        ..requests[0].clone()
    };
    assert!(far.fault(&wrong).unwrap().contains("euler"));
}

fn job(engine: &dyn Generator, per_prompt: u32) -> JobSpec {
    let source = PromptSource::Set {
        prompts: class_prompts(&[0, 1, 2]),
        label_space: label_space(),
    };
    let retry = Retry {
        attempts: 2,
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(20),
    };
    JobSpec {
        images: ImageBudget::PerPrompt(per_prompt),
        batch: 5,
        retry,
        ..JobSpec::new(source, &engine.describe().defaults)
    }
}

fn run(
    engine: &mut dyn Generator,
    spec: &JobSpec,
    out: &Path,
) -> Result<promptfed_synth::JobReport> {
    promptfed_synth::run(engine, spec, out, &mut |_| {}, &AtomicBool::new(false))
}

fn hashes(out: &Path) -> Vec<String> {
    let rows = read_manifest(out).unwrap();
    rows.map(|row| row.unwrap().pixel_hash.unwrap().to_string())
        .collect()
}

#[test]
fn a_job_whose_server_dies_goes_on_with_the_next_one() {
    let made = Arc::new(AtomicU64::new(0));
    let folder = tempfile::tempdir().unwrap();
    let (near, far) = (folder.path().join("near"), folder.path().join("far"));
    let mut own = noise(Duration::ZERO, &made)
        .load("noise", &Arc::new(AtomicBool::new(false)))
        .unwrap();
    let spec = job(&*own, 8);
    run(&mut *own, &spec, &near).unwrap();

    let server =
        ImageServer::start(config(noise(Duration::from_millis(10), &made), "noise")).unwrap();
    let mut remote = connect(&server.url(), TOKEN).unwrap();
    made.store(0, Ordering::SeqCst);
    let counted = Arc::clone(&made);
    let killer = std::thread::spawn(move || {
        while counted.load(Ordering::SeqCst) < 9 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(server);
    });
    let error = run(&mut remote, &spec, &far).unwrap_err();
    killer.join().unwrap();
    assert!(
        matches!(
            error,
            Error::Backend {
                transient: true,
                ..
            }
        ),
        "{error:?}"
    );
    let before = hashes(&far).len();
    assert!((5..24).contains(&before), "{before}");

    let server = ImageServer::start(config(noise(Duration::ZERO, &made), "noise")).unwrap();
    let mut remote = connect(&server.url(), TOKEN).unwrap();
    let report = run(&mut remote, &spec, &far).unwrap();
    assert_eq!((report.resumed, report.accepted), (before as u64, 24));
    assert_eq!(hashes(&far), hashes(&near));
}

#[test]
fn a_server_with_other_weights_is_found_out_in_the_middle_of_a_run() {
    let server = start();
    let mut far = connect(&server.url(), TOKEN).unwrap();
    let addr: SocketAddr = server.url()["http://".len()..]
        .trim_end_matches("/v1")
        .parse()
        .unwrap();
    drop(server);
    let draw = weights().with_file_name("draw");
    let other = ImageServerConfig {
        addr,
        ..config(Engines::new().with_pocket(draw), "pocket")
    };
    let _other = ImageServer::start(other).unwrap();
    let requests = requests(&far);
    let told = far.generate(&requests).unwrap_err().to_string();
    assert!(told.contains("other weights"), "{told}");
}

#[test]
fn only_who_has_the_token_is_served() {
    let server = start();
    let error = connect(&server.url(), "another-token-for-tests").unwrap_err();
    let told = error.to_string();
    assert!(matches!(
        error,
        Error::Backend {
            transient: false,
            ..
        }
    ));
    assert!(told.contains("401") && told.contains("token"), "{told}");
    assert!(!told.contains("another-token"), "{told}");
    for header in [
        "",
        "authorization: Basic YTpi\r\n",
        "authorization: Bearer \r\n",
    ] {
        for line in [
            "GET /v1/models",
            "GET /v1/models/pocket",
            "POST /v1/images/generations",
        ] {
            let status = raw(
                &server,
                &format!(
                    "{line} HTTP/1.1\r\nhost: x\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n"
                ),
            );
            assert_eq!(status, 401, "{line} {header}");
        }
    }
    assert_eq!(
        raw(
            &server,
            "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        ),
        200
    );
    let weak = ImageServerConfig {
        token: "short".into(),
        ..config(Engines::new().with_pocket(weights()), "pocket")
    };
    assert!(ImageServer::start(weak).is_err());
}

fn raw(server: &ImageServer, request: &str) -> u16 {
    let url = server.url();
    let address = url["http://".len()..].trim_end_matches("/v1");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn bad_requests_are_refused_with_what_is_wrong() {
    let server = start();
    for (body, status, part) in [
        (json!({}), 400, "prompt"),
        (json!({ "prompt": " " }), 400, "empty"),
        (json!({ "prompt": "x", "quality": "hd" }), 400, "quality"),
        (json!({ "prompt": "x", "n": 0 }), 400, "1 to 4"),
        (json!({ "prompt": "x", "n": 5 }), 400, "1 to 4"),
        (json!({ "prompt": "x", "n": -1 }), 400, "n"),
        (json!({ "prompt": "x", "size": "1024x1024" }), 400, "32x32"),
        (
            json!({ "prompt": "x", "response_format": "url" }),
            400,
            "b64_json",
        ),
        (json!({ "prompt": "x", "model": "dall-e-2" }), 404, "pocket"),
        (json!({ "prompt": "x", "steps": 0 }), 400, "1 to 1000"),
        (
            json!({ "prompt": "x", "guidance_scale": 99 }),
            400,
            "guidance_scale",
        ),
        (json!({ "prompt": "x", "sampler": "ddim" }), 400, "euler"),
        (json!({ "prompt": "x", "sampler": "magic" }), 400, "magic"),
        (json!({ "prompt": "x", "seed": "abc" }), 400, "seed"),
        (json!({ "prompt": "x".repeat(40_000) }), 400, "32000"),
        (json!({ "prompt": "x".repeat(300_000) }), 413, "larger"),
    ] {
        let (got, answer) = post(&server.url(), &body);
        let told = answer["error"]["message"].as_str().unwrap();
        assert_eq!(got, status, "{told}");
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn several_images_have_seeds_that_make_them_again() {
    let server = start();
    let asked =
        json!({ "prompt": "a church", "n": 3, "size": "32x32", "seed": 5, "user": "someone" });
    let (status, answer) = post(&server.url(), &asked);
    assert_eq!(status, 200);
    let images = answer["data"].as_array().unwrap();
    assert_eq!(images.len(), 3);
    assert_ne!(images[0]["b64_json"], images[1]["b64_json"]);
    let (_, again) = post(
        &server.url(),
        &json!({ "prompt": "a church", "seed": images[2]["seed"] }),
    );
    assert_eq!(again["data"][0]["b64_json"], images[2]["b64_json"]);
    let (_, first) = post(&server.url(), &json!({ "prompt": "a church", "seed": 5 }));
    assert_eq!(first["data"][0]["b64_json"], images[0]["b64_json"]);
    let unseeded =
        || post(&server.url(), &json!({ "prompt": "a church" })).1["data"][0]["seed"].clone();
    assert_ne!(unseeded(), unseeded());
}

#[test]
fn who_asks_for_too_much_at_once_is_told_to_come_again() {
    let made = Arc::new(AtomicU64::new(0));
    let config = ImageServerConfig {
        max_waiting: 2,
        ..config(noise(Duration::from_millis(300), &made), "noise")
    };
    let server = ImageServer::start(config).unwrap();
    let url = server.url();
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let ask = || post(&url, &json!({ "prompt": "x", "n": 2 })).0;
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        answers.contains(&200) && answers.contains(&429),
        "{answers:?}"
    );
}

#[test]
fn an_engine_that_panics_fails_its_request_alone() {
    struct Fragile(Pocket);
    impl Generator for Fragile {
        fn describe(&self) -> &promptfed_synth::EngineInfo {
            self.0.describe()
        }
        fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<promptfed_synth::Image>> {
            assert!(requests.iter().all(|request| request.prompt != "boom"));
            self.0.generate(requests)
        }
    }
    let engines = Engines::new().with("fragile", || {
        Ok(Box::new(Fragile(Pocket::load(&weights())?)))
    });
    let server = ImageServer::start(config(engines, "fragile")).unwrap();
    assert_eq!(post(&server.url(), &json!({ "prompt": "boom" })).0, 500);
    assert_eq!(post(&server.url(), &json!({ "prompt": "a church" })).0, 200);
}
