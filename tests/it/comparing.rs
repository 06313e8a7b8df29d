//! `compare` with many methods, in parts, and over several data sets, with the real binary.

use crate::support::{failure, json, program, promptfed};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const CLASSES: [&str; 3] = ["cat", "dog", "fox"];

/// Pictures of three classes that differ in where a square lies, some to learn from and some to test.
fn pictures(folder: &Path, name: &str, each: u32) {
    for (class, of) in CLASSES.iter().enumerate() {
        for (split, first, count) in [("private", 0, each), ("test", 500, 4), ("public", 900, 5)] {
            let place = folder.join(name).join(split).join(of);
            std::fs::create_dir_all(&place).unwrap();
            for i in first..first + count {
                let picture = image::RgbImage::from_fn(16, 16, |x, y| {
                    let noise = ((x * 7 + y * 13 + i * 29 + x * y * i) % 60) as u8;
                    let inside = x / 8 == class as u32 % 2 && y / 8 == class as u32 / 2;
                    image::Rgb(if inside {
                        [noise + 180, noise, noise]
                    } else {
                        [noise; 3]
                    })
                });
                picture.save(place.join(format!("{i}.png"))).unwrap();
            }
        }
    }
}

const SMALL: [&str; 5] = ["--seeds", "1", "--image-size", "16", "--partition=iid:2"];
const TRAINED: [&str; 5] = ["--width", "4", "--batch-size", "4", "--no-flip"];

/// A comparison of methods of which some train.
fn compare(methods: &str, more: &[&str]) -> Vec<String> {
    untrained(methods, &[&TRAINED, more].concat())
}

fn untrained(methods: &str, more: &[&str]) -> Vec<String> {
    let of = |split: &str| format!("pets/{split}");
    let (private, test) = (of("private"), of("test"));
    let start = [
        "compare",
        "--private",
        &private,
        "--test",
        &test,
        "--out",
        "out",
        "--methods",
        methods,
    ];
    let all = start.iter().chain(&SMALL).chain(more);
    all.map(|&arg| arg.to_owned()).collect()
}

fn run(folder: &Path, args: &[String]) -> Value {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    json(&mut promptfed(folder, &args))
}

fn refused(folder: &Path, args: &[String]) -> (i32, String) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    failure(&mut promptfed(folder, &args))
}

/// The files of a comparison's runs, and when each was written.
fn cells(folder: &Path) -> Vec<(PathBuf, SystemTime)> {
    let Ok(entries) = std::fs::read_dir(folder.join("cells")) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            (
                path.clone(),
                std::fs::metadata(&path).unwrap().modified().unwrap(),
            )
        })
        .collect();
    found.sort();
    found
}

#[test]
fn every_method_that_needs_no_generator_runs_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 6);
    let listed = json(&mut promptfed(folder.path(), &["methods"]));
    let names: Vec<String> = listed["methods"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|method| !method["makes_images"].as_bool().unwrap())
        .map(|method| method["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.len() >= 12, "{names:?}");
    let told = run(
        folder.path(),
        &compare(
            &names.join(","),
            &["--rounds", "3", "--epochs", "6", "--public", "pets/public"],
        ),
    );
    let rows = told["methods"].as_array().unwrap();
    for (row, name) in rows.iter().zip(&names) {
        assert_eq!(row["name"], name.as_str());
        let accuracy = row["accuracy_mean"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy), "{name}");
        let silent = ["local", "chance"].contains(&name.as_str());
        assert_eq!(row["bytes_up"].as_u64().unwrap() == 0, silent, "{name}");
    }
    let page = std::fs::read_to_string(folder.path().join("out/report.html")).unwrap();
    assert!(names.iter().all(|name| page.contains(name.as_str())));
}

