//! Training as people run it: the recipe from the command line to the model's file, and flags that would have no effect.

use crate::support::{failure, json, promptfed};
use image::{Rgb, RgbImage};
use serde_json::Value;
use std::path::Path;

/// A bright bar at the left or the right of a dark picture, at a height and in a colour of its own.
fn bar(left: bool, index: u32) -> RgbImage {
    let top = 2 + index * 7 % 12;
    RgbImage::from_fn(24, 24, |x, y| {
        let x = if left { x } else { 23 - x };
        let on = (3..8).contains(&x) && (top..top + 8).contains(&y);
        let shade = (index * 37 % 60) as u8;
        Rgb(if on {
            [255 - shade, 220, 200]
        } else {
            [shade, 30, 40]
        })
    })
}

/// `folder/keep left` and `folder/keep right`, so many pictures of each.
fn mirrored_classes(folder: &Path, pictures: u32, from: u32) {
    for (name, left) in [("keep left", true), ("keep right", false)] {
        let class = folder.join(name);
        std::fs::create_dir_all(&class).unwrap();
        for i in 0..pictures {
            bar(left, from + i)
                .save(class.join(format!("{i}.png")))
                .unwrap();
        }
    }
}

fn train(here: &Path, data: &Path, flags: &[&str]) -> Value {
    json(
        promptfed(here, &[])
            .arg("train")
            .arg(data)
            .args(["--layout", "class-folders", "--width", "8"])
            .args(flags),
    )
}

fn accuracy(here: &Path, data: &Path) -> f64 {
    let tested = json(
        promptfed(here, &["evaluate", "model.safetensors"])
            .arg(data)
            .args(["--layout", "class-folders"]),
    );
    tested["evaluation"]["accuracy"].as_f64().unwrap()
}

#[test]
fn classes_that_differ_by_a_mirror_are_learned_without_flips() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    mirrored_classes(&here.join("train"), 30, 0);
    mirrored_classes(&here.join("test"), 20, 100);
    let (data, test) = (here.join("train"), here.join("test"));
    let budget = ["--image-size", "24", "--epochs", "30", "--batch-size", "16"];

    let told = train(here, &data, &[&budget[..], &["--no-flip"]].concat());
    assert_eq!(told["recipe"]["training"]["augmentation"]["flip"], false);
    assert!(!told["warnings"].to_string().contains("--no-flip"));
    let without = accuracy(here, &test);
    assert!(without >= 0.95, "{without}");

    let told = train(here, &data, &budget);
    let warnings = told["warnings"].to_string();
    assert!(
        warnings.contains("keep left") && warnings.contains("--no-flip"),
        "{warnings}"
    );
    // What is left of mirrored images is a coin, thrown for each; a model's own guess may be right of all or of none.
    let with = told["curve"][29]["train_accuracy"].as_f64().unwrap();
    assert!((0.3..=0.7).contains(&with), "{with}");
}

