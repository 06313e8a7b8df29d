//! Image servers of others over real sockets: what they are told, what is made of their answers, and what of their failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use promptfed_prompts::ContentHash;
use promptfed_synth::engines::ServiceEngine;
use promptfed_synth::engines::a1111::A1111;
use promptfed_synth::engines::remote::{Remote, Told};
use promptfed_synth::job::read_manifest;
use promptfed_synth::service::{Limits, Retry};
use promptfed_synth::{
    Error, Generator, Image, ImageRequest, ImageSeed, JobSpec, OutputFormat, Reproducible, Result,
    Sampler, open_images,
};
use serde_json::{Value, json};

use crate::fixtures::{prompts, rows, run_quietly};
use crate::http_server::{Asked, Reply, Server};

fn limits() -> Limits {
    Limits {
        whole: Duration::from_secs(10),
        retry: Retry {
            attempts: 2,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(5),
        },
        ..Limits::default()
    }
}

fn engine(server: &Server) -> ServiceEngine<'static> {
    ServiceEngine {
        name: "far",
        address: Box::leak(format!("{}/v1", server.url()).into_boxed_str()),
        model: None,
        key: None,
        limits: limits(),
        size: Some(16),
        ask_size: Some(32),
    }
}

fn connect(server: &Server, tell: Option<Vec<Told>>) -> Result<Remote> {
    Remote::connect(engine(server), tell, &Arc::new(AtomicBool::new(false)))
}

/// A 32 x 24 picture that depends on what was asked.
fn picture(asked: &Asked) -> Vec<u8> {
    let hash = ContentHash::of(&asked.body);
    let values = (0..32 * 24 * 3).map(|i| f32::from(hash.as_bytes()[i % 31]) / 127.5 - 1.0);
    Image::rectangle(24, 32, values.collect())
        .unwrap()
        .to_png()
        .unwrap()
}

fn answer(png: &[u8]) -> Reply {
    Reply::json(&json!({ "created": 1, "data": [{ "b64_json": STANDARD.encode(png) }] }))
}

/// A server without a list of models, as many are.
fn plain(asked: &Asked) -> Reply {
    match asked.path.as_str() {
        "/v1/images/generations" => answer(&picture(asked)),
        _ => Reply::status(404, "not found"),
    }
}

fn request(engine: &dyn Generator, prompt: &str, seed: u64) -> ImageRequest {
    ImageRequest::with_defaults(prompt, ImageSeed::from_u64(seed), engine.describe())
}

fn generations(server: &Server) -> Vec<Value> {
    let asked = server.asked().into_iter();
    asked
        .filter(|a| a.method == "POST")
        .map(|a| a.json())
        .collect()
}

#[test]
fn a_server_is_told_what_it_takes_and_its_pictures_become_images() {
    let server = Server::start(plain);
    let mut remote = connect(&server, None).unwrap();
    let info = remote.describe().clone();
    assert_eq!((info.name.as_str(), info.image_size), ("remote", 16));
    assert_eq!(info.reproducible, Reproducible::No);
    assert_eq!(info.settings["told"], "size response-format");
    assert_eq!(info.settings["ask_size"], "32x32");
    assert!(!remote.takes_negatives());
    assert!(remote.reads_weights());
    let requests = [
        request(&remote, "a church", 1),
        request(&remote, "a ship", 2),
    ];
    let images = remote.generate(&requests).unwrap();
    assert!(images.iter().all(|i| (i.height(), i.width()) == (16, 16)));
    assert_ne!(images[0], images[1]);
    let mut told = generations(&server);
    told.sort_by_key(|told| told["prompt"].to_string());
    assert_eq!(
        told[0],
        json!({ "prompt": "a church", "n": 1, "size": "32x32", "response_format": "b64_json" })
    );
    for (change, flag) in [
        (
            ImageRequest {
                steps: 7,
                ..requests[0].clone()
            },
            "--steps",
        ),
        (
            ImageRequest {
                guidance: 3.0,
                ..requests[0].clone()
            },
            "--guidance",
        ),
        (
            ImageRequest {
                sampler: Sampler::Euler,
                ..requests[0].clone()
            },
            "no sampler euler",
        ),
    ] {
        let fault = remote.fault(&change).unwrap();
        assert!(fault.contains(flag), "{fault}");
    }

    let all = [
        Told::Seed,
        Told::NegativePrompt,
        Told::Steps,
        Told::Guidance,
    ];
    let mut remote = connect(&server, Some(all.to_vec())).unwrap();
    assert_eq!(remote.describe().reproducible, Reproducible::Seeded);
    assert!(remote.takes_negatives());
    let asked = ImageRequest {
        negative: "blurry".into(),
        steps: 9,
        guidance: 2.5,
        ..request(&remote, "a fox", 3)
    };
    remote.generate(std::slice::from_ref(&asked)).unwrap();
    let told = generations(&server).pop().unwrap();
    let seed = told["seed"].as_u64().unwrap();
    assert!(seed < 1 << 31);
    assert_eq!(
        told,
        json!({ "prompt": "a fox", "n": 1, "seed": seed, "negative_prompt": "blurry", "steps": 9, "guidance_scale": 2.5 })
    );
}