#[test]
fn every_method_that_makes_images_runs_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 6);
    let listed = json(&mut promptfed(folder.path(), &["methods"]));
    let names: Vec<String> = listed["methods"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|method| method["makes_images"].as_bool().unwrap())
        .map(|method| method["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.len() >= 4, "{names:?}");
    let more = [
        "--engine=pocket",
        "--engine=pocket:draw",
        "--images=6",
        "--generated=12",
        "--steps=1",
        "--synthetic-epochs=1",
    ];
    let told = run(folder.path(), &compare(&names.join(","), &more));
    let rows = told["methods"].as_array().unwrap();
    assert_eq!(rows.len(), names.len());
    for (row, name) in rows.iter().zip(&names) {
        assert_eq!(row["name"], name.as_str());
        let accuracy = row["accuracy_mean"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy), "{name}");
        assert!(
            row["synthetic"]["trained_on"].as_u64().unwrap() > 0,
            "{name}"
        );
    }
}

/// Levels of prompts and rounds that follow stand side by side; the first model of these does not cross twice.
#[test]
fn generative_methods_stand_beside_themselves() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 6);
    let methods = [
        "fgl:level=class",
        "fgl:level=instance",
        "fgl-rounds:level=class:rounds=2:server-epochs=1",
        "fedavg",
    ];
    let more = [
        "--images",
        "12",
        "--synthetic-epochs",
        "2",
        "--rounds",
        "2",
        "--links=up=1MB,down=10MB",
        "--sample-seconds=0.02",
    ];
    let told = run(folder.path(), &compare(&methods.join(","), &more));
    let rows = told["methods"].as_array().unwrap();
    let bytes = |row: usize, direction: &str, kind: &str| -> u64 {
        let kinds = rows[row]["bytes_by_kind"].as_array().unwrap();
        let found = kinds
            .iter()
            .find(|k| k["direction"] == direction && k["kind"] == kind);
        found.map_or(0, |k| k["bytes"].as_u64().unwrap())
    };
    for (row, name) in rows.iter().zip(methods) {
        assert_eq!(row["name"], name);
    }
    // Nobody said how long the server takes.
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains("--server-speed"), "{warnings}");
    // Sealed in classes of sizes, short sets are equally long.
    assert!(bytes(1, "up", "prompts") >= bytes(0, "up", "prompts"));
    assert_eq!(bytes(2, "up", "prompts"), bytes(0, "up", "prompts"));
    let record = std::fs::read(folder.path().join("out/report.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let provenance = record["comparison"]["provenance"].as_array().unwrap();
    let pooled = |method: &str| {
        let name = format!("{method} pooled prompts, seed 0");
        let row = provenance.iter().find(|row| row[0] == name.as_str());
        row.unwrap_or_else(|| panic!("{name}"))[1].clone()
    };
    assert_ne!(pooled(methods[0]), pooled(methods[1]));
    assert_eq!(pooled(methods[0]), pooled(methods[2]));
    // The same models as FedAvg's up; down one round fewer, and the server's first.
    for direction in ["up", "down"] {
        let (ours, theirs) = (bytes(2, direction, "model"), bytes(3, direction, "model"));
        // Files of a model may tell more or less of it.
        assert!(
            ours.abs_diff(theirs) * 20 < theirs,
            "{direction} {ours} {theirs}"
        );
    }
    let record = std::fs::read_to_string(folder.path().join("out/report.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let run = &record["comparison"]["methods"][2]["runs"][0];
    let course = run["accuracy_by_bytes"].as_array().unwrap();
    assert_eq!(course.len(), 3, "{course:?}");
    assert_eq!(run["curve"].as_array().unwrap().len(), 2);
    assert_eq!(run["synthetic"]["trained_on"], 12);
    let (code, told) = refused(folder.path(), &compare("fgl-rounds", &["--rounds", "2"]));
    assert!(code == 3 && told.contains("fgl-rounds:rounds=5"), "{told}");
}

/// Also rounds that nobody answered in are read again.
#[test]
fn rounds_that_few_take_part_in_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 6);
    let rare = [
        "--rounds",
        "4",
        "--participation",
        "0.5",
        "--dropout",
        "0.9",
    ];
    let first = run(folder.path(), &compare("fedavg,scaffold", &rare));
    let row = &first["methods"][0];
    assert!(row["bytes_down"].as_u64().unwrap() > row["bytes_up"].as_u64().unwrap());
    let before = cells(&folder.path().join("out"));
    let again = [&rare[..], &["--resume"]].concat();
    run(folder.path(), &compare("fedavg,scaffold", &again));
    assert_eq!(cells(&folder.path().join("out")), before, "measured again");
}

#[test]
fn what_was_measured_is_not_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    pictures(folder.path(), "pets", 6);
    let first = run(
        folder.path(),
        &compare("centralised,chance", &["--epochs", "6"]),
    );
    let before = cells(&out);
    assert_eq!(before.len(), 2);
    let (code, told) = refused(folder.path(), &untrained("chance", &[]));
    assert!(code == 3 && told.contains("--resume"), "{told}");
    let more = compare(
        "centralised,chance,fedavg:learning-rate=0.02",
        &["--epochs", "6", "--rounds", "2", "--resume"],
    );
    let second = run(folder.path(), &more);
    let after = cells(&out);
    assert_eq!(after.len(), 3);
    assert!(
        before.iter().all(|cell| after.contains(cell)),
        "written again"
    );
    for (one, other) in first["methods"]
        .as_array()
        .unwrap()
        .iter()
        .zip(second["methods"].as_array().unwrap())
    {
        assert_eq!(one, other);
    }
    assert_eq!(second["methods"][2]["name"], "fedavg:learning-rate=0.02");
    run(folder.path(), &untrained("chance", &["--force"]));
    let replaced = cells(&out);
    assert_eq!(replaced.len(), 1);
    assert!(!before.contains(&replaced[0]));
}

