//! What the program reads, says and refuses before anything is made of it.

use crate::support::{failure, json, promptfed};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Pictures of one colour each, different from file to file.
fn tree(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (i, file) in files.iter().enumerate() {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // A bitmap of 2 x 2 pixels: header, then rows of 8 bytes.
        let mut bytes =
            b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0\x01\0\x18\0".to_vec();
        bytes.extend([0; 24]);
        bytes.extend([i as u8, 40, 200, i as u8, 40, 200, 0, 0].repeat(2));
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

fn shared(case: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/cases")
        .join(case);
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn released(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("prompts.json")).unwrap()
}

#[test]
fn no_id_of_a_folder_becomes_a_prompt() {
    let folder = tree(&[
        "benign/P0012/1.bmp",
        "benign/P0044/2.bmp",
        "malignant/P0101/3.bmp",
        "malignant/P0777/4.bmp",
    ]);
    let here = folder.path();
    let (code, told) = failure(&mut promptfed(here, &["extract", "."]));
    assert_eq!(code, 3, "{told}");
    assert!(
        told.contains("--layout class-folders") && told.contains("P0012"),
        "{told}"
    );
    assert!(!here.join("prompts.json").exists());

    let layout = ["extract", ".", "--layout", "class-folders"];
    let shown = promptfed(here, &[]).args(layout).assert().success();
    let shown = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(
        shown.contains("first level: class (benign, malignant)") && shown.contains("a malignant"),
        "{shown}"
    );
    assert!(!released(here).contains("P0"));

    // Said to be classes, ids are still no words.
    let layout = ["extract", ".", "--layout", "domain-folders"];
    let (code, told) = failure(promptfed(here, &[]).args(layout));
    assert!(code == 3 && told.contains("classes.tsv"), "{told}");
}

#[test]
fn numbers_and_wordnet_ids_need_names_before_they_are_released() {
    let folder = tree(&["n01496331/1.bmp", "n01498041/2.bmp"]);
    let here = folder.path();
    let (code, told) = failure(&mut promptfed(here, &["extract", "."]));
    assert_eq!(code, 3, "{told}");
    for remedy in ["n01496331", "--label-space", "classes.tsv", "prompt_name"] {
        assert!(told.contains(remedy), "{told}");
    }
    // Other work needs no words.
    let dealt = json(&mut promptfed(
        here,
        &["partition", ".", "--partition", "iid:2"],
    ));
    assert_eq!(dealt["classes"][0], "n01496331");
    assert_eq!(dealt["read_as"][0]["meaning"], "class");

    let words = "n01496331\tcrampfish, numbfish\nn01498041\tsting_ray\n";
    std::fs::write(here.join("words.txt"), words).unwrap();
    let shown = promptfed(here, &["extract", "."]).assert().success();
    let shown = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(
        shown.contains("a crampfish [") && shown.contains("a sting ray ["),
        "{shown}"
    );
}

#[test]
fn warnings_are_grouped_as_text_and_whole_as_json() {
    let mut files: Vec<String> = (0..30).map(|i| format!("data/red/{i}.bmp")).collect();
    files.extend((0..30).map(|i| format!("data/blue/{i}.bmp")));
    files.extend((0..9).map(|i| format!("data/blue/more{i}/1.bmp")));
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let folder = tree(&files);
    let here = folder.path();
    for i in 0..7 {
        std::fs::write(here.join(format!("data/red/bad{i}.png")), "no picture").unwrap();
    }
    let told = promptfed(here, &["extract", "data"]).assert().success();
    let told = String::from_utf8(told.get_output().stderr.clone()).unwrap();
    let warnings: Vec<&str> = told.lines().filter(|l| l.starts_with("warning")).collect();
    assert_eq!(warnings.len(), 2, "{told}");
    assert!(warnings[0].contains("9 pictures"), "{told}");
    assert!(
        warnings[1].contains("7 pictures") && warnings[1].contains("bad0.png"),
        "{told}"
    );
    let extracted = json(&mut promptfed(here, &["extract", "data"]));
    assert_eq!(extracted["warnings"].as_array().unwrap().len(), 16);
    let trained = json(&mut promptfed(
        here,
        &["train", "data", "--epochs", "1", "--width", "8"],
    ));
    assert_eq!(trained["warnings"].as_array().unwrap().len(), 16);
    let tested = json(&mut promptfed(
        here,
        &["evaluate", "model.safetensors", "data"],
    ));
    assert_eq!(tested["warnings"].as_array().unwrap().len(), 16);

    for i in 0..90 {
        std::fs::write(here.join(format!("data/red/worse{i}.png")), "no picture").unwrap();
    }
    for command in ["extract", "train"] {
        let (code, told) = failure(&mut promptfed(here, &[command, "data"]));
        assert!(code == 3 && told.contains("bad0.png"), "{told}");
    }
}

#[test]
fn classes_that_the_model_does_not_know_are_counted() {
    let Some(case) = shared("sign2") else { return };
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let train = case.join("train");
    json(
        promptfed(here, &[])
            .arg("train")
            .arg(&train)
            .args(["--epochs", "2", "--width", "8"]),
    );
    let test = case.join("test");
    let tested = json(promptfed(here, &["evaluate", "model.safetensors"]).arg(&test));
    assert_eq!(tested["images"], 12);
    assert_eq!(tested["unknown_classes"]["-1"], 6);
    let shown = promptfed(here, &["evaluate", "model.safetensors"])
        .arg(&test)
        .assert()
        .success();
    let shown = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(
        shown.contains("6 pictures have a class that the model does not know"),
        "{shown}"
    );
}

#[test]
fn test_pictures_that_clients_hold_are_refused() {
    let folder = tree(&[
        "train/red/1.bmp",
        "train/red/2.bmp",
        "train/blue/3.bmp",
        "test/red/4.bmp",
        "test/blue/5.bmp",
    ]);
    let here = folder.path();
    std::fs::copy(
        here.join("train/blue/3.bmp"),
        here.join("test/blue/copy.bmp"),
    )
    .unwrap();
    let compare = |more: &[&str]| {
        let mut command = promptfed(here, &[]);
        command.args([
            "compare",
            "--private",
            ".",
            "--test",
            ".",
            "--methods",
            "chance",
        ]);
        command
            .args(["--partition", "iid:1", "--seeds", "1"])
            .args(more);
        command
    };
    let (code, told) = failure(&mut compare(&[]));
    assert!(code == 3 && told.contains("--private-split"), "{told}");
    let splits = ["--private-split", "train", "--test-split", "test"];
    let (code, told) = failure(&mut compare(&splits));
    assert_eq!(code, 3, "{told}");
    assert!(
        told.contains("1 of the 3 test pictures") && told.contains("copy.bmp"),
        "{told}"
    );
    let mut compared = compare(&splits);
    let compared: Value = json(compared.arg("--allow-overlap"));
    assert_eq!(compared["methods"].as_array().unwrap().len(), 1);
    assert_eq!(compared["read_as"]["test"][0]["examples"][0], "test");
}

#[test]
fn texts_in_every_encoding_of_editors_are_alike() {
    let Some(texts) = shared("text") else { return };
    let folder = tree(&["cat/1.bmp", "dog/2.bmp"]);
    let here = folder.path();
    for name in ["ls.toml", "ls_bom.toml", "ls_crlf.toml", "ls_utf16.toml"] {
        let extracted =
            json(promptfed(here, &["extract", ".", "--label-space"]).arg(texts.join(name)));
        assert_eq!(extracted["prompts"], 2, "{name}");
    }
    for name in ["cfg_bom.toml", "cfg_crlf.toml", "cfg_utf16.toml"] {
        let extracted = json(
            promptfed(here, &[])
                .arg("--config")
                .arg(texts.join(name))
                .args(["extract", "."]),
        );
        assert_eq!(extracted["prompts"], 2, "{name}");
    }
    for name in [
        "plain.jsonl",
        "bom.jsonl",
        "crlf.jsonl",
        "utf16.jsonl",
        "UPPER.JSONL",
    ] {
        let made = json(
            promptfed(
                here,
                &[
                    "synth",
                    "--out",
                    name,
                    "--steps",
                    "1",
                    "--limit",
                    "1",
                    "--prompts",
                ],
            )
            .arg(texts.join(name))
            .args(["--label-space", "imagenette"]),
        );
        assert_eq!(made["report"]["accepted"], 1, "{name}");
    }
}

#[test]
fn captions_of_tables_and_side_cars_are_read_or_named() {
    let (Some(table), Some(latin)) = (shared("metadata_csv/M2"), shared("cap_1252")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let instance = |data: &Path| {
        let mut command = promptfed(here, &[]);
        command.arg("extract").arg(data);
        command.args(["--level", "instance", "--captioner", "metadata"]);
        command
    };
    let extracted = json(&mut instance(&table));
    assert_eq!(extracted["images"], 6);
    assert!(released(here).contains("caption red 0"));
    let output = instance(&latin).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains(".txt") && told.contains("Windows-1252"),
        "{told}"
    );
}

#[test]
fn the_first_reasons_have_paths_when_nothing_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for class in ["axe", "bee"] {
        std::fs::create_dir(here.join(class)).unwrap();
        std::fs::write(here.join(class).join("0.png"), "no picture").unwrap();
    }
    for command in ["extract", "train"] {
        let (code, told) = failure(&mut promptfed(here, &[command, "."]));
        assert!(code == 3 && told.contains("axe/0.png"), "{told}");
    }
}

#[test]
fn prompt_files_are_read_in_every_encoding_and_faults_named_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let text = "{\"class\":\"mammal\",\"prompt\":\"a Siamese café cat\"}\r\n\
                {\"class\":\"vehicle\",\"prompt\":\"a bus\"}\n";
    let utf16 = |mark: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("{mark}{text}")
            .encode_utf16()
            .flat_map(unit)
            .collect()
    };
    let synth = |out: &str, bytes: &[u8]| {
        std::fs::write(here.join("list.jsonl"), bytes).unwrap();
        let mut command = promptfed(here, &["synth", "--prompts", "list.jsonl"]);
        command.args(["--label-space", "emoji", "--steps", "1", "--out", out]);
        command
    };
    let mark = "\u{feff}";
    for (out, bytes) in [
        ("plain", text.as_bytes().to_vec()),
        ("mark", format!("{mark}{text}").into_bytes()),
        ("little", utf16(mark, u16::to_le_bytes)),
        ("big", utf16(mark, u16::to_be_bytes)),
    ] {
        json(&mut synth(out, &bytes));
        let manifest = std::fs::read_to_string(here.join(out).join("manifest.jsonl")).unwrap();
        let plain = std::fs::read_to_string(here.join("plain/manifest.jsonl")).unwrap();
        assert!(manifest.contains("a Siamese café cat"), "{manifest}");
        assert_eq!(manifest, plain, "{out}");
    }
    let latin: Vec<u8> = text
        .replace("a bus", "un caf~")
        .bytes()
        .map(|b| if b == b'~' { 0xe9 } else { b })
        .collect();
    let mut torn = utf16(mark, u16::to_le_bytes);
    torn.pop();
    for (bytes, part) in [
        (latin, "line 2"),
        (utf16("", u16::to_le_bytes), "UTF-16"),
        (torn, "UTF-16"),
        (text.replace("\"a bus\"", "\"a bus").into_bytes(), "line 2"),
        (text.replace("vehicle", "vehikle").into_bytes(), "line 2"),
        (b"\0\0\0\0".to_vec(), "line 1"),
    ] {
        let (code, told) = failure(&mut synth("wrong", &bytes));
        assert!(code == 3 && told.contains("list.jsonl"), "{code} {told}");
        assert!(told.contains(part), "{part}: {told}");
        assert!(!here.join("wrong").exists(), "{told}");
    }
}