#[test]
fn models_are_chosen_by_name() {
    let with = |names: &'static [&'static str]| {
        Server::start(move |asked| match asked.path.as_str() {
            "/v1/models" => {
                let data: Vec<Value> = names.iter().map(|id| json!({ "id": id })).collect();
                Reply::json(&json!({ "object": "list", "data": data }))
            }
            _ => plain(asked),
        })
    };
    let one = with(&["gpt-image-1"]);
    let mut remote = connect(&one, None).unwrap();
    let asked = request(&remote, "a dog", 0);
    remote.generate(&[asked]).unwrap();
    assert_eq!(
        generations(&one)[0],
        json!({ "model": "gpt-image-1", "prompt": "a dog", "n": 1, "size": "32x32" })
    );
    let two = with(&["a", "b"]);
    let told = connect(&two, None).unwrap_err().to_string();
    assert!(told.contains("a, b") && told.contains("#MODEL"), "{told}");
    let chosen = ServiceEngine {
        model: Some("b"),
        ..engine(&two)
    };
    let remote = Remote::connect(chosen, None, &Arc::new(AtomicBool::new(false))).unwrap();
    assert_eq!(remote.describe().settings["model"], "b");
}

#[test]
fn pictures_behind_addresses_are_fetched() {
    let url = Arc::new(std::sync::Mutex::new(String::new()));
    let own = Arc::clone(&url);
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/v1/images/generations" => {
            Reply::json(&json!({ "data": [{ "url": format!("{}/p?sig=1", own.lock().unwrap()) }] }))
        }
        "/p?sig=1" => Reply::status(200, picture(asked)),
        _ => Reply::status(404, ""),
    });
    *url.lock().unwrap() = server.url().to_owned();
    let mut remote = connect(&server, None).unwrap();
    let asked = request(&remote, "a cat", 0);
    assert_eq!(remote.generate(&[asked]).unwrap()[0].height(), 16);
}

#[test]
fn answers_that_hold_no_picture_are_the_backend_s_fault() {
    let png = Image::new(8, vec![0.1; 192]).unwrap().to_png().unwrap();
    let cut = STANDARD.encode(&png[..png.len() - 30]);
    for (body, part) in [
        (json!({ "data": [] }), "gave 0 images where 1"),
        (
            json!({ "data": [{ "b64_json": "x" }, { "b64_json": "y" }] }),
            "gave 2 images where 1",
        ),
        (json!({ "data": [{}] }), "neither b64_json nor url"),
        (json!({ "data": [{ "b64_json": "<html>" }] }), "not base64"),
        (json!({ "data": [{ "b64_json": cut }] }), "no picture"),
        (
            json!({ "data": [{ "url": "file:///etc/passwd" }] }),
            "not http or https",
        ),
        (
            json!({ "error": { "message": "boom" } }),
            "not what was asked for",
        ),
    ] {
        let server = Server::start(move |asked| match asked.method.as_str() {
            "POST" => Reply::json(&body),
            _ => Reply::status(404, ""),
        });
        let mut remote = connect(&server, None).unwrap();
        let asked = request(&remote, "x", 0);
        let error = remote.generate(&[asked]).unwrap_err();
        let told = error.to_string();
        assert!(told.contains(part), "{told}");
        assert!(
            matches!(error, Error::Backend { ref engine, transient: false, .. } if engine == "far"),
            "{error:?}"
        );
    }
}