#[test]
fn killed_it_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    pictures(folder.path(), "pets", 6);
    let args = compare(
        "chance,centralised,fedavg,fedprox,moon,scaffold",
        &["--rounds", "4", "--epochs", "6"],
    );
    let mut killed = 0;
    for wanted in [1, 3] {
        let mut child = program(folder.path()).args(&args).spawn().unwrap();
        let start = Instant::now();
        while cells(&out).len() < wanted && child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(120));
            std::thread::sleep(Duration::from_millis(2));
        }
        killed += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
    }
    let kept = cells(&out);
    assert!(killed > 0 && !kept.is_empty());
    // Without a report there is nothing to replace or to add to.
    let finished = out.join("report.html").exists();
    let more = if finished {
        vec!["--resume"]
    } else {
        Vec::new()
    };
    let args = compare(
        "chance,centralised,fedavg,fedprox,moon,scaffold",
        &[&["--rounds", "4", "--epochs", "6"][..], &more].concat(),
    );
    let resumed = run(folder.path(), &args);
    let after = cells(&out);
    assert!(after.len() == 6 && kept.iter().all(|cell| after.contains(cell)));
    let whole = tempfile::tempdir().unwrap();
    pictures(whole.path(), "pets", 6);
    let args = compare(
        "chance,centralised,fedavg,fedprox,moon,scaffold",
        &["--rounds", "4", "--epochs", "6"],
    );
    let whole = run(whole.path(), &args);
    let figures = |told: &Value| -> Vec<Value> {
        let rows = told["methods"].as_array().unwrap().iter();
        rows.map(|row| {
            let mut row = row.clone();
            row["seconds"] = Value::Null;
            row
        })
        .collect()
    };
    assert_eq!(figures(&resumed), figures(&whole));
}

const GRID: &str = r#"
[settings]
methods = ["centralised", "fedavg", "chance"]
seeds = 2
image-size = 16
width = 4
batch-size = 4
no-flip = true
epochs = 4
rounds = 2

[[data]]
name = "pets"
private = "pets/private"
test = "pets/test"
partitions = ["iid:2", "dirichlet:2:0.5"]
min-per-client = 1

[[data]]
name = "more pets"
private = "more/private"
test = "more/test"
partitions = ["iid:3"]
methods = ["local", "chance"]
"#;

