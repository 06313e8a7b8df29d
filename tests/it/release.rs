//! What leaves a client, and how a newcomer names it: the real binary, a real server.

use crate::support::server::Server;
use crate::support::{enrolled, failure, json, promptfed};
use assert_cmd::Command;
use promptfed::prompts::{LabelSpace, TemplateSet};
use serde_json::Value;
use std::path::Path;

/// What a command that must succeed prints, and what it warns of.
fn told(command: &mut Command) -> (String, String) {
    let assert = command.assert().success();
    let output = assert.get_output();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// Class folders with so many pictures each.
fn pictures(folder: &Path, name: &str, classes: &[(&str, u8)]) {
    for (class, count) in classes {
        // No two folders share a picture.
        let path = format!("{name}/{class}");
        let shade = |factor: u8| {
            let bytes = path.bytes();
            bytes.fold(7u8, |sum, byte| sum.wrapping_mul(factor).wrapping_add(byte))
        };
        let class = folder.join(name).join(class);
        std::fs::create_dir_all(&class).unwrap();
        for picture in 0..*count {
            image::RgbImage::from_pixel(8, 8, image::Rgb([picture, shade(31), shade(37)]))
                .save(class.join(format!("{picture}.png")))
                .unwrap();
        }
    }
}

fn texts(extracted: &Value) -> Vec<&str> {
    let prompts = extracted["preview"].as_array().unwrap();
    prompts
        .iter()
        .map(|prompt| prompt["positive"].as_str().unwrap())
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

const PETS: &[(&str, u8)] = &[("cat", 3), ("dog", 1), ("owl", 2)];

#[test]
fn single_images_are_marked_everywhere_but_in_what_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here, "pets", PETS);
    let (shown, _) = told(&mut promptfed(here, &["extract", "pets"]));
    for line in [
        "a cat [3 images]",
        "a dog [1 image: a single one]",
        "1 of 3 prompts stand for a single image",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let (hidden, _) = told(&mut promptfed(here, &["extract", "pets", "--show", "1"]));
    let after = hidden.split("Single images among").nth(1).unwrap();
    assert!(after.contains("a dog [1 image"), "{hidden}");

    let leaves = read(&here.join("prompts.json"));
    assert!(
        !leaves.contains("images") && !leaves.contains("count"),
        "{leaves}"
    );
    let stays: Value = serde_json::from_str(&read(&here.join("prompts.preview.json"))).unwrap();
    let extracted = json(&mut promptfed(here, &["extract", "pets"]));
    for preview in [&stays["prompts"], &extracted["preview"]] {
        let images: Vec<_> = preview
            .as_array()
            .unwrap()
            .iter()
            .map(|prompt| {
                (
                    prompt["class"].as_str().unwrap(),
                    prompt["images"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(images, [("cat", 3), ("dog", 1), ("owl", 2)]);
    }
    assert_eq!(stays["prompts_hash"], extracted["hash"]);
    assert_eq!(texts(&extracted), ["a cat", "a dog", "a owl"]);
    // The preview is not taken for prompts.
    let wrong = [
        "synth",
        "--prompts",
        "prompts.preview.json",
        "--out",
        "o",
        "--label-space",
        "pacs",
    ];
    let (code, error) = failure(&mut promptfed(here, &wrong));
    assert!(code == 3 && error.contains("promptfed preview"), "{error}");
}

#[test]
fn what_leaves_can_be_limited() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here, "pets", PETS);
    let extract = |more: &[&str]| {
        let mut args = vec!["extract", "pets"];
        args.extend(more);
        promptfed(here, &args)
    };
    let grouped = json(&mut extract(&["--min-group", "2"]));
    assert_eq!(texts(&grouped), ["a cat", "a owl"]);
    assert_eq!(grouped["images"], 5);
    assert_eq!(grouped["withheld"]["small_groups"][0]["class"], "dog");
    assert_eq!(grouped["withheld"]["vanished_classes"][0], "dog");
    assert_eq!(grouped["left_out"]["group too small"], 1);
    assert!(!read(&here.join("prompts.json")).contains("\"class\":1"));
    let (text, _) = told(&mut extract(&["--min-group", "2"]));
    assert!(
        text.contains("too few images stand behind them: 1 prompt, 1 image")
            && text.contains("No prompt is left of class `dog`"),
        "{text}"
    );
    let (code, error) = failure(&mut extract(&["--min-group", "4"]));
    assert!(
        code == 3 && error.contains("4 images") && error.contains("has 3"),
        "{error}"
    );

    let excluded = json(&mut extract(&[
        "--exclude-class",
        "DOG",
        "--exclude-class",
        "owl",
    ]));
    assert_eq!(texts(&excluded), ["a cat"]);
    assert_eq!(excluded["withheld"]["excluded_classes"][1]["images"], 2);
    let (code, error) = failure(&mut extract(&["--exclude-class", "fox"]));
    assert!(
        code == 3 && error.contains("`fox`") && error.contains("cat, dog, owl"),
        "{error}"
    );

    let few = json(&mut extract(&["--max-prompts", "2"]));
    assert_eq!(texts(&few), ["a cat", "a owl"]);
    assert_eq!(few["withheld"]["beyond_max"][0]["positive"], "a dog");
}

#[test]
fn a_site_can_name_its_domain() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here, "pets", PETS);
    pictures(here, "pacs/photo", &[("dog", 2), ("cat", 2)]);
    pictures(here, "pacs/sketch", &[("dog", 2), ("cat", 2)]);
    let domain = ["--level", "domain", "--domain", "pencil_sketch"];
    let named = json(promptfed(here, &["extract", "pets"]).args(domain));
    assert_eq!(
        texts(&named),
        [
            "a cat, pencil sketch",
            "a dog, pencil sketch",
            "an owl, pencil sketch"
        ]
    );
    assert_eq!(named["preview"][0]["domain"], "pencil_sketch");
    for (args, part) in [
        (
            &["extract", "pacs", "--level", "domain", "--domain", "x"][..],
            "photo, sketch",
        ),
        (&["extract", "pets", "--domain", "x"], "level `class`"),
        (&["extract", "pets", "--level", "domain"], "by `--domain`"),
        (&["extract", "pets", "--credentials", "c"], "--round"),
    ] {
        let (code, error) = failure(&mut promptfed(here, args));
        assert!(code == 3 && error.contains(part), "{args:?}: {error}");
    }
}

#[test]
fn an_edited_file_is_told_with_line_and_entry() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here, "pets", PETS);
    told(&mut promptfed(
        here,
        &["label-space", "from", "pets", "--out", "pets.toml"],
    ));
    json(&mut promptfed(
        here,
        &["extract", "pets", "--label-space", "pets.toml"],
    ));
    let whole = read(&here.join("prompts.json"));
    let write = |bytes: &[u8]| std::fs::write(here.join("edited.json"), bytes).unwrap();
    let args = [
        "synth",
        "--prompts",
        "edited.json",
        "--label-space",
        "pets.toml",
        "--out",
        "o",
        "--steps",
        "1",
    ];
    for (edited, parts) in [
        (
            whole.replace("{\"class\":0},", "{\"class\":0}"),
            ["line 11, column 1", "prompts[0]", "comma is missing"],
        ),
        (
            whole.replace("{\"class\":1},", "{\"class\":\"dog\"},"),
            ["line 11, column", "prompts[1].class", "string \"dog\""],
        ),
    ] {
        write(edited.as_bytes());
        let (code, error) = failure(&mut promptfed(here, &args));
        assert_eq!(code, 3, "{error}");
        for part in parts.iter().chain(&["edited.json"]) {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    write(b"{\n\"format\":\"caf\xe9\"}");
    let (code, error) = failure(&mut promptfed(here, &args));
    assert!(
        code == 3 && error.contains("edited.json, line 2") && error.contains("UTF-8"),
        "{error}"
    );
    let utf16: Vec<u8> = format!("\u{feff}{whole}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    write(&utf16);
    assert_eq!(json(&mut promptfed(here, &args))["report"]["accepted"], 3);
}

#[test]
fn client_and_server_agree_through_the_round() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let cells: &[(&str, u8)] = &[("basophil", 2), ("white_cell", 2), ("dog", 2)];
    pictures(here, "cells", cells);
    let server = Server::start(here, &[]);
    let there = |args: &[&str]| {
        let mut command = promptfed(here, args);
        command.args(["--server", &server.url]);
        command
    };
    let who = &enrolled(here, &json(&mut there(&["client", "add", "site"])));

    // The classes of a round: of data, of a file made from it, by name.
    let (from, _) = told(&mut promptfed(here, &["label-space", "from", "cells"]));
    assert!(from.contains("3 classes"), "{from}");
    let file = here.join("label-space.toml");
    let words = read(&file).replace(
        "\"white_cell\"",
        "\"white_cell\"\nprompt_name = \"leukocyte\"",
    );
    std::fs::write(&file, words).unwrap();
    let open = ["round", "open", "label-space.toml", "--level", "domain"];
    let (opened, warned) = told(&mut there(&open));
    assert!(opened.contains("round 1"), "{opened}");
    assert!(
        warned.contains("2 of 3 classes: basophil, white_cell")
            && warned.contains("--engine sd")
            && warned.contains("it knows 329 words, such as "),
        "{warned}"
    );
    let opened = json(&mut there(&["round", "open", "cells"]));
    assert_eq!(
        opened["unknown_words"]["classes"]["basophil"][0],
        "basophil"
    );
    assert!(opened["unknown_words"]["classes"]["dog"].is_null());
    assert_eq!(
        json(&mut there(&["round", "open", "pacs"]))["state"],
        "open"
    );

    // From the server, and from the file that it gives.
    let (spec, _) = told(&mut there(&["round", "spec", "1", "--credentials", who]));
    assert!(spec.contains("level domain, templates pocket"), "{spec}");
    let by_server = [
        "extract",
        "cells",
        "--round",
        "1",
        "--credentials",
        who,
        "--domain",
        "site_a",
    ];
    let by_server = json(&mut there(&by_server));
    assert_eq!(
        texts(&by_server),
        ["a basophil, site a", "a dog, site a", "a leukocyte, site a"]
    );
    assert_eq!(by_server["unknown_words"]["domains"]["site_a"][0], "site");
    let by_file = [
        "extract",
        "cells",
        "--round",
        "round.json",
        "--domain",
        "site_a",
        "--out",
        "f.json",
    ];
    let by_file = json(&mut promptfed(here, &by_file));
    assert_eq!(by_file["hash"], by_server["hash"]);
    for excluded in [
        ["--level", "class"],
        ["--templates", "fgl"],
        ["--label-space", "pacs"],
    ] {
        let args = ["extract", "cells", "--round", "round.json"];
        let (code, error) = failure(promptfed(here, &args).args(excluded));
        assert!(code == 2 && error.contains(excluded[0]), "{error}");
    }
    let (code, error) = failure(&mut there(&["extract", "cells", "--round", "1"]));
    assert!(code == 3 && error.contains("--credentials"), "{error}");

    // Another level is refused, whoever comes first.
    let other = [
        "extract",
        "cells",
        "--label-space",
        "label-space.toml",
        "--out",
        "o.json",
    ];
    json(&mut promptfed(here, &other));
    let submit = |file: &str| there(&["submit", file, "--round", "1", "--credentials", who]);
    let (code, error) = failure(&mut submit("o.json"));
    assert!(
        code == 4 && error.contains("`class`") && error.contains("`domain`"),
        "{code} {error}"
    );
    std::fs::write(
        here.join("e.json"),
        read(&here.join("f.json")).replace("},\n", "}\n"),
    )
    .unwrap();
    let (code, error) = failure(&mut submit("e.json"));
    assert!(
        code == 3 && error.contains("e.json: line") && error.contains("comma"),
        "{code} {error}"
    );
    assert_eq!(json(&mut submit("f.json"))["answer"]["outcome"], "stored");
}

#[test]
fn a_comparison_limits_what_its_clients_release() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(here, "private/photo", &[("dog", 4), ("horse", 4)]);
    pictures(here, "private/site_b", &[("dog", 1), ("horse", 1)]);
    pictures(here, "unseen/photo", &[("dog", 2), ("horse", 2)]);
    pictures(here, "unseen/site_b", &[("dog", 2), ("horse", 2)]);
    let compare = |more: &[&str]| {
        let args = [
            "compare",
            "--private",
            "private",
            "--test",
            "unseen",
            "--layout",
            "domain-folders",
            "--partition",
            "domain",
            "--methods",
            "fgl",
            "--seeds",
            "1",
            "--images",
            "8",
            "--steps",
            "1",
            "--synthetic-epochs",
            "1",
            "--width",
            "8",
            "--image-size",
            "16",
            "--level",
            "domain",
        ];
        let mut command = promptfed(here, &args);
        command.args(more);
        command
    };
    let assert = compare(&["--min-group", "2", "--json"]).assert().success();
    let output = assert.get_output();
    let compared: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = compared["silent_clients"][0].as_str().unwrap();
    assert!(
        told.contains("clients that released no prompt") && told.ends_with(": 1"),
        "{told}"
    );
    assert_eq!(compared["unknown_words"]["domains"]["site_b"][0], "site");
    let warned = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        warned.contains("released no prompt") && warned.contains("site_b"),
        "{warned}"
    );
    let (code, error) = failure(&mut compare(&["--min-group", "9", "--out", "other"]));
    assert!(
        code == 3 && error.contains("no prompt is left"),
        "{code} {error}"
    );
}

#[test]
fn the_documented_files_can_be_used() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/label-spaces.md");
    let text = read(&docs);
    let blocks: Vec<&str> = text
        .split("```toml\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let label_spaces = blocks.iter().filter(|block| block.contains("[[classes]]"));
    let templates = blocks
        .iter()
        .filter(|block| block.contains("[[templates]]"));
    assert!(label_spaces.clone().count() > 0 && templates.clone().count() > 0);
    for block in label_spaces {
        LabelSpace::from_toml(block).unwrap();
    }
    for block in templates {
        TemplateSet::from_toml(block).unwrap();
    }
    for name in LabelSpace::builtin_names()
        .into_iter()
        .chain(TemplateSet::builtin_names())
    {
        assert!(
            text.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let (list, _) = told(&mut promptfed(folder.path(), &["label-space", "list"]));
    assert!(list.contains("imagenette: 10 classes (tench"), "{list}");
    let (shown, _) = told(&mut promptfed(
        folder.path(),
        &["label-space", "show", "imagefruit"],
    ));
    assert_eq!(
        LabelSpace::from_toml(&shown).unwrap(),
        LabelSpace::builtin("imagefruit").unwrap()
    );
}
