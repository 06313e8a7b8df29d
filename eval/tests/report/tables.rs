use std::collections::BTreeMap;
use std::path::Path;

use csv::StringRecord;
use promptfed_eval::comparison::{Comparison, MethodRun};
use promptfed_eval::report::write;
use promptfed_prompts::ledger::Direction;
use serde_json::Value;

use crate::sample;

/// A table of a comparison: its rows by column.
pub(crate) struct Table(pub(crate) Vec<BTreeMap<String, String>>);

impl Table {
    pub(crate) fn read(folder: &Path, name: &str) -> Self {
        let mut reader = csv::Reader::from_path(folder.join("tables").join(name)).unwrap();
        let columns = reader.headers().unwrap().clone();
        let row = |row: StringRecord| {
            let cells = columns.iter().zip(&row);
            cells.map(|(c, v)| (c.to_owned(), v.to_owned())).collect()
        };
        Self(reader.records().map(|r| row(r.unwrap())).collect())
    }

    /// The rows of a run.
    fn of<'a>(
        &'a self,
        method: &'a str,
        run: &MethodRun,
    ) -> impl Iterator<Item = &'a BTreeMap<String, String>> {
        let seed = run.seed.to_string();
        let rows = self.0.iter();
        rows.filter(move |row| row["method"] == method && row["seed"] == seed)
    }
}

fn number(row: &BTreeMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap()
}

fn written(comparison: &Comparison) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = write(comparison, &folder.path().join("report.html")).unwrap();
    assert_eq!(files.tables.len(), 13);
    assert!(files.tables.iter().all(|file| file.exists()));
    folder
}

fn runs(comparison: &Comparison) -> impl Iterator<Item = (&str, &MethodRun)> {
    comparison.methods.iter().flat_map(|method| {
        let runs = method.runs.iter();
        runs.map(|run| (method.name.as_str(), run))
    })
}

#[test]
fn methods_are_those_of_the_summary_to_the_last_digit() {
    let comparison = sample::comparison();
    let folder = written(&comparison);
    let table = Table::read(folder.path(), "methods.csv");
    let summary = comparison.summary();
    assert_eq!(table.0.len(), summary.len());
    for (row, method) in table.0.iter().zip(&summary) {
        assert_eq!(row["method"], method.name);
        let of = |column| number(row, column);
        assert_eq!(of("runs"), 3.0);
        assert_eq!(of("accuracy"), method.accuracy_mean);
        assert_eq!(of("accuracy_std"), method.accuracy_std);
        assert_eq!(of("accuracy_low"), method.accuracy_interval.unwrap().low);
        assert_eq!(of("macro_f1"), method.macro_f1);
        assert_eq!(of("bytes_up"), method.bytes_up as f64);
        assert_eq!(of("seconds"), method.seconds);
        let error = method.expected_calibration_error;
        assert_eq!(row["expected_calibration_error"].parse::<f64>().ok(), error);
        assert_eq!(row["images_made"], "");
    }
    let pairs = Table::read(folder.path(), "pairs.csv");
    for (row, pair) in pairs.0.iter().zip(&comparison.pairs) {
        assert_eq!(row["second"], pair.second);
        assert_eq!(number(row, "difference"), pair.difference);
        assert_eq!(number(row, "p_corrected"), pair.p_corrected);
    }
    assert_eq!(pairs.0.len(), comparison.pairs.len());
    let failures = Table::read(folder.path(), "failures.csv");
    assert_eq!(failures.0[0]["reason"], comparison.failures[0].reason);
}

