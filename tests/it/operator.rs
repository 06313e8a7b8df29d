//! What an operator does with a finished round, by the program itself.

use crate::support::server::Server;
use crate::support::{enrolled, failure, json, promptfed};
use promptfed::prompts::{ClassIndex, LabelSpace, Level, PromptSet, TemplateSet};
use serde_json::Value;

const CLASSES: &str = "name = \"pets\"\n[[classes]]\nname = \"cat\"\n[[classes]]\nname = \"dog\"\n";

fn prompts() -> String {
    let space = LabelSpace::from_toml(CLASSES).unwrap();
    let templates = TemplateSet::builtin("pocket").unwrap();
    let mut builder = PromptSet::builder(&space, Level::Class, &templates);
    for class in 0..2 {
        builder.add(ClassIndex::new(class), None, None).unwrap();
    }
    builder.build().unwrap().to_json()
}

#[test]
fn a_finished_round_is_looked_through_drawn_again_and_published() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(here.join("pets.toml"), CLASSES).unwrap();
    std::fs::write(here.join("prompts.json"), prompts()).unwrap();
    let server = Server::start(here, &[]);
    let run = |args: &[&str]| {
        let mut command = promptfed(here, args);
        command.args(["--server", &server.url]);
        command
    };
    let who = &enrolled(here, &json(&mut run(&["client", "add", "hospital-a"])));
    let open = "round open pets.toml --templates pocket --level class --expected-clients 1 --images-per-prompt 4 --steps 1 --epochs 1 --width 8 --image-size 16";
    json(&mut run(&open.split(' ').collect::<Vec<_>>()));
    json(&mut run(&["submit", "--round", "1", "--credentials", who]));
    json(&mut run(&[
        "round",
        "status",
        "1",
        "--wait",
        "--credentials",
        who,
    ]));
    let as_client = || json(&mut run(&["round", "results", "1", "--credentials", who]));
    let first = as_client();
    assert_eq!(
        (&first["training"], &first["dropped"]),
        (&1.into(), &0.into())
    );

    // The administrator's token lies in this folder.
    let listed = json(&mut run(&[
        "round", "images", "1", "--class", "cat", "--out", "look",
    ]));
    assert_eq!(
        (&listed["total"], listed["images"].as_array().unwrap().len()),
        (&4.into(), 4)
    );
    let look = here.join("look");
    let hashes: Vec<&str> = listed["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["hash"].as_str().unwrap())
        .collect();
    for hash in &hashes {
        assert!(look.join(format!("{hash}.png")).is_file());
    }
    assert!(look.join("contact-sheet.png").is_file());
    let lines = std::fs::read_to_string(look.join("images.jsonl")).unwrap();
    let told: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told, *listed["images"].as_array().unwrap());
    // A folder that holds something else is left alone.
    std::fs::create_dir(here.join("mine")).unwrap();
    std::fs::write(here.join("mine/letter.txt"), "dear").unwrap();
    let (code, _) = failure(&mut run(&["round", "images", "1", "--out", "mine"]));
    assert_eq!(code, 3);

    let short = &hashes[0][..9];
    let dropped = json(&mut run(&["round", "images", "1", "--drop", short]));
    assert_eq!(
        (&dropped["changed"][0], &dropped["dropped"]),
        (&hashes[0].into(), &1.into())
    );
    std::fs::write(here.join("bad.txt"), format!("{}\n\n", hashes[1])).unwrap();
    let from = ["round", "images", "1", "--drop-from", "bad.txt"];
    assert_eq!(json(&mut run(&from))["dropped"], 2);
    assert_eq!(json(run(&from).arg("--undo"))["dropped"], 1);
    let (code, told) = failure(&mut run(&["round", "images", "1", "--undo"]));
    assert!(code == 3 && told.contains("--drop"), "{code} {told}");

    let trained = json(&mut run(&[
        "round",
        "train",
        "1",
        "--epochs",
        "2",
        "--learning-rate",
        "0.02",
        "--wait",
    ]));
    assert_eq!(
        (&trained["training"], &trained["published"]),
        (&2.into(), &false.into())
    );
    assert_eq!(trained["plan"]["epochs"], 2);
    assert_eq!(trained["plan"]["width"], 8);
    let second = json(&mut run(&["round", "results", "1", "--training", "2"]));
    assert_eq!(
        (&second["dropped"], &second["per_class"][0]),
        (&1.into(), &3.into())
    );
    assert_eq!(as_client(), first);
    let redrawn = json(&mut run(&[
        "round",
        "redraw",
        "1",
        "--class",
        "dog",
        "--wait",
        "--publish",
    ]));
    assert_eq!(
        redrawn["redrawn"][0],
        serde_json::json!({ "class": "dog", "draw": 1 })
    );
    let third = as_client();
    assert_eq!(third["training"], 3);
    assert_eq!(third["model"]["hash"], redrawn["model"]["hash"]);
    let published = json(&mut run(&["round", "publish", "1", "2"]));
    assert_eq!(published["published"], true);
    let model = json(&mut run(&["round", "model", "1", "--credentials", who]));
    assert_eq!(model["hash"], second["model"]["hash"]);
    let other = [
        "round",
        "model",
        "1",
        "--training",
        "3",
        "--out",
        "third.safetensors",
    ];
    assert_eq!(json(&mut run(&other))["hash"], third["model"]["hash"]);
    let all = json(&mut run(&["round", "trainings", "1"]));
    let states: Vec<(bool, &str)> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["published"].as_bool().unwrap(),
                one["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(states, [(false, "done"), (true, "done"), (false, "done")]);

    let (code, told) = failure(&mut run(&["round", "cancel", "1", "--training", "2"]));
    assert!(code == 4 && told.contains("training 2"), "{code} {told}");
    let (code, told) = failure(&mut run(&["round", "redraw", "1", "--class", "zebra"]));
    assert!(code == 4 && told.contains("zebra"), "{code} {told}");
    for (args, parts) in [
        (
            &["round", "results", "1"][..],
            &["training", "images dropped", "2 epochs"][..],
        ),
        (&["round", "trainings", "1"], &["published", "dog (1)"]),
        (
            &["round", "images", "1", "--dropped"],
            &["1 of 1 images", "dropped", "cat"],
        ),
    ] {
        let output = run(args).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        for part in parts {
            assert!(told.contains(part), "{told}");
        }
    }
}