/// The issue's own pictures.
#[test]
fn arrows_are_learned_without_flips() {
    let arrows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases/arrows");
    if !arrows.is_dir() {
        println!("skipped: {} is not here", arrows.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    train(
        here,
        &arrows.join("train"),
        &["--no-flip", "--epochs", "20"],
    );
    let without = accuracy(here, &arrows.join("test"));
    assert!(without >= 0.95, "{without}");
}

#[test]
fn the_epoch_is_chosen_by_enough_images_and_else_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let data = here.join("data");
    mirrored_classes(&data, 60, 0);
    let few = train(
        here,
        &data,
        &[
            "--epochs",
            "3",
            "--no-flip",
            "--validation-fraction",
            "0.05",
        ],
    );
    assert_eq!(few["selected_epoch"], 3);
    assert_eq!(
        (&few["images"], &few["validation_images"]),
        (&120.into(), &0.into())
    );
    let told = few["selection"].as_str().unwrap();
    assert!(
        told.starts_with("last: only 3 validation images of \"keep left\""),
        "{told}"
    );
    let enough = train(
        here,
        &data,
        &[
            "--epochs",
            "3",
            "--no-flip",
            "--validation-fraction",
            "0.45",
        ],
    );
    let told = enough["selection"].as_str().unwrap();
    assert!(
        told.starts_with("best validation") && told.contains("at least 27"),
        "{told}"
    );
    let best = enough["curve"].as_array().unwrap().iter();
    let best = best.map(|e| e["validation_balanced_accuracy"].as_f64().unwrap());
    let best = best.fold(0.0, f64::max);
    assert_eq!(
        enough["validation_balanced_accuracy"].as_f64().unwrap(),
        best
    );
    let shown = promptfed(here, &[])
        .arg("train")
        .arg(&data)
        .args([
            "--layout",
            "class-folders",
            "--width",
            "8",
            "--epochs",
            "1",
            "--no-flip",
        ])
        .assert()
        .success();
    let shown = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(shown.contains("epoch 1 of 1 (last: only 12"), "{shown}");
}

#[test]
fn settings_of_the_recipe_stand_in_the_model_and_in_the_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let data = here.join("data");
    mirrored_classes(&data, 4, 0);
    std::fs::write(
        here.join("promptfed.toml"),
        "[train]\nflip = false\nshift = 0.25\nmomentum = 0.5\nepochs = 1\n",
    )
    .unwrap();
    let told = train(here, &data, &["--architecture", "resnet18"]);
    let training = &told["recipe"]["training"];
    assert_eq!(
        training["augmentation"],
        serde_json::json!({ "flip": false, "shift": 0.25 })
    );
    assert_eq!(training["momentum"], 0.5);
    let file = std::fs::read(here.join("model.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&file[..4096.min(file.len())]).replace('\\', "");
    for part in [
        "\"flip\":false",
        "\"shift\":0.25",
        "\"momentum\":0.5",
        "\"architecture\":\"resnet18\"",
    ] {
        assert!(header.contains(part), "{part} is not in {header}");
    }
    let told = train(here, &data, &["--flip"]);
    assert_eq!(told["recipe"]["training"]["augmentation"]["flip"], true);
}

#[test]
fn one_value_per_channel_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    mirrored_classes(&here.join("data"), 2, 0);
    for architecture in ["small", "resnet18"] {
        let (code, told) = failure(&mut promptfed(
            here,
            &[
                "train",
                "data",
                "--layout",
                "class-folders",
                "--image-size",
                "8",
                "--width",
                "4",
                "--batch-size",
                "1",
                "--architecture",
                architecture,
            ],
        ));
        assert_eq!(code, 3, "{told}");
        assert!(
            told.contains("one value per channel") && told.contains("batches of 2"),
            "{told}"
        );
        assert!(!here.join("model.safetensors").exists());
    }
}

/// Every command line here was accepted in silence before.
#[test]
fn flags_without_effect_are_errors_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(
        here.join("list.jsonl"),
        "{\"class\": \"building\", \"prompt\": \"a cat\", \"negative\": \"a dog\", \"count\": 3}\n",
    )
    .unwrap();
    std::fs::write(here.join("config.toml"), "[compare]\nrounds = 3\n").unwrap();
    let compare = ["compare", "--private", "p", "--test", "t"];
    let list = [
        "synth",
        "--prompts",
        "list.jsonl",
        "--label-space",
        "emoji",
        "--out",
        "o",
    ];
    let prompt = ["synth", "--prompt", "a cat", "--out", "o", "--steps", "1"];
    let line = |start: &[&str], rest: &[&str]| -> Vec<String> {
        start.iter().chain(rest).map(|s| (*s).to_owned()).collect()
    };
    let cases: Vec<(Vec<String>, i32, &str)> = vec![
        (
            line(&compare, &["--methods", "fgl", "--size", "64"]),
            3,
            "--size has no effect without --engine sd",
        ),
        (
            line(&compare, &["--methods", "fgl", "--engine", "sd"]),
            3,
            "sd:FOLDER",
        ),
        (
            line(&compare, &["--methods", "fedavg", "--engine", "pocket"]),
            3,
            "--engine has no effect without a method that makes images",
        ),
        (
            line(&compare, &["--methods", "fedavg", "--images", "7"]),
            3,
            "--images has no effect without a method that makes images",
        ),
        (
            line(&compare, &["--methods", "fgl", "--rounds", "7"]),
            3,
            "--rounds has no effect without a method of rounds",
        ),
        (
            line(&compare, &["--methods", "fgl,fedavg", "--epochs", "7"]),
            3,
            "--epochs has no effect without centralised",
        ),
        (
            line(&compare, &["--methods", "chance", "--no-flip"]),
            3,
            "no method trains",
        ),
        (
            line(
                &["--config", "config.toml"],
                &[&compare[..], &["--methods", "fgl"]].concat(),
            ),
            3,
            "--rounds",
        ),
        (
            line(&compare, &["--captioner", "metadata"]),
            3,
            "--level instance",
        ),
        (
            line(&["extract", "d", "--captioner", "metadata"], &[]),
            3,
            "--level instance",
        ),
        (
            line(&["extract", "d", "--show", "3", "--json"], &[]),
            3,
            "--show",
        ),
        (
            line(&["extract", "d", "--precision", "f32"], &[]),
            3,
            "--precision",
        ),
        (
            line(&["partition", "d", "--partition", "iid:2", "--strict"], &[]),
            3,
            "--strict",
        ),
        (
            line(
                &[
                    "submit",
                    "--round",
                    "1",
                    "--credentials",
                    "c",
                    "--token-file",
                    "f",
                ],
                &[],
            ),
            3,
            "--credentials",
        ),
        (
            line(
                &[
                    "round",
                    "list",
                    "--token-file",
                    "t",
                    "--admin-token-file",
                    "f",
                ],
                &[],
            ),
            3,
            "--admin-token-file",
        ),
        (line(&list, &["--negative", "a dog"]), 2, "--negative"),
        (line(&list, &["--spread", "by-count"]), 2, "--images"),
        (
            line(&list, &["--images-per-prompt", "2", "--spread", "by-count"]),
            2,
            "--spread",
        ),
        (line(&list, &["--latents", "l"]), 2, "--latents"),
        (line(&list, &["--min-score", "0.3"]), 2, "--filter-clip"),
        (line(&list, &["--lora", "l"]), 3, "--lora"),
        (
            line(&prompt, &["--label-space", "emoji"]),
            2,
            "--label-space",
        ),
        (
            line(&prompt, &["--negative", "a dog", "--guidance", "1"]),
            3,
            "--negative has no effect at guidance 1",
        ),
        (
            line(&prompt, &["--guidance", "0"]),
            2,
            "from 1 to 50, where 1 is no guidance",
        ),
        (line(&prompt, &["--guidance", "0.5..3"]), 2, "from 1 to 50"),
        (line(&prompt, &["--guidance", "2..60"]), 2, "from 2 to 50"),
    ];
    for (args, code, part) in cases {
        let (found, told) = failure(promptfed(here, &[]).args(&args));
        assert_eq!(found, code, "{args:?}: {told}");
        assert!(told.contains(part), "{args:?}: {told}");
    }
}