#[test]
fn runs_and_their_steps_are_those_of_the_record() {
    let comparison = sample::comparison();
    let folder = written(&comparison);
    let read = |name| Table::read(folder.path(), name);
    let [all, curves, courses] = ["runs.csv", "curves.csv", "accuracy_by_bytes.csv"].map(read);
    let [bytes, domains] = ["bytes.csv", "domains.csv"].map(read);
    assert_eq!(all.0.len(), 12);
    for (method, run) in runs(&comparison) {
        let rows: Vec<_> = all.of(method, run).collect();
        assert_eq!(rows.len(), 1);
        assert_eq!(number(rows[0], "accuracy"), run.evaluation.accuracy);
        assert_eq!(number(rows[0], "seconds"), run.seconds);
        let hash = run.model_hash.map(|hash| hash.to_string());
        assert_eq!(rows[0]["model_hash"], hash.unwrap_or_default());
        let kept = run.selected.map(|kept| (kept + 1).to_string());
        assert_eq!(rows[0]["kept_step"], kept.unwrap_or_default());

        let steps: Vec<_> = curves.of(method, run).collect();
        assert_eq!(steps.len(), run.curve.len());
        for (i, (row, step)) in steps.iter().zip(&run.curve).enumerate() {
            assert_eq!(row["step"], (i + 1).to_string());
            let loss: f32 = row["train_loss"].parse().unwrap();
            assert_eq!(loss, step.train_loss);
            let validation: f32 = row["validation_accuracy"].parse().unwrap();
            assert_eq!(Some(validation), step.validation_accuracy);
            assert_eq!(row["kept"] == "true", run.selected == Some(i));
            let unit = if method == "fedavg" { "round" } else { "epoch" };
            assert_eq!(row["unit"], unit);
        }
        let course: Vec<(u64, f64)> = courses
            .of(method, run)
            .map(|row| (row["bytes"].parse().unwrap(), number(row, "accuracy")))
            .collect();
        assert_eq!(course, run.accuracy_by_bytes);
        let up: u64 = bytes
            .of(method, run)
            .filter(|row| row["direction"] == "up")
            .map(|row| row["bytes"].parse::<u64>().unwrap())
            .sum();
        assert_eq!(up, run.ledger.total(Direction::Up));
        let by_domain: BTreeMap<String, f64> = domains
            .of(method, run)
            .map(|row| (row["domain"].clone(), number(row, "accuracy")))
            .collect();
        assert_eq!(by_domain, run.evaluation.per_domain);
    }
}

#[test]
fn counts_are_told_where_there_are_some() {
    let comparison = sample::comparison();
    let folder = written(&comparison);
    let table = Table::read(folder.path(), "confusion.csv");
    let class = |name: &String| sample::CLASSES.iter().position(|c| c == name).unwrap();
    for (method, run) in runs(&comparison) {
        let mut matrix = vec![vec![0u64; 10]; 10];
        for row in table.of(method, run) {
            let count: u64 = row["count"].parse().unwrap();
            assert!(count > 0);
            matrix[class(&row["label"])][class(&row["predicted"])] = count;
        }
        assert_eq!(matrix, run.evaluation.confusion);
    }
    let classes = Table::read(folder.path(), "classes.csv");
    assert_eq!(classes.0.len(), 4 * 10);
    for row in &classes.0 {
        let method = comparison.methods.iter().find(|m| m.name == row["method"]);
        let class = class(&row["class"]);
        let sum = |of: &dyn Fn(&Vec<Vec<u64>>) -> u64| -> f64 {
            let runs = method.unwrap().runs.iter();
            runs.map(|run| of(&run.evaluation.confusion)).sum::<u64>() as f64
        };
        let right = sum(&|counts| counts[class][class]);
        let all = sum(&|counts| counts[class].iter().sum());
        let named = sum(&|counts| counts.iter().map(|row| row[class]).sum());
        assert_eq!(number(row, "recall"), right / all);
        assert_eq!(number(row, "precision"), right / named);
        assert!((number(row, "f1") - 2.0 * right / (all + named)).abs() < 1e-15);
    }
    let holdings = Table::read(folder.path(), "holdings.csv");
    let images: u64 = holdings.0.iter().map(|r| number(r, "images") as u64).sum();
    let held = comparison
        .data
        .clients
        .iter()
        .flat_map(|c| &c.images_per_class);
    assert_eq!(images, held.sum::<usize>() as u64);
}

