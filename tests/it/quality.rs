//! `promptfed quality` as people run it: sets whose measures are known beforehand.

use crate::support::{failure, json};
use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;

/// Pictures of two classes: stripes of a slope and colour of their own, or noise, drawn from `seed`.
fn pictures(folder: &Path, each: u32, noise: bool, seed: u32) {
    for (class, name) in ["apple", "brick"].iter().enumerate() {
        let class = class as u32;
        std::fs::create_dir_all(folder.join(name)).unwrap();
        for index in 0..each {
            let own = (seed * 7919 + class * 104_729 + index * 1_299_709) | 1;
            let level = |x: u32, y: u32, c: u32| {
                if noise {
                    let mixed = (x * 73_856_093) ^ (y * 19_349_663) ^ (c * 83_492_791);
                    return (mixed.wrapping_mul(own) >> 16) as u8;
                }
                let stripe = (x * (1 + own % 5) + y * (1 + own / 5 % 5)) / (4 + own % 7);
                (stripe % 2 * 120 + (own >> (3 * c)) % 100 + class * 30) as u8
            };
            let picture = image::RgbImage::from_fn(32, 32, |x, y| {
                image::Rgb([0, 1, 2].map(|c| level(x, y, c)))
            });
            picture
                .save(folder.join(name).join(format!("{index}.png")))
                .unwrap();
        }
    }
}

fn quality(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promptfed"));
    command
        .current_dir(folder)
        .env(
            "PROMPTFED_ASSETS",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"),
        )
        .args(["--quiet", "quality", "--neighbours", "3"])
        .args(arguments);
    command
}

fn share(report: &Value, measure: &str) -> f64 {
    report["quality"]["all"]["manifolds"][measure]
        .as_f64()
        .unwrap()
}

#[test]
fn a_set_beside_itself_is_perfect_and_noise_is_worth_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(&here.join("real"), 8, false, 1);
    pictures(&here.join("other"), 8, false, 2);
    pictures(&here.join("noise"), 8, true, 3);

    let own = json(&mut quality(here, &["real", "real"]));
    for measure in ["precision", "recall", "coverage"] {
        assert_eq!(share(&own, measure), 1.0, "{measure}");
    }
    assert_eq!(own["quality"]["classes"].as_array().unwrap().len(), 2);
    let vendi = |report: &Value, of: &str| report["quality"]["all"][of].as_f64().unwrap();
    assert_eq!(vendi(&own, "vendi"), vendi(&own, "vendi_real"));

    let noise = json(&mut quality(here, &["noise", "real", "--seen", "noise"]));
    // Its colours alone put noise within reach of some stripes.
    assert!(
        share(&noise, "density") < 0.2 * share(&own, "density"),
        "{noise}"
    );
    assert!(share(&noise, "coverage") < 0.5, "{noise}");
    // Every image is one that the generator has seen.
    assert_eq!(noise["quality"]["all"]["near_copies"], 1.0);

    let text = quality(here, &["other", "real"]).assert().success();
    let text = String::from_utf8(text.get_output().stdout.clone()).unwrap();
    assert!(
        text.contains("apple") && text.contains("coverage"),
        "{text}"
    );
}

#[test]
fn sets_that_cannot_be_measured_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(&here.join("real"), 8, false, 1);
    pictures(&here.join("few"), 1, false, 2);
    let (code, told) = failure(&mut quality(here, &["few", "real"]));
    assert_eq!(code, 3, "{told}");
    assert!(
        told.contains("2 synthetic images are too few") && told.contains("at least 4"),
        "{told}"
    );
    let (code, told) = failure(&mut quality(here, &["real", "real", "--precision", "bf16"]));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("--precision"), "{told}");
}