#[test]
fn a_grid_is_measured_cell_by_cell() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 6);
    pictures(folder.path(), "more", 7);
    // Rounds mean nothing to the second data set's methods.
    std::fs::write(folder.path().join("grid.toml"), GRID).unwrap();
    let args = ["compare", "grid.toml", "--out", "out"];
    let (code, told) = failure(&mut promptfed(folder.path(), &args));
    assert!(
        code == 3 && told.contains("more pets, iid:3") && told.contains("--rounds"),
        "{told}"
    );
    let without = GRID.replace("rounds = 2\n", "").replace(
        "partitions = [\"iid:2\", \"dirichlet:2:0.5\"]",
        "partitions = [\"iid:2\", \"dirichlet:2:0.5\"]\nrounds = 2",
    );
    std::fs::write(folder.path().join("grid.toml"), without).unwrap();
    let told = json(&mut promptfed(folder.path(), &args));
    let rows = told["rows"].as_array().unwrap();
    let of = |row: &Value| {
        ["data", "partition", "name"].map(|key| row[key].as_str().unwrap().to_owned())
    };
    let cells_told: Vec<[String; 3]> = rows.iter().map(of).collect();
    assert_eq!(cells_told.len(), 3 + 3 + 2);
    assert_eq!(
        cells_told[0],
        ["pets", "iid:2", "centralised"].map(str::to_owned)
    );
    assert_eq!(
        cells_told[7],
        ["more pets", "iid:3", "chance"].map(str::to_owned)
    );
    assert!(rows.iter().all(|row| row["runs"] == 2));
    let csv = std::fs::read_to_string(folder.path().join("out/results.csv")).unwrap();
    assert_eq!(csv.lines().count(), 9);
    assert!(
        csv.lines()
            .nth(1)
            .unwrap()
            .starts_with("pets,iid:2,centralised,2,")
    );
    // Only chance, which is no rival, has all three comparisons.
    assert!(told["not_ranked"].as_str().unwrap().contains("3 methods"));
    assert!(told["critical_difference"].is_null());
    assert!(!folder.path().join("out/critical_difference.svg").exists());
    let place = folder.path().join("out/more-pets-iid-3");
    assert!(place.join("report.html").exists());
    assert!(place.join("tables/runs.csv").exists() && place.join("figures").exists());
    let before = cells(&place);
    assert_eq!(before.len(), 4);
    // Once more it adds nothing, and tells the same, wherever the command is typed.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let above = [
        "compare",
        "../grid.toml",
        "--out",
        "../out",
        "--data-root",
        "..",
    ];
    let again = json(&mut promptfed(&elsewhere, &above));
    assert_eq!(again["rows"], told["rows"]);
    assert_eq!(cells(&place), before);
    let page = ["results", "out", "--out", "docs/results.md"];
    let written = json(&mut promptfed(folder.path(), &page));
    assert_eq!(written["comparisons"], 3);
    let text = std::fs::read_to_string(folder.path().join("docs/results.md")).unwrap();
    for part in [
        "### pets, iid:2",
        "### pets, dirichlet:2:0.5",
        "### more pets, iid:3",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let figures = written["figures"].as_array().unwrap();
    for figure in figures {
        assert!(folder.path().join(figure.as_str().unwrap()).exists());
    }
    for (args, part) in [
        (
            ["results", "pets", "--out", "docs/results.md"],
            "results.json",
        ),
        (["results", "out", "--out", "docs/results"], ".md"),
    ] {
        let (code, told) = failure(&mut promptfed(folder.path(), &args));
        assert!(code == 3 && told.contains(part), "{told}");
    }
}

#[test]
fn a_grid_that_means_nothing_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 6);
    let data = "[[data]]\nname = \"pets\"\nprivate = \"pets/private\"\ntest = \"pets/test\"\npartitions = [\"iid:2\"]\n";
    for (text, part) in [
        ("[settings]\n".to_owned(), "missing field `data`"),
        (format!("{data}colour = 3\n"), "`colour` is no flag"),
        (data.replace("iid:2", "iid:0"), "iid:0"),
        (data.replace("[\"iid:2\"]", "[]"), "no partitions"),
        (
            data.replace("[\"iid:2\"]", "[\"iid:2\", \"iid:2\"]"),
            "another has the folder",
        ),
        (format!("{data}methods = [\"fedsgd\"]\n"), "no method"),
        (
            data.replace("name = \"pets\"\n", ""),
            "missing field `name`",
        ),
    ] {
        std::fs::write(folder.path().join("grid.toml"), &text).unwrap();
        let (code, told) = failure(&mut promptfed(folder.path(), &["compare", "grid.toml"]));
        assert!(
            code == 3 && told.contains("grid.toml") && told.contains(part),
            "{told}"
        );
        assert!(!folder.path().join("promptfed-compare").exists());
    }
    std::fs::write(folder.path().join("grid.toml"), data).unwrap();
    let beside = ["compare", "grid.toml", "--seeds", "2"];
    let (code, told) = failure(&mut promptfed(folder.path(), &beside));
    assert!(
        code == 3 && told.contains("--seeds stands beside a grid"),
        "{told}"
    );
}