#[test]
fn counts_and_negatives_without_effect_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let row = |rest: &str| {
        format!(
            "{{\"class\": \"building\", \"prompt\": \"a cat{}\"{rest}}}\n",
            rest.len()
        )
    };
    let list = |rows: &[&str]| {
        let rows: Vec<String> = rows.iter().map(|rest| row(rest)).collect();
        std::fs::write(here.join("list.jsonl"), rows.concat()).unwrap();
    };
    let synth = |out: &str, flags: &[&str]| {
        let mut command = promptfed(here, &[]);
        command
            .args([
                "synth",
                "--prompts",
                "list.jsonl",
                "--label-space",
                "emoji",
                "--steps",
                "1",
                "--out",
                out,
            ])
            .args(flags);
        command
    };
    list(&[", \"count\": 3, \"negative\": \"a dog\"", ""]);
    let told = json(&mut synth("one", &["--guidance", "1"]));
    let notes = told["report"]["notes"].to_string();
    assert!(
        notes.contains("the negative text of 1 of 2 prompts has no effect"),
        "{notes}"
    );
    assert!(
        notes.contains("the counts of 1 of 2 prompts have no effect"),
        "{notes}"
    );
    let told = json(&mut synth(
        "two",
        &["--images", "4", "--spread", "by-count"],
    ));
    assert_eq!(told["report"]["accepted"], 4);
    let notes = told["report"]["notes"].to_string();
    assert!(notes.contains("1 of 2 prompts have no count"), "{notes}");
    list(&["", ", \"negative\": \"a dog\""]);
    let (code, told) = failure(&mut synth(
        "three",
        &["--images", "4", "--spread", "by-count"],
    ));
    assert_eq!(code, 3);
    assert!(told.contains("no prompt has a count"), "{told}");
}