#[test]
fn what_came_of_a_failed_batch_is_not_asked_for_again() {
    let failing = Arc::new(AtomicBool::new(true));
    let fails = Arc::clone(&failing);
    let server = Server::start(move |asked| {
        let is_third = asked.method == "POST" && asked.json()["prompt"] == "image 3";
        if is_third && fails.load(Ordering::Relaxed) {
            return Reply::status(503, "busy");
        }
        plain(asked)
    });
    let mut remote = connect(&server, None).unwrap();
    let requests: Vec<_> = (0..4)
        .map(|i| request(&remote, &format!("image {i}"), i))
        .collect();
    let error = remote.generate(&requests).unwrap_err();
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
    failing.store(false, Ordering::Relaxed);
    let images = remote.generate(&requests).unwrap();
    assert_eq!(images.len(), 4);
    let of = |prompt: &str| {
        generations(&server)
            .iter()
            .filter(|g| g["prompt"] == prompt)
            .count()
    };
    assert_eq!([of("image 0"), of("image 1"), of("image 2")], [1; 3]);
    assert_eq!(
        of("image 3"),
        3,
        "two tries that failed and one that did not"
    );
}

fn job(remote: &Remote) -> JobSpec {
    JobSpec {
        retry: limits().retry,
        batch: 8,
        ..JobSpec::new(prompts(), &remote.describe().defaults)
    }
}

/// An engine that asks for one image at a time.
fn one_by_one(server: &Server) -> ServiceEngine<'static> {
    ServiceEngine {
        limits: Limits {
            concurrent: 1,
            ..limits()
        },
        ..engine(server)
    }
}

#[test]
fn a_server_without_a_named_model_is_known_by_its_address() {
    let (one, other) = (Server::start(plain), Server::start(plain));
    let folder = tempfile::tempdir().unwrap();
    let mut remote = connect(&one, None).unwrap();
    let part = JobSpec {
        limit: Some(2),
        ..job(&remote)
    };
    run_quietly(&mut remote, &part, folder.path()).unwrap();
    let error = run_quietly(&mut connect(&other, None).unwrap(), &part, folder.path());
    assert!(
        matches!(error, Err(Error::DifferentJob { .. })),
        "{error:?}"
    );
    run_quietly(&mut connect(&one, None).unwrap(), &part, folder.path()).unwrap();
}