#[test]
fn an_edited_file_of_prompts_is_answered_with_the_line() {
    let folder = tree(&[
        "photo/cat/1.bmp",
        "photo/dog/2.bmp",
        "sketch/cat/3.bmp",
        "sketch/dog/4.bmp",
    ]);
    let here = folder.path();
    json(&mut promptfed(here, &["extract", ".", "--level", "domain"]));
    std::fs::write(
        here.join("pets.toml"),
        "name = \"pets\"\nclasses = [{ name = \"cat\" }, { name = \"dog\" }]\n",
    )
    .unwrap();
    let own = released(here);
    let line = 1 + own
        .lines()
        .position(|l| l.contains("sketch") && l.contains("class"))
        .unwrap();
    for (from, to) in [
        (
            "\"class\":0,\"domain\":\"sketch\"",
            "\"class\":0,\"domain\":\"scetch\"",
        ),
        (
            "\"class\":0,\"domain\":\"sketch\"",
            "\"class\":8,\"domain\":\"sketch\"",
        ),
        (
            "\"class\":0,\"domain\":\"sketch\"",
            "\"class\":0,\"domain\":\"\"",
        ),
        (
            "{\"class\":0,\"domain\":\"sketch\"",
            "\"class\":0,\"domain\":\"sketch\"",
        ),
    ] {
        assert!(own.contains(from), "{own}");
        std::fs::write(here.join("prompts.json"), own.replacen(from, to, 1)).unwrap();
        let synth = [
            "synth",
            "--prompts",
            "prompts.json",
            "--label-space",
            "pets.toml",
            "--out",
            "o",
        ];
        let (code, told) = failure(&mut promptfed(here, &synth));
        assert!(code == 3 && told.contains("prompts.json"), "{told}");
        assert!(told.contains(&format!("line {line}, ")), "{line}: {told}");
    }
}