/// The class lies at the left end of wide pictures.
#[test]
fn the_model_says_how_pictures_become_square() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (part, pictures, from) in [("train", 24, 0), ("test", 12, 100)] {
        for (class, shade) in [("dark", 30), ("light", 220)] {
            let class = here.join(part).join(class);
            std::fs::create_dir_all(&class).unwrap();
            for i in 0..pictures {
                let noise = ((from + i) * 53 % 90) as u8;
                let picture = RgbImage::from_fn(96, 24, |x, _| {
                    Rgb(if x < 24 { [shade; 3] } else { [80 + noise; 3] })
                });
                picture.save(class.join(format!("{i}.png"))).unwrap();
            }
        }
    }
    let (data, test) = (here.join("train"), here.join("test"));
    for fit in ["pad", "squash"] {
        let told = train(
            here,
            &data,
            &["--fit", fit, "--epochs", "20", "--batch-size", "16"],
        );
        assert_eq!(told["recipe"]["fit"], fit);
        let found = accuracy(here, &test);
        assert!(found >= 0.95, "{fit}: {found}");
    }
    let tested = promptfed(
        here,
        &[
            "evaluate",
            "model.safetensors",
            "test",
            "--layout",
            "class-folders",
            "--fit",
            "crop",
            "--json",
        ],
    )
    .assert()
    .success();
    let output = tested.get_output();
    let warned = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        warned.contains("trained with --fit squash and is asked with crop"),
        "{warned}"
    );
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["fit"], "crop");
}

/// Three clients, one of a single image: a comparison goes on, with or without that client's steps.
#[test]
fn a_client_of_one_image_does_not_end_a_comparison() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (domain, pictures) in [("sketch", 6), ("photo", 6), ("ink", 1)] {
        for (class, left) in [("up", true), ("down", false)] {
            if domain == "ink" && !left {
                continue;
            }
            let class = here.join("private").join(domain).join(class);
            std::fs::create_dir_all(&class).unwrap();
            for i in 0..pictures {
                let file = class.join(format!("{domain}{i}.png"));
                bar(left, i * 3 + domain.len() as u32).save(file).unwrap();
            }
        }
    }
    for (class, left) in [("up", true), ("down", false)] {
        let class = here.join("test/sketch").join(class);
        std::fs::create_dir_all(&class).unwrap();
        for i in 0..3 {
            bar(left, 230 + i)
                .save(class.join(format!("{i}.png")))
                .unwrap();
        }
    }
    for architecture in ["small", "resnet18"] {
        let told = json(&mut promptfed(
            here,
            &[
                "compare",
                "--private",
                "private",
                "--test",
                "test",
                "--layout",
                "domain-folders",
                "--partition",
                "domain",
                "--min-per-client",
                "1",
                "--methods",
                "fedavg,centralised",
                "--rounds",
                "2",
                "--epochs",
                "2",
                "--seeds",
                "1",
                "--image-size",
                "8",
                "--width",
                "4",
                "--architecture",
                architecture,
                "--out",
                architecture,
                "--no-flip",
            ],
        ));
        assert_eq!(told["methods"][0]["name"], "fedavg");
        let report = std::fs::read_to_string(here.join(architecture).join("report.html")).unwrap();
        for part in [
            "flip off",
            architecture,
            "last: only",
            "clients without a step",
            "ink",
        ] {
            assert!(report.contains(part), "{part} is not in the report");
        }
    }
}

