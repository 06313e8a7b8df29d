//! README.md as people follow it: its commands are run, its Rust is that of the example. What its other lines and those of docs/ say is parsed by
//! the program's own tests.

use crate::support::server::Server;
use crate::support::{assets, json, promptfed};
use std::path::Path;
use std::process::Command;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The blocks of a language that stand under a heading of README.md.
fn blocks(heading: &str, language: &str) -> String {
    let readme = file("README.md");
    let (_, below) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = below.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    let parts = section.split(&fence).skip(1);
    let blocks = parts.map(|part| part.split("```").next().unwrap());
    blocks.collect()
}

/// The program's command lines under a heading, without their remarks, some words replaced.
fn commands(heading: &str, words: &[(&str, &str)]) -> Vec<Vec<String>> {
    let text = blocks(heading, "sh");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("promptfed "));
    let own = |word: &str| {
        let known = words.iter().find(|(from, _)| *from == word);
        known.map_or(word, |(_, to)| *to).to_owned()
    };
    let command = |line: &str| {
        let mut told = line
            .split_whitespace()
            .take_while(|word| !["#", ">"].contains(word));
        let mut args = Vec::new();
        while let Some(word) = told.next() {
            if LEFT_OUT.contains(&word) {
                told.next();
            } else {
                args.push(own(word));
            }
        }
        args
    };
    lines.map(command).collect()
}

/// Flags with a value that say where and how machines reach each other. These tests have one machine, whose address is exported to the operator, and TLS
/// has tests of its own.
const LEFT_OUT: [&str; 3] = ["--addr", "--address", "--tls"];

/// The first command of "Your own data" that is a client's.
const FIRST_OF_CLIENT: usize = 4;

/// Pictures of three classes in each domain.
fn pictures(folder: &Path, domains: &[&str], first: u32, each: u32) {
    for domain in domains {
        for (class, name) in ["cat", "dog", "fox"].iter().enumerate() {
            let place = folder.join(domain).join(name);
            std::fs::create_dir_all(&place).unwrap();
            for i in first..first + each {
                let picture = image::RgbImage::from_fn(24, 24, |x, y| {
                    let noise = ((x * 7 + y * 13 + i * 29 + x * y * i) % 60) as u8;
                    let inside = x / 12 == class as u32 % 2 && y / 12 == class as u32 / 2;
                    image::Rgb(if inside {
                        [noise + 180, noise, noise]
                    } else {
                        [noise, noise, noise + domain.len() as u8]
                    })
                });
                picture.save(place.join(format!("{i}.png"))).unwrap();
            }
        }
    }
}

#[test]
fn your_own_data_goes_the_way_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(&here.join("photos"), &["photo", "sketch"], 0, 3);
    pictures(&here.join("train"), &["."], 0, 12);
    pictures(&here.join("test"), &["."], 500, 3);
    let heading = "Your own data";
    let first = |line: &Vec<String>| line[0].clone();
    assert_eq!(
        commands(heading, &[]).iter().map(first).collect::<Vec<_>>(),
        [
            "serve",
            "client",
            "label-space",
            "round",
            "enrol",
            "extract",
            "submit",
            "round",
            "compare"
        ]
    );

    let told = commands(heading, &[]);
    let serve: Vec<&str> = told[0][1..].iter().map(String::as_str).collect();
    let server = Server::start(here, &serve);
    let run = |words: &[(&str, &str)], index: usize, more: &[&str]| {
        let line = &commands(heading, words)[index];
        let mut command = promptfed(here, &[]);
        if index < FIRST_OF_CLIENT {
            command.env("PROMPTFED_SERVER", &server.url);
        }
        json(command.args(line).args(more))
    };
    let added = run(&[], 1, &[]);
    let string = added["enrolment"].as_str().unwrap();
    std::fs::write(here.join("hospital-a.enrol"), string).unwrap();
    let space = run(&[], 2, &[]);
    assert_eq!(space["classes"], serde_json::json!(["cat", "dog", "fox"]));
    let small = ["--steps=1", "--epochs=1", "--width=8"];
    let opened = run(&[("5000", "6"), ("5", "1")], 3, &small);
    assert_eq!(opened["state"], "open");

    assert_eq!(run(&[], FIRST_OF_CLIENT, &[])["name"], "hospital-a");
    let extracted = run(&[], 5, &[]);
    assert_eq!(extracted["images"], 18);
    assert_eq!(extracted["prompts"], 6);
    let sent = run(&[], 6, &[]);
    assert_eq!(sent["answer"]["outcome"], "stored");
    assert_eq!(run(&[], 7, &[])["state"], "done");
    // The remark behind it.
    json(&mut promptfed(here, &["round", "model", "1"]));
    assert!(here.join("model.safetensors").exists());

    let small = [
        "--methods=fedavg,chance",
        "--seeds=1",
        "--rounds=1",
        "--image-size=16",
        "--width=4",
        "--batch-size=4",
        "--min-per-client=1",
    ];
    let compared = run(&[], 8, &small);
    assert_eq!(compared["methods"].as_array().unwrap().len(), 2);
}

#[test]
fn the_demo_runs_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    assert!(blocks("Try it", "sh").contains("-- demo "));
    // One seed and one generator of three.
    let told = json(&mut promptfed(
        here,
        &["demo", "--quick", "--seeds", "1", "--engine", "pocket"],
    ));
    let methods = told["methods"].as_array().unwrap();
    let names: Vec<&str> = methods
        .iter()
        .map(|method| method["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["fgl", "fedavg", "centralised", "chance"]);
    let up = |index: usize| methods[index]["bytes_up"].as_u64().unwrap();
    assert!(up(0) > 0 && up(0) * 100 < up(1), "{} {}", up(0), up(1));
    assert!(here.join("promptfed-demo/report.html").exists());
}

/// Without blanks and line breaks, and without the commas that rustfmt puts before an end.
fn bare(code: &str) -> String {
    let dense: String = code.split_whitespace().collect();
    dense.replace(",)", ")").replace(",}", "}")
}

#[test]
fn the_rust_is_that_of_the_example() {
    let example = bare(&file("examples/library.rs"));
    let mut rest = example.as_str();
    let shown = blocks("As a library", "rust");
    assert!(shown.lines().count() > 4);
    for line in shown.lines() {
        let line = bare(line);
        let Some((_, after)) = rest.split_once(&line) else {
            panic!("examples/library.rs has no {line}, or has it earlier")
        };
        rest = after;
    }
}

/// Those that take a second or so; `cargo test` builds them all.
#[test]
fn the_quick_examples_run() {
    let folder = tempfile::tempdir().unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_promptfed")).with_file_name("examples");
    for (name, part) in [
        ("prompts", "a photo of a cat"),
        ("data", "client-3: "),
        ("client", " prompts in "),
        ("synth", "6 images in "),
        ("fuse", "8 images of 32 x 32 pixels"),
        ("server", "a classifier of 10 classes"),
    ] {
        let program = built.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        if !program.exists() {
            println!("skipped: {} is not built", program.display());
            continue;
        }
        let output = Command::new(program)
            .env("TMPDIR", folder.path())
            .env("PROMPTFED_ASSETS", assets())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {errors}");
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains(part), "{name}: {told}");
    }
}