#[test]
fn a_head_on_frozen_features_reads_no_flag_of_classifiers() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 6);
    let (code, told) = refused(folder.path(), &compare("fedpft,chance", &[]));
    assert!(
        code == 3 && told.contains("a classifier of its own"),
        "{told}"
    );
    let told = run(folder.path(), &untrained("fedpft:components=2", &[]));
    let row = &told["methods"][0];
    assert_eq!(row["name"], "fedpft:components=2");
    // What these pictures show differs by its place alone, which the mean over places does not tell.
    let accuracy = row["accuracy_mean"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&accuracy), "{row}");
    assert!(row["bytes_up"].as_u64().unwrap() > 0);
    let warnings = told["warnings"].as_array().unwrap();
    let says = |warning: &Value| warning.as_str().unwrap().contains("ImageNet");
    assert!(warnings.iter().any(says), "{warnings:?}");
}

#[test]
fn a_method_that_looks_at_public_images_needs_some() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 6);
    let (code, told) = refused(folder.path(), &compare("fedmd", &["--rounds", "2"]));
    assert!(code == 3 && told.contains("--public"), "{told}");
    let (code, told) = refused(
        folder.path(),
        &untrained("chance", &["--public", "pets/public"]),
    );
    assert!(code == 3 && told.contains("fedmd"), "{told}");
    let tests = compare("fedmd", &["--rounds", "2", "--public", "pets/test"]);
    let (code, told) = refused(folder.path(), &tests);
    assert!(
        code == 3 && told.contains("among the public ones"),
        "{told}"
    );
}

#[test]
fn more_jobs_tell_the_same_figures_and_say_that_they_shared_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 6);
    let with = |jobs: &str, out: &str| {
        let args = ["--rounds", "2", "--epochs", "3", "--jobs", jobs];
        let args: Vec<String> = compare("fedavg,centralised,chance", &args)
            .into_iter()
            .map(|arg| if arg == "out" { out.to_owned() } else { arg })
            .collect();
        run(folder.path(), &args)
    };
    let (one, two) = (with("1", "one"), with("2", "two"));
    let figures = |told: &Value, jobs: u64| -> Vec<Value> {
        let rows = told["methods"].as_array().unwrap().iter();
        rows.map(|row| {
            let mut row = row.clone();
            assert_eq!(row["jobs"], jobs);
            (row["jobs"], row["seconds"]) = (Value::Null, Value::Null);
            row
        })
        .collect()
    };
    assert_eq!(figures(&one, 1), figures(&two, 2));
    let page = std::fs::read_to_string(folder.path().join("two/report.html")).unwrap();
    assert!(page.contains("2 runs shared the machine"));
    let (code, told) = refused(folder.path(), &compare("fedavg", &["--jobs", "0"]));
    assert!(code == 2 && told.contains("from 1 to 256"), "{told}");
}

