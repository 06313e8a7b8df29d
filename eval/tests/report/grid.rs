//! The page of a grid, from the records of its comparisons.

use crate::sample;
use promptfed_eval::report::{GridComparison, grid_folder, write, write_grid};
use std::path::Path;

/// Written as a comparison is, and read again.
fn recorded(
    folder: &Path,
    data: &str,
    partition: &str,
    of: &promptfed_eval::comparison::Comparison,
) -> GridComparison {
    let place = folder.join(grid_folder(data, partition));
    let files = write(of, &place.join("report.html")).unwrap();
    GridComparison::read(data, partition, &files.json).unwrap()
}

#[test]
fn a_loss_is_told_where_the_test_shows_it_and_the_page_is_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut lost = sample::comparison();
    lost.unseen_classes = vec!["flower".into(), "sports ball".into()];
    let fedavg = lost
        .pairs
        .iter()
        .position(|pair| pair.second == "fedavg")
        .unwrap();
    lost.pairs[fedavg].p_corrected = 0.001;
    lost.pairs[fedavg].difference = -0.08;
    lost.pairs[fedavg].interval.low = -0.1;
    lost.pairs[fedavg].interval.high = -0.06;
    let mut even = lost.clone();
    even.pairs[fedavg].p_corrected = 0.5;
    let grid = [
        recorded(folder.path(), "emoji", "domain", &lost),
        recorded(folder.path(), "emoji", "iid:7", &even),
    ];
    let page = folder.path().join("docs/results.md");
    let figures = write_grid(&grid, &page).unwrap();
    let text = std::fs::read_to_string(&page).unwrap();
    for part in [
        "## emoji\n",
        "### emoji, domain\n",
        "### emoji, iid:7\n",
        "In 1 of 2 comparisons",
        "- domain: 1 of 1\n- iid:7: 0 of 1\n",
        "- **emoji, domain**: fgl is 8.0 points below fedavg (95 % interval 6.0 to 10.0).",
        "never shown the words of 2 of 10 classes: flower, sports ball",
        "**The best generative method loses** to fedavg.",
        "No federated method is shown to be better",
        "| fgl | 4",
        "**fedavg failed with seed 3**",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // One data set has one heading, and each figure of the page is there.
    assert_eq!(text.matches("\n## emoji\n").count(), 1);
    assert!(figures.len() >= 2, "{figures:?}");
    for figure in &figures {
        let name = figure.file_name().unwrap().to_str().unwrap();
        assert!(
            figure.exists() && text.contains(&format!("](results/{name})")),
            "{name}"
        );
    }
    write_grid(&grid, &page).unwrap();
    assert_eq!(std::fs::read_to_string(&page).unwrap(), text);
}

#[test]
fn what_is_no_record_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("report.json");
    assert!(GridComparison::read("pets", "iid:2", &record).is_err());
    std::fs::write(&record, "{\"methods\": []}").unwrap();
    assert!(GridComparison::read("pets", "iid:2", &record).is_err());
}