#[test]
fn classes_that_prompts_cannot_say_are_refused_before_the_images() {
    let folder = tree(&["a b/1.bmp", "a_b/2.bmp", "c/3.bmp"]);
    let here = folder.path();
    let (code, told) = failure(&mut promptfed(here, &["extract", "."]));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("`a b` and `a_b`"), "{told}");
    json(&mut promptfed(
        here,
        &["extract", ".", "--exclude-class", "a_b"],
    ));

    let folder = tree(&[
        "001.Black_footed_Albatross/1.bmp",
        "002.Laysan_Albatross/2.bmp",
    ]);
    let here = folder.path();
    let (code, told) = failure(&mut promptfed(here, &["extract", "."]));
    assert!(code == 3 && told.contains("label-space from"), "{told}");
    json(&mut promptfed(
        here,
        &["label-space", "from", ".", "--out", "birds.toml"],
    ));
    json(&mut promptfed(
        here,
        &["extract", ".", "--label-space", "birds.toml"],
    ));
    let prompts = std::fs::read_to_string(here.join("prompts.preview.json")).unwrap();
    assert!(prompts.contains("a Black footed Albatross"), "{prompts}");
    assert!(!released(here).contains("001"), "{}", released(here));
    // Data whose words nobody has seen opens no round.
    let open = ["round", "open", ".", "--server", "http://127.0.0.1:1"];
    let (code, told) = failure(&mut promptfed(here, &open));
    assert!(code == 3 && told.contains("label-space from"), "{told}");
}