#[test]
fn a_model_names_pictures_that_nobody_has_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    mirrored_classes(&here.join("train"), 30, 0);
    let budget = [
        "--image-size",
        "24",
        "--epochs",
        "30",
        "--batch-size",
        "16",
        "--no-flip",
    ];
    train(here, &here.join("train"), &budget);
    let heap = here.join("heap/below");
    std::fs::create_dir_all(&heap).unwrap();
    for i in 0..12 {
        let name = format!("{i:02}.png");
        bar(i % 2 == 0, 100 + i).save(heap.join(name)).unwrap();
    }
    std::fs::write(heap.join("torn.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    let args = [
        "predict",
        "model.safetensors",
        "heap",
        "--csv",
        "named.csv",
        "--top",
        "2",
    ];
    let told = json(&mut promptfed(here, &args));
    let rows = told["predictions"].as_array().unwrap();
    assert_eq!(rows.len(), 12);
    assert_eq!(told["skipped"].as_array().unwrap().len(), 1);
    let mut right = 0;
    for (i, row) in rows.iter().enumerate() {
        let classes = row["classes"].as_array().unwrap();
        let sum: f64 = classes
            .iter()
            .map(|c| c["probability"].as_f64().unwrap())
            .sum();
        assert!((sum - 1.0).abs() < 1e-5, "{row}");
        assert!(
            row["picture"]
                .as_str()
                .unwrap()
                .ends_with(&format!("{i:02}.png"))
        );
        let side = if i % 2 == 0 {
            "keep left"
        } else {
            "keep right"
        };
        right += usize::from(classes[0]["class"] == side);
    }
    assert!(right >= 11, "{right}");
    let table = std::fs::read_to_string(here.join("named.csv")).unwrap();
    assert!(
        table.starts_with("picture,class,probability,keep left,keep right\n"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 13);
    std::fs::write(here.join("mine.csv"), "mine").unwrap();
    let told = json(&mut promptfed(
        here,
        &["export", "model.safetensors", "--out", "model.onnx"],
    ));
    let graph = std::fs::read(here.join("model.onnx")).unwrap();
    assert_eq!(told["bytes"].as_u64().unwrap(), graph.len() as u64);
    let holds = |text: &[u8]| graph.windows(text.len()).any(|w| w == text);
    assert!(holds(b"BatchNormalization") && holds(b"keep right"));
    // One picture by name, for people.
    let one = promptfed(here, &["predict", "model.safetensors", "heap/below/00.png"])
        .assert()
        .success();
    let shown = String::from_utf8(one.get_output().stdout.clone()).unwrap();
    assert!(shown.contains("00.png") && shown.contains(" %"), "{shown}");
    for (args, part) in [
        (&["predict", "model.safetensors", "nowhere"][..], "nowhere"),
        (&["predict", "heap/below/00.png", "heap"], "00.png"),
        (
            &[
                "predict",
                "model.safetensors",
                "heap",
                "--csv",
                "model.safetensors",
            ],
            "another name",
        ),
        (
            &["predict", "model.safetensors", "heap", "--csv", "mine.csv"],
            "name with --csv, or --force",
        ),
        (
            &[
                "predict",
                "model.safetensors",
                "heap",
                "--csv",
                "heap/below/01.png",
            ],
            "another name",
        ),
        (
            &["export", "model.safetensors", "--out", "mine.csv"],
            "--force",
        ),
        (
            &[
                "export",
                "model.safetensors",
                "--out",
                "m",
                "--format",
                "folder",
            ],
            "fused sets",
        ),
        (
            &["predict", "model.safetensors", "heap/below/torn.png"],
            "none of the pictures",
        ),
    ] {
        let (_, told) = failure(&mut promptfed(here, args));
        assert!(told.contains(part), "{told}");
    }
}