#[test]
fn what_is_no_number_is_an_empty_cell() {
    let mut comparison = sample::comparison();
    comparison.methods[0].runs[0].evaluation.accuracy = f64::NAN;
    comparison.methods[0].runs[0].seconds = f64::INFINITY;
    comparison.methods[0].runs[0].curve[2].train_loss = f32::NAN;
    comparison.methods[1].runs[0].accuracy_by_bytes[0].1 = f64::NEG_INFINITY;
    comparison.methods[2].runs.clear();
    comparison.methods[3].runs.truncate(1);
    let domains = &mut comparison.methods[1].runs[0].evaluation.per_domain;
    domains.insert("noto".into(), f64::NAN);
    let folder = written(&comparison);
    for entry in std::fs::read_dir(folder.path().join("tables")).unwrap() {
        let path = entry.unwrap().path();
        let mut reader = csv::Reader::from_path(&path).unwrap();
        for row in reader.records() {
            for cell in &row.unwrap() {
                assert!(!["NaN", "inf", "-inf"].contains(&cell), "{path:?}");
            }
        }
    }
    let methods = Table::read(folder.path(), "methods.csv");
    assert_eq!(methods.0[0]["accuracy"], "");
    assert_eq!(methods.0[2]["runs"], "0");
    assert_eq!(
        (&*methods.0[2]["accuracy"], &*methods.0[2]["bytes_up"]),
        ("", "")
    );
    assert_eq!(methods.0[3]["accuracy_std"], "", "of one seed");
}

#[test]
fn names_that_mean_something_to_programs_are_texts() {
    let mut comparison = sample::comparison();
    let odd = [
        "=cmd|' /C calc'!A0",
        "a,b;\"c\"\r\nd",
        "<script>alert(1)</script>",
        "@SUM(A1)",
    ];
    for (method, name) in comparison.methods.iter_mut().zip(odd) {
        method.name = name.into();
    }
    comparison.data.classes[0] = "+1+1".into();
    comparison.data.classes[1] = "-5".into();
    comparison.data.clients[0].name = "\t=1".into();
    comparison.failures[0].reason = "-2+3".into();
    let folder = written(&comparison);
    let methods = Table::read(folder.path(), "methods.csv");
    let names: Vec<&str> = methods.0.iter().map(|row| row["method"].as_str()).collect();
    assert_eq!(names, ["'=cmd|' /C calc'!A0", odd[1], odd[2], "'@SUM(A1)"]);
    let classes = Table::read(folder.path(), "classes.csv");
    assert_eq!(classes.0[0]["class"], "'+1+1");
    assert_eq!(classes.0[1]["class"], "-5");
    assert_eq!(
        Table::read(folder.path(), "holdings.csv").0[0]["client"],
        "'\t=1"
    );
    assert_eq!(
        Table::read(folder.path(), "failures.csv").0[0]["reason"],
        "'-2+3"
    );
}

#[test]
fn a_thousand_classes_make_a_small_record() {
    let mut comparison = sample::comparison();
    comparison.data.classes = (0..1200).map(|i| format!("class {i}")).collect();
    for run in comparison.methods.iter_mut().flat_map(|m| &mut m.runs) {
        let mut matrix = vec![vec![0; 1200]; 1200];
        for (class, row) in matrix.iter_mut().enumerate() {
            row[class] = 3;
            row[(class * 7 + run.seed as usize) % 1200] += 1;
        }
        run.evaluation.confusion = matrix;
    }
    let folder = written(&comparison);
    let size = |name: &str| folder.path().join(name).metadata().unwrap().len();
    assert!(size("report.json") < 8 << 20, "{}", size("report.json"));
    assert!(size("report.html") < 4 << 20, "{}", size("report.html"));
    let record = std::fs::read(folder.path().join("report.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let first = &record["comparison"]["methods"][0]["runs"][0]["evaluation"]["confusion"];
    assert_eq!(first["classes"], 1200);
    let read: Comparison = serde_json::from_value(record["comparison"].clone()).unwrap();
    for ((_, read), (_, written)) in runs(&read).zip(runs(&comparison)) {
        assert_eq!(read.evaluation.confusion, written.evaluation.confusion);
    }
}