#[test]
fn words_that_the_generator_never_saw_are_told_before_the_images_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for class in ["basophil", "dog"] {
        std::fs::create_dir(here.join(class)).unwrap();
        std::fs::write(here.join(class).join("0.png"), "no picture").unwrap();
    }
    let (code, told) = failure(&mut promptfed(here, &["extract", "."]));
    assert_eq!(code, 3, "{told}");
    let warned = told
        .find("was never shown 1 of 2 classes: basophil")
        .unwrap();
    assert!(
        warned < told.find("no picture").or(told.find("error:")).unwrap(),
        "{told}"
    );
    assert!(told.contains("those of the server may be others"), "{told}");
}

#[test]
fn rows_without_a_domain_are_given_the_sites() {
    let folder = tree(&["cat/1.bmp", "cat/2.bmp", "dog/3.bmp", "dog/4.bmp"]);
    let here = folder.path();
    let table = "path,class,domain\ncat/1.bmp,cat,sketch\ncat/2.bmp,cat,\ndog/3.bmp,dog,\ndog/4.bmp,dog,sketch\n";
    std::fs::write(here.join("list.csv"), table).unwrap();
    let extract = ["extract", "list.csv", "--level", "domain"];
    let (code, told) = failure(&mut promptfed(here, &extract));
    assert!(code == 3 && told.contains("--domain"), "{told}");
    let extracted = json(promptfed(here, &extract).args(["--domain", "photo"]));
    assert_eq!(extracted["prompts"], 4);
    let domains: Vec<&str> = extracted["preview"]
        .as_array()
        .unwrap()
        .iter()
        .map(|prompt| prompt["domain"].as_str().unwrap())
        .collect();
    assert_eq!(domains, ["photo", "sketch", "photo", "sketch"]);
    std::fs::write(here.join("list.csv"), table.replace(",\n", ",art\n")).unwrap();
    let (code, told) = failure(promptfed(here, &extract).args(["--domain", "photo"]));
    assert!(code == 3 && told.contains("every image"), "{told}");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_of_classes_is_told_as_what_it_is() {
    let folder = tree(&["cat/1.bmp", "dog/2.bmp"]);
    let here = folder.path();
    let made = std::process::Command::new("mkfifo")
        .arg(here.join("pipe"))
        .status();
    assert!(made.unwrap().success());
    for flag in ["--label-space", "--templates"] {
        for (name, part) in [
            ("pipe", "a named pipe"),
            ("cat", "a folder"),
            ("nowhere", "neither a file nor"),
        ] {
            let (code, told) = failure(&mut promptfed(here, &["extract", ".", flag, name]));
            assert!(code == 3 && told.contains(part), "{flag} {name}: {told}");
        }
    }
}

#[test]
fn a_comparison_refuses_what_cannot_be_before_it_begins() {
    let folder = tree(&[
        "train/a/1.bmp",
        "train/b/2.bmp",
        "train/c/3.bmp",
        "test/a/4.bmp",
    ]);
    let here = folder.path();
    for (flags, part) in [
        (
            &["--methods", "fgl", "--images", "2"][..],
            "--images 2 leaves some of the 3 classes",
        ),
        (&["--methods", "chance,chance"], "chance twice"),
    ] {
        let mut command = promptfed(here, &["compare", "--private", "train", "--test", "test"]);
        command
            .args(["--partition", "iid:1", "--seeds", "1"])
            .args(flags);
        let (code, told) = failure(&mut command);
        assert!(code == 3 && told.contains(part), "{code} {told}");
        assert!(!here.join("promptfed-compare/report.html").exists());
    }
}

#[test]
fn numbers_are_printed_as_they_were_written() {
    let folder = tree(&["cat/1.bmp", "dog/2.bmp"]);
    let here = folder.path();
    let train = [
        "train",
        ".",
        "--epochs",
        "1",
        "--width",
        "8",
        "--learning-rate",
        "0.07",
        "--shift",
        "0.3",
        "--json",
    ];
    let shown = promptfed(here, &train).assert().success();
    let shown = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    for number in [
        "\"learning_rate\":0.07,",
        "\"momentum\":0.9,",
        "\"label_smoothing\":0.1,",
        "\"shift\":0.3}",
    ] {
        assert!(shown.contains(number), "{number}: {shown}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_left_out_or_refused() {
    let folder = tree(&["cat/1.bmp", "cat/2.bmp", "dog/3.bmp", "dog/4.bmp"]);
    let here = folder.path();
    std::os::unix::fs::symlink("../gone.bmp", here.join("dog/5.bmp")).unwrap();
    let dealt = json(&mut promptfed(
        here,
        &["partition", ".", "--partition", "iid:2"],
    ));
    assert_eq!(
        dealt["clients"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c.as_array().unwrap().len())
            .sum::<usize>(),
        4
    );
    assert!(
        dealt["warnings"]
            .to_string()
            .contains("dog/5.bmp is a link that leads nowhere")
    );
    let (code, told) = failure(&mut promptfed(here, &["extract", ".", "--strict"]));
    assert!(code == 3 && told.contains("dog/5.bmp"), "{told}");
}
