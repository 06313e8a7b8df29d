use promptfed_eval::report::write;
use serde_json::Value;

use crate::sample;

#[test]
fn html_and_json_are_written_side_by_side_with_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let comparison = sample::comparison();
    let files = write(&comparison, &folder.path().join("new/folder/report.html")).unwrap();
    let html = std::fs::read_to_string(&files.html).unwrap();
    assert_eq!(html, promptfed_eval::report::render(&comparison));
    let json: Value = serde_json::from_slice(&std::fs::read(&files.json).unwrap()).unwrap();
    for (row, summary) in json["methods"]
        .as_array()
        .unwrap()
        .iter()
        .zip(comparison.summary())
    {
        assert_eq!(row["name"], summary.name);
        assert_eq!(row["accuracy_mean"].as_f64(), Some(summary.accuracy_mean));
        assert_eq!(row["bytes_up"].as_u64(), Some(summary.bytes_up));
        assert!(html.contains(&format!("value=\"{}\"", summary.accuracy_mean)));
    }
    let back: promptfed_eval::comparison::Comparison =
        serde_json::from_value(json["comparison"].clone()).unwrap();
    assert_eq!(
        back.methods[1].runs[0].ledger,
        comparison.methods[1].runs[0].ledger
    );
    for (read, written) in back.summary().iter().zip(comparison.summary()) {
        assert!((read.accuracy_mean - written.accuracy_mean).abs() < 1e-12);
    }
    let left: Vec<_> = std::fs::read_dir(files.html.parent().unwrap())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 5, "{left:?}");
}

#[test]
fn predictions_are_written_for_every_image_and_model_and_stay_out_of_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut comparison = sample::comparison();
    // The second run is of two clients' models.
    let mut other = comparison.predictions.runs[1].models[0].clone();
    other.client = Some("twemoji, \"blob\"".into());
    comparison.predictions.runs[1].models[0].client = Some("noto".into());
    comparison.predictions.runs[1].models.push(other);
    let files = write(&comparison, &folder.path().join("report.html")).unwrap();
    assert_eq!(files.predictions, folder.path().join("predictions.csv"));
    let mut table = csv::Reader::from_path(&files.predictions).unwrap();
    let columns = [
        "method",
        "seed",
        "client",
        "image",
        "label",
        "predicted",
        "confidence",
    ];
    assert_eq!(table.headers().unwrap(), columns.as_slice());
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), sample::TEST_IMAGES * (4 * 3 + 1));
    for run in comparison.methods.iter().flat_map(|m| {
        let name = m.name.as_str();
        m.runs.iter().map(move |run| (name, run))
    }) {
        let (method, run) = run;
        let seed = run.seed.to_string();
        let of_run = rows
            .iter()
            .filter(|row| &row[0] == method && row[1] == seed && &row[2] != "noto");
        let right = of_run.filter(|row| row[4] == row[5]).count() as f64;
        let share = right / sample::TEST_IMAGES as f64;
        assert!((share - run.evaluation.accuracy).abs() < 0.003, "{method}");
    }
    let sure = |row: &&csv::StringRecord| row[6].parse::<f32>().is_ok();
    let silent = |row: &&csv::StringRecord| &row[0] == "chance" && row[6].is_empty();
    assert_eq!(rows.iter().filter(sure).count(), sample::TEST_IMAGES * 10);
    assert_eq!(rows.iter().filter(silent).count(), sample::TEST_IMAGES * 3);
    assert!(rows.iter().any(|row| &row[2] == "twemoji, \"blob\""));
    assert_eq!(&rows[11][3], "bird/11.png");
    let json: Value = serde_json::from_slice(&std::fs::read(&files.json).unwrap()).unwrap();
    assert!(json["comparison"]["predictions"].is_null());
    assert_eq!(json["comparison"]["pairs"].as_array().unwrap().len(), 3);
}

#[test]
fn an_old_report_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, "old").unwrap();
    write(&sample::comparison(), &path).unwrap();
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("<!DOCTYPE html>")
    );
}

#[test]
fn a_figure_that_is_not_finite_is_null_in_the_json() {
    let folder = tempfile::tempdir().unwrap();
    let mut comparison = sample::comparison();
    comparison.methods[0].runs.clear();
    let files = write(&comparison, &folder.path().join("report.html")).unwrap();
    let json: Value = serde_json::from_slice(&std::fs::read(files.json).unwrap()).unwrap();
    assert!(json["methods"][0]["accuracy_mean"].is_null());
}

#[test]
fn a_path_that_cannot_hold_a_report_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let comparison = sample::comparison();
    let refused = write(&comparison, &folder.path().join("report.json")).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("report.json is no name for it")
    );
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let message = write(&comparison, &file.join("report.html"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("file"), "{message}");
}