#[test]
fn a_server_of_this_program_says_what_it_made() {
    let own = |size: [u32; 2], made: Value| {
        Server::start(move |asked| match asked.path.as_str() {
            "/v1/models" => {
                let engine = json!({
                    "name": "pocket", "version": "1", "weights_hash": ContentHash::of(b"w"), "image_size": size[0],
                    "defaults": { "steps": 1, "guidance": 2.0, "sampler": "euler" }, "samplers": ["euler"], "reproducible": "exact",
                });
                let about = json!({ "engine": engine, "size": size, "takes_negatives": false });
                Reply::json(&json!({ "data": [{ "id": "pocket", "promptfed": about }] }))
            }
            _ => {
                let mut answer = made.clone();
                answer["data"][0]["b64_json"] = json!(STANDARD.encode(picture(asked)));
                if answer["data"][0]["seed"] == "told" {
                    answer["data"][0]["seed"] = asked.json()["seed"].clone();
                }
                Reply::json(&answer)
            }
        })
    };
    let ask = |server: &Server| {
        let engine = ServiceEngine {
            ask_size: None,
            ..engine(server)
        };
        let mut remote = Remote::connect(engine, None, &Arc::new(AtomicBool::new(false)))?;
        let asked = request(&remote, "a cat", 4);
        remote.generate(&[asked]).map(|images| images.len())
    };
    let by = |weights: &[u8]| json!({ "version": "1", "weights_hash": ContentHash::of(weights) });
    let right = json!({ "data": [{ "seed": "told" }], "promptfed": by(b"w") });
    assert_eq!(ask(&own([32, 32], right.clone())).unwrap(), 1);
    for (size, made, part) in [
        (
            [32, 32],
            json!({ "data": [{ "seed": "told" }] }),
            "other weights",
        ),
        (
            [32, 32],
            json!({ "data": [{ "seed": "told" }], "promptfed": by(b"x") }),
            "other weights",
        ),
        (
            [32, 32],
            json!({ "data": [{}], "promptfed": by(b"w") }),
            "another seed",
        ),
        ([4_000_000, 32], right.clone(), "32 x 4000000 pixels"),
        ([32, 0], right, "0 x 32 pixels"),
    ] {
        let told = ask(&own(size, made)).unwrap_err().to_string();
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn what_is_made_again_is_no_copy_of_another() {
    let (posts, copies) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let left = Arc::clone(&copies);
    let server = Server::start(move |asked| match asked.method.as_str() {
        "POST" => {
            let take = |n: usize| n.checked_sub(1);
            let is_copy = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
            let number = posts.fetch_add(1, Ordering::SeqCst);
            let shown = if is_copy.is_ok() { 0 } else { number };
            answer(&picture(&Asked {
                body: shown.to_string().into_bytes(),
                ..asked.clone()
            }))
        }
        _ => Reply::status(404, ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let cancel = Arc::new(AtomicBool::new(false));
    let mut remote = Remote::connect(one_by_one(&server), None, &cancel).unwrap();
    let spec = job(&remote);
    run_quietly(&mut remote, &spec, folder.path()).unwrap();
    let first = rows(folder.path());
    let lose = || {
        std::fs::remove_file(folder.path().join(first[3].file.as_ref().unwrap())).unwrap();
    };
    lose();
    copies.store(1, Ordering::SeqCst);
    let report = run_quietly(&mut remote, &spec, folder.path()).unwrap();
    assert_eq!((report.mended, report.changed), (1, 1));
    let hash = rows(folder.path())[3].pixel_hash;
    assert!(first.iter().all(|row| row.pixel_hash != hash));
    lose();
    copies.store(usize::MAX, Ordering::SeqCst);
    let error = run_quietly(&mut remote, &spec, folder.path()).unwrap_err();
    assert!(error.to_string().contains("a copy of another"), "{error}");
}

#[test]
fn a_job_outlives_a_busy_server_and_is_resumed_after_a_dead_one() {
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&posts);
    let dead = Arc::new(AtomicBool::new(false));
    let is_dead = Arc::clone(&dead);
    let server = Server::start(move |asked| {
        if asked.method != "POST" {
            return Reply::status(404, "");
        }
        let n = counted.fetch_add(1, Ordering::SeqCst);
        // One at a time, with every second try of an image answered, the first batch of 8 takes 12.
        if n == 12 {
            is_dead.store(true, Ordering::SeqCst);
        }
        match n % 3 {
            _ if is_dead.load(Ordering::SeqCst) => Reply::Closed,
            1 => Reply::status(500, "oops"),
            _ => plain(asked),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let one_at_a_time = |server: &Server| {
        let engine = ServiceEngine {
            model: Some("m"),
            ..one_by_one(server)
        };
        let cancel = Arc::new(AtomicBool::new(false));
        Remote::connect(engine, Some(vec![Told::Seed]), &cancel).unwrap()
    };
    let mut remote = one_at_a_time(&server);
    let spec = job(&remote);
    let error = run_quietly(&mut remote, &spec, folder.path()).unwrap_err();
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
    let before = read_manifest(folder.path()).map_or(0, Iterator::count);
    assert_eq!(before, 8);

    let whole = Server::start(plain);
    let mut remote = one_at_a_time(&whole);
    let report = run_quietly(&mut remote, &spec, folder.path()).unwrap();
    assert_eq!(report.resumed, before as u64);
    assert_eq!(report.accepted, report.planned);
    assert!(report.planned > 8);
}

#[test]
fn lost_images_of_a_server_that_is_not_reproducible_are_made_again_and_told() {
    let server = Server::start(|asked| match asked.method.as_str() {
        // Another picture at every request.
        "POST" => {
            let number = asked.number.to_string().into_bytes();
            answer(&picture(&Asked {
                body: number,
                ..asked.clone()
            }))
        }
        _ => Reply::status(404, ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let mut remote = connect(&server, None).unwrap();
    let spec = job(&remote);
    run_quietly(&mut remote, &spec, folder.path()).unwrap();
    let first = rows(folder.path());
    let lost = folder.path().join(first[3].file.as_ref().unwrap());
    std::fs::remove_file(lost).unwrap();
    let report = run_quietly(&mut remote, &spec, folder.path()).unwrap();
    assert_eq!((report.mended, report.changed), (1, 1));
    let second = rows(folder.path());
    assert!(second[3].remade && second[3].pixel_hash != first[3].pixel_hash);
    assert_eq!(first.len(), second.len());
    assert!((0..first.len()).all(|i| i == 3 || first[i] == second[i]));
    let report = run_quietly(&mut remote, &spec, folder.path()).unwrap();
    assert_eq!((report.mended, report.changed), (0, 0));
}

#[test]
fn a_lost_shard_of_a_server_that_is_not_reproducible_is_made_again_with_other_pixels() {
    let server = Server::start(|asked| match asked.method.as_str() {
        "POST" => {
            let number = asked.number.to_string().into_bytes();
            answer(&picture(&Asked {
                body: number,
                ..asked.clone()
            }))
        }
        _ => Reply::status(404, ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let mut remote = connect(&server, None).unwrap();
    let spec = JobSpec {
        output: OutputFormat::Parquet,
        ..job(&remote)
    };
    let done = run_quietly(&mut remote, &spec, folder.path()).unwrap();
    let first = rows(folder.path());
    std::fs::remove_file(folder.path().join(first[0].file.as_ref().unwrap())).unwrap();
    let report = run_quietly(&mut remote, &spec, folder.path()).unwrap();
    assert_eq!(
        (report.mended, report.changed),
        (done.accepted, done.accepted)
    );
    let second = rows(folder.path());
    assert!(second.iter().all(|row| row.remade));
    assert_eq!(
        open_images(folder.path()).unwrap().len() as u64,
        done.accepted
    );
    let report = run_quietly(&mut remote, &spec, folder.path()).unwrap();
    assert_eq!((report.mended, report.changed), (0, 0));
}

#[test]
fn a_cancelled_job_ends_while_its_server_works() {
    let server = Server::start(|asked| match asked.method.as_str() {
        "POST" => Reply::Late(Duration::from_secs(5), 200, Vec::new()),
        _ => Reply::status(404, ""),
    });
    let cancel = Arc::new(AtomicBool::new(false));
    let mut remote = Remote::connect(engine(&server), None, &cancel).unwrap();
    let spec = job(&remote);
    let later = Arc::clone(&cancel);
    let start = std::time::Instant::now();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        later.store(true, Ordering::Relaxed);
    });
    let folder = tempfile::tempdir().unwrap();
    let report =
        promptfed_synth::run(&mut remote, &spec, folder.path(), &mut |_| {}, &cancel).unwrap();
    assert!(report.cancelled && report.done == 0);
    assert!(start.elapsed() < Duration::from_secs(4));
}

/// A server of AUTOMATIC1111's kind.
fn web_ui(asked: &Asked) -> Reply {
    match asked.path.as_str() {
        "/sdapi/v1/sd-models" => Reply::json(&json!([
            { "title": "v1-5.safetensors [6ce0161689]", "model_name": "v1-5", "hash": "6ce0161689", "sha256": "6ce0161689b3" },
            { "title": "other.ckpt", "model_name": "other", "hash": null, "sha256": null },
        ])),
        "/sdapi/v1/options" => Reply::json(
            &json!({ "sd_model_checkpoint": "v1-5.safetensors [6ce0161689]", "other": 3 }),
        ),
        "/sdapi/v1/samplers" => {
            let names = ["DPM++ 2M", "Euler a", "Euler", "Restart"];
            let entries: Vec<Value> = names
                .iter()
                .map(|name| json!({ "name": name, "aliases": [] }))
                .collect();
            Reply::json(&json!(entries))
        }
        "/sdapi/v1/txt2img" => {
            let info = json!({ "seed": asked.json()["seed"], "sd_model_hash": "6ce0161689" });
            let image = STANDARD.encode(picture(asked));
            Reply::json(&json!({ "images": [image], "parameters": {}, "info": info.to_string() }))
        }
        _ => Reply::status(404, ""),
    }
}

fn web_ui_engine(server: &Server) -> ServiceEngine<'static> {
    ServiceEngine {
        address: Box::leak(server.url().to_owned().into_boxed_str()),
        ..engine(server)
    }
}

#[test]
fn a_web_ui_is_asked_in_its_own_words() {
    let server = Server::start(web_ui);
    let cancel = Arc::new(AtomicBool::new(false));
    let mut ui = A1111::connect(web_ui_engine(&server), &cancel).unwrap();
    let info = ui.describe().clone();
    assert_eq!(info.settings["model"], "v1-5.safetensors [6ce0161689]");
    assert_eq!(info.reproducible, Reproducible::Seeded);
    assert_eq!(
        info.samplers,
        [
            Sampler::EulerAncestral,
            Sampler::Euler,
            Sampler::DpmPlusPlus2m,
            Sampler::DpmPlusPlus2mKarras
        ]
    );
    let asked = ImageRequest {
        negative: "blurry".into(),
        sampler: Sampler::DpmPlusPlus2mKarras,
        ..request(&ui, "a church", 5)
    };
    let images = ui.generate(std::slice::from_ref(&asked)).unwrap();
    assert_eq!((images[0].height(), images[0].width()), (16, 16));
    let told = generations(&server).pop().unwrap();
    for (field, value) in [
        ("prompt", json!("a church")),
        ("negative_prompt", json!("blurry")),
        ("steps", json!(20)),
        ("cfg_scale", json!(7.0)),
        ("width", json!(32)),
        ("sampler_name", json!("DPM++ 2M")),
        ("scheduler", json!("Karras")),
        (
            "override_settings",
            json!({ "sd_model_checkpoint": "v1-5.safetensors [6ce0161689]" }),
        ),
    ] {
        assert_eq!(told[field], value, "{field}");
    }
    let heun = ImageRequest {
        sampler: Sampler::Heun,
        ..asked
    };
    assert!(ui.fault(&heun).unwrap().contains("euler-ancestral"));

    let missing = ServiceEngine {
        model: Some("none"),
        ..web_ui_engine(&server)
    };
    let told = A1111::connect(missing, &cancel).unwrap_err().to_string();
    assert!(told.contains("other.ckpt"), "{told}");
}

#[test]
fn a_checkpoint_that_was_never_loaded_is_loaded_first() {
    let loaded = AtomicBool::new(false);
    let server = Server::start(
        move |asked| match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/sdapi/v1/options") => {
                assert_eq!(asked.json(), json!({ "sd_model_checkpoint": "other.ckpt" }));
                loaded.store(true, Ordering::SeqCst);
                Reply::json(&Value::Null)
            }
            ("GET", "/sdapi/v1/sd-models") if loaded.load(Ordering::SeqCst) => {
                Reply::json(&json!([
                    { "title": "other.ckpt [abcdef0123]", "model_name": "other", "hash": "abcdef0123", "sha256": "abcdef012345" },
                ]))
            }
            _ => web_ui(asked),
        },
    );
    let cancel = Arc::new(AtomicBool::new(false));
    let of = |model| ServiceEngine {
        model: Some(model),
        ..web_ui_engine(&server)
    };
    let first = A1111::connect(of("other.ckpt"), &cancel).unwrap();
    let second = A1111::connect(of("other"), &cancel).unwrap();
    assert_eq!(
        first.describe().settings["model"],
        "other.ckpt [abcdef0123]"
    );
    assert_eq!(first.describe(), second.describe());
}

#[test]
fn a_web_ui_that_makes_something_else_is_found_out() {
    let cancel = Arc::new(AtomicBool::new(false));
    for (info, part) in [
        (json!({ "seed": 7 }), "another seed"),
        (
            json!({ "sd_model_hash": "0000000000" }),
            "another checkpoint",
        ),
    ] {
        let server = Server::start(move |asked| match asked.path.as_str() {
            "/sdapi/v1/txt2img" => {
                let image = STANDARD.encode(picture(asked));
                Reply::json(&json!({ "images": [image], "info": info.to_string() }))
            }
            _ => web_ui(asked),
        });
        let mut ui = A1111::connect(web_ui_engine(&server), &cancel).unwrap();
        let asked = request(&ui, "x", 0);
        let told = ui.generate(&[asked]).unwrap_err().to_string();
        assert!(told.contains(part), "{told}");
    }
}
