//! What pictures say of themselves: `promptfed synth show` and `remake`.

use crate::support::{failure, json, promptfed};
use serde_json::Value;
use std::path::Path;

/// Makes two pictures of one prompt in `out`, with further arguments.
fn synth(here: &Path, out: &str, more: &[&str]) -> Vec<Value> {
    let own = [
        "synth",
        "--prompt",
        "a photo of a \u{201c}church\u{201d}",
        "--images-per-prompt",
        "2",
        "--steps",
        "2",
        "--guidance",
        "2.1",
        "--seed",
        "5",
        "--out",
        out,
    ];
    json(promptfed(here, &own).args(more));
    let manifest = std::fs::read_to_string(here.join(out).join("manifest.jsonl")).unwrap();
    let rows = manifest.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().unwrap()
}

fn pixels(file: &Path) -> image::RgbImage {
    image::open(file).unwrap().into_rgb8()
}

#[test]
fn a_picture_tells_what_its_row_tells() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let rows = synth(here, "out", &[]);
    assert_eq!(rows.len(), 2);
    for row in &rows {
        let file = format!("out/{}", row["file"].as_str().unwrap());
        let shown = json(&mut promptfed(here, &["synth", "show", &file]));
        assert_eq!(shown["intact"], true);
        let record = &shown["record"];
        for key in [
            "prompt",
            "negative",
            "class",
            "class_name",
            "seed",
            "steps",
            "guidance",
            "sampler",
            "engine",
            "engine_version",
            "weights_hash",
            "pixel_hash",
        ] {
            assert_eq!(record[key], row[key], "{key}");
        }
        let picture = pixels(&here.join(&file));
        assert_eq!(record["width"], picture.width());
        assert_eq!(record["height"], picture.height());
        let settings = &record["settings"];
        assert!(settings["precision"].is_string() && settings["instructions"].is_string());
    }
    let file = format!("out/{}", rows[0]["file"].as_str().unwrap());
    let lines = promptfed(here, &["synth", "show", &file])
        .assert()
        .success();
    let lines = String::from_utf8(lines.get_output().stdout.clone()).unwrap();
    for part in ["church", rows[0]["seed"].as_str().unwrap(), "guidance 2.1"] {
        assert!(lines.contains(part), "{lines}");
    }
}

#[test]
fn a_picture_is_drawn_again_from_its_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // Other weights than those that are tried first, and another number format than the processor's own choice.
    for (out, more) in [
        ("draw", &["--engine", "pocket:draw"][..]),
        ("bf16", &["--precision", "bf16"][..]),
        ("f32", &["--precision", "f32"][..]),
    ] {
        let row = synth(here, out, more).remove(1);
        let moved = here.join(format!("{out}.png"));
        let made = here.join(out).join(row["file"].as_str().unwrap());
        std::fs::rename(&made, &moved).unwrap();
        std::fs::remove_dir_all(here.join(out)).unwrap();
        let (file, again) = (format!("{out}.png"), format!("again/{out}.png"));
        let told = json(&mut promptfed(
            here,
            &["synth", "remake", &file, "--out", &again],
        ));
        assert_eq!(told["equal"], true, "{told}");
        assert_eq!(told["differing_pixels"], 0);
        assert_eq!(told["pixel_hash"], row["pixel_hash"]);
        assert_eq!(pixels(&moved), pixels(&here.join(&again)));
        let of =
            |file: &str| json(&mut promptfed(here, &["synth", "show", file]))["record"].clone();
        assert_eq!(of(&file), of(&again));
    }
}

#[test]
fn an_edited_picture_is_told_apart_from_what_is_drawn_again() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let row = synth(here, "out", &[]).remove(0);
    let file = here.join("out").join(row["file"].as_str().unwrap());
    // The record of one picture before the pixels of another: the chunks of a PNG file follow one another.
    let with = std::fs::read(&file).unwrap();
    let at = with.windows(4).position(|four| four == b"iTXt").unwrap() - 4;
    let length = u32::from_be_bytes(with[at..at + 4].try_into().unwrap()) as usize;
    let chunk = &with[at..at + 12 + length];
    let mut picture = pixels(&file);
    picture.get_pixel_mut(3, 4).0[1] ^= 0x10;
    picture.save(here.join("edited.png")).unwrap();
    let plain = std::fs::read(here.join("edited.png")).unwrap();
    // Behind the signature and the header.
    let edited = [&plain[..33], chunk, &plain[33..]].concat();
    std::fs::write(here.join("edited.png"), edited).unwrap();

    let shown = json(&mut promptfed(here, &["synth", "show", "edited.png"]));
    assert_eq!(shown["intact"], false);
    assert_eq!(shown["record"]["pixel_hash"], row["pixel_hash"]);
    let remake = ["synth", "remake", "edited.png", "--out", "again.png"];
    let told = json(&mut promptfed(here, &remake));
    assert_eq!(told["equal"], true);
    assert_eq!(told["differing_pixels"], 1);
    assert_eq!(told["largest_difference"], 16);
    assert_eq!(pixels(&here.join("again.png")), pixels(&file));
}

#[test]
fn the_record_can_be_left_out_and_changes_no_pixel() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (with, without) = (
        synth(here, "with", &[]),
        synth(here, "without", &["--no-record"]),
    );
    assert_eq!(with, without);
    let file = |out: &str| here.join(out).join(with[0]["file"].as_str().unwrap());
    let bytes = |out: &str| std::fs::read(file(out)).unwrap();
    let holds = |bytes: &[u8]| bytes.windows(6).any(|six| six == b"church");
    assert!(holds(&bytes("with")) && !holds(&bytes("without")));
    let (code, told) = failure(promptfed(here, &["synth", "show"]).arg(file("without")));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("--no-record"), "{told}");
    // What was lost comes back as it was.
    let before = bytes("with");
    std::fs::remove_file(file("with")).unwrap();
    synth(here, "with", &[]);
    assert_eq!(bytes("with"), before);
}

#[test]
fn nothing_is_drawn_by_other_weights_or_over_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let row = synth(here, "out", &[]).remove(0);
    let file = format!("out/{}", row["file"].as_str().unwrap());
    std::fs::write(here.join("mine.png"), "mine").unwrap();
    std::fs::write(here.join("text.png"), "no picture").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (
            &[
                file.as_str(),
                "--out",
                "new.png",
                "--engine",
                "pocket:photo",
            ],
            row["weights_hash"].as_str().unwrap(),
        ),
        (&[file.as_str(), "--out", "mine.png"], "--force"),
        (&["text.png", "--out", "new.png"], "text.png"),
        (&["absent.png", "--out", "new.png"], "absent.png"),
    ];
    for (args, part) in cases {
        let (code, told) = failure(promptfed(here, &["synth", "remake"]).args(*args));
        assert_eq!(code, 3, "{args:?}: {told}");
        assert!(told.contains(part), "{args:?}: {told}");
    }
    assert!(!here.join("new.png").exists());
    assert_eq!(std::fs::read(here.join("mine.png")).unwrap(), b"mine");
}