#[test]
fn learning_rates_are_tried_told_and_tried_no_second_time() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 8);
    let args = compare(
        "fedavg,chance",
        &["--rounds", "2", "--tune", "lr=0.05,0.001"],
    );
    let told = run(folder.path(), &args);
    let tuned = told["tuned"].as_array().unwrap();
    assert_eq!(tuned.len(), 1, "chance learns nothing");
    assert_eq!(tuned[0]["method"], "fedavg");
    let rates: Vec<f64> = tuned[0]["scores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|score| score["rate"].as_f64().unwrap())
        .collect();
    assert!(rates.len() == 2 && rates[0] < rates[1], "{rates:?}");
    assert!(rates.contains(&tuned[0]["chosen"].as_f64().unwrap()));
    let out = folder.path().join("out");
    let csv = std::fs::read_to_string(out.join("tables/tuning.csv")).unwrap();
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Learning rates"));
    // Two rates of fedavg, and one run of each method.
    let before = cells(&out);
    assert_eq!(before.len(), 4);
    let again = run(
        folder.path(),
        &[&args[..], &["--resume".to_owned()]].concat(),
    );
    assert_eq!((&again["tuned"], cells(&out)), (&told["tuned"], before));
    for (methods, more, part) in [
        (
            "chance",
            ["--tune", "lr=0.1,0.2"].as_slice(),
            "takes a learning rate",
        ),
        (
            "fedavg",
            ["--tune", "lr=0.1,0.2", "--learning-rate", "0.1"].as_slice(),
            "beside --tune",
        ),
    ] {
        let (code, told) = refused(folder.path(), &untrained(methods, more));
        assert!(code == 3 && told.contains(part), "{told}");
    }
    let (code, told) = refused(folder.path(), &compare("fedavg", &["--tune", "0.1"]));
    assert!(code == 2 && told.contains("lr=0.01,0.03,0.1"), "{told}");
}

#[test]
fn links_are_simulated_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), "pets", 6);
    let links = [
        "--rounds",
        "3",
        "--links",
        "up=100kB,down=1MB",
        "--sample-seconds",
        "0.1",
        "--stragglers",
        "0.5:4",
        "--server-speed",
        "round=1",
        "--target-accuracy",
        "0.01",
    ];
    let told = run(folder.path(), &compare("fedavg,chance", &links));
    let rows = told["methods"].as_array().unwrap();
    // Three rounds of nine images on the slower client, a pass over them in each, and of a second at the server.
    let seconds = rows[0]["simulated_seconds"].as_f64().unwrap();
    assert!(seconds > 3.0 * (9.0 * 0.1 * 4.0 + 1.0), "{seconds}");
    assert!(rows[0]["runs_at_target"].as_u64().unwrap() <= 1);
    assert!(rows[1].get("simulated_seconds").is_none(), "{}", rows[1]);
    let out = folder.path().join("out");
    let csv = || std::fs::read_to_string(out.join("tables/accuracy_by_seconds.csv")).unwrap();
    let first = csv();
    assert_eq!(first.lines().count(), 4, "{first}");
    assert!(out.join("figures/accuracy_by_seconds.svg").exists());
    let forced = [&links[..], &["--force"]].concat();
    run(folder.path(), &compare("fedavg,chance", &forced));
    assert_eq!(csv(), first);
    for (more, code, part) in [
        (
            ["--deadline", "5"].as_slice(),
            3,
            "--links up=1MB,down=10MB",
        ),
        (
            ["--links", "up=1MB,down=1MB"].as_slice(),
            2,
            "--sample-seconds",
        ),
        (["--links", "fast"].as_slice(), 2, "up=1MB,down=10MB"),
    ] {
        let (found, told) = refused(folder.path(), &compare("fedavg", more));
        assert!(found == code && told.contains(part), "{found}: {told}");
    }
    let links = ["--links", "up=1MB,down=1MB", "--sample-seconds", "1"];
    let late = [&links[..], &["--deadline", "5", "--public", "pets/public"]].concat();
    let (code, told) = refused(folder.path(), &compare("fedmd", &late));
    assert!(code == 3 && told.contains("waits for all"), "{told}");
    let slow = [&links[..], &["--stragglers", "0.5:4"]].concat();
    let late = [&links[..], &["--deadline", "5"]].concat();
    for (methods, more, flag) in [
        ("centralised,chance", &late, "--deadline"),
        ("fedpft,centralised", &late, "--deadline"),
        ("centralised,chance", &slow, "--stragglers"),
    ] {
        let (code, told) = refused(folder.path(), &compare(methods, more));
        assert!(code == 3 && told.contains(flag), "{methods}: {told}");
    }
}
