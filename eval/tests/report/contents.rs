use promptfed_eval::comparison::SyntheticCounts;
use promptfed_eval::report::render;

use crate::{assert_sound, attributes, sample, section};

#[test]
fn every_section_is_there_and_can_be_reached() {
    let html = render(&sample::comparison());
    assert_sound(&html);
    let ids = [
        "results",
        "differences",
        "ranks",
        "cost",
        "curves",
        "confusion",
        "domains",
        "prompts",
        "gallery",
        "data",
        "provenance",
    ];
    for id in ids {
        assert!(html.contains(&format!("href=\"#{id}\"")), "{id}");
        assert!(section(&html, id).len() > 400, "{id}");
    }
    assert_eq!(
        section(&html, "curves")
            .matches("<svg class=\"plot\"")
            .count(),
        3 * 2,
        "three methods train"
    );
    // A matrix for each method, and the classes; what is not drawn is said.
    for name in ["ranks", "cost", "domains", "confusion"] {
        assert_eq!(
            section(&html, name).matches("<svg class=\"plot\"").count(),
            1,
            "{name}"
        );
    }
    assert_eq!(section(&html, "confusion").matches("<table").count(), 4 + 1);
    assert_eq!(
        section(&html, "gallery").matches("<img").count(),
        10 * 7 * 6
    );
    assert_eq!(section(&html, "prompts").matches("<details").count(), 7);
}

#[test]
fn the_table_holds_the_numbers_of_the_record() {
    let comparison = sample::comparison();
    let html = render(&comparison);
    let results = section(&html, "results");
    let shown: Vec<f64> = attributes(results, "value")
        .iter()
        .map(|v| v.parse().unwrap())
        .collect();
    let expected: Vec<f64> = comparison
        .summary()
        .iter()
        .flat_map(|row| {
            let bytes = [
                row.bytes_up_per_client,
                row.bytes_down_per_client,
                row.bytes_up,
                row.bytes_down,
            ];
            let shares = [row.accuracy_mean, row.balanced_accuracy, row.macro_f1];
            shares
                .into_iter()
                .chain(row.expected_calibration_error)
                .chain(row.negative_log_likelihood)
                .chain(bytes.map(|b| b as f64))
                .chain([row.seconds])
        })
        .collect();
    assert_eq!(shown, expected);
    let provenance = section(&html, "provenance");
    assert_eq!(comparison.warnings.len(), 1);
    assert!(provenance.contains(&comparison.warnings[0]));
    for run in comparison.methods.iter().flat_map(|m| &m.runs) {
        assert!(
            attributes(provenance, "value").contains(&run.evaluation.accuracy.to_string().as_str())
        );
        if let Some(hash) = run.model_hash {
            assert!(provenance.contains(&hash.to_string()));
        }
    }
    for client in &comparison.data.clients {
        assert!(provenance.contains(&client.hash.to_string()));
    }
}

#[test]
fn the_summary_adds_up() {
    let comparison = sample::comparison();
    for row in comparison.summary() {
        let by_kind: u64 = row.bytes_by_kind.iter().map(|k| k.bytes).sum();
        assert_eq!(by_kind, row.bytes(), "{}", row.name);
    }
    let fedavg = &comparison.summary()[1];
    assert_eq!(
        (fedavg.bytes_up, fedavg.bytes_up_per_client),
        (7 * 30 * 1_130_212, 30 * 1_130_212)
    );
}

#[test]
fn a_lost_comparison_is_reported_as_lost() {
    let comparison = sample::comparison();
    let html = render(&comparison).replace('\u{a0}', " ");
    let headline = html
        .split("<p class=\"headline\">")
        .nth(1)
        .unwrap()
        .split("</p>")
        .next()
        .unwrap();
    assert!(
        headline.starts_with(
            "fgl reaches 47.8 ± 1.4 % test accuracy with 37.7 kB on the wire; fedavg reaches"
        ),
        "{headline}"
    );
    let pair = &comparison.pairs[0];
    assert!(pair.is_clear() && pair.difference < 0.0, "{pair:?}");
    let points = -100.0 * pair.difference;
    assert!(
        headline.contains(&format!("fgl is {points:.1} points worse (95 % interval ")),
        "{headline}"
    );
    assert!(
        headline.ends_with("needs 13,000 times fewer bytes."),
        "{headline}"
    );
    assert!(html.contains("fedavg has not finished its first round"));
}

#[test]
fn private_images_are_named_as_such() {
    let html = render(&sample::comparison());
    let gallery = section(&html, "gallery");
    let alts = attributes(gallery, "alt");
    assert_eq!(alts[0], "private image 1 of animal face, noto");
    assert_eq!(
        alts.iter()
            .filter(|alt| alt.starts_with("private image"))
            .count(),
        10 * 7 * 3
    );
    assert_eq!(
        alts.iter()
            .filter(|alt| alt.starts_with("synthetic image"))
            .count(),
        10 * 7 * 3
    );
    assert!(gallery.contains("never crossed the wire"));
}

#[test]
fn each_generative_method_shows_its_own_images() {
    let mut comparison = sample::comparison();
    for cell in &mut comparison.gallery {
        let mut own = cell.synthetic[0].clone();
        own.method = "fused".into();
        own.images.truncate(2);
        cell.synthetic.push(own);
    }
    let mut fused = comparison.methods[0].clone();
    fused.name = "fused".into();
    for run in &mut fused.runs {
        run.synthetic = Some(SyntheticCounts {
            made: 2100,
            trained_on: 700,
        });
    }
    comparison.methods.insert(1, fused);
    let html = render(&comparison);
    let gallery = section(&html, "gallery");
    assert!(gallery.contains("synthetic, fgl") && gallery.contains("synthetic, fused"));
    let alts = attributes(gallery, "alt");
    let of = |method: &str| alts.iter().filter(|alt| alt.ends_with(method)).count();
    assert_eq!((of(", of fgl"), of(", of fused")), (10 * 7 * 3, 10 * 7 * 2));
    let results = section(&html, "results");
    assert!(results.contains("2,100 synthetic images made, 700 trained on"));
}

#[test]
fn equal_records_give_equal_documents() {
    assert_eq!(render(&sample::comparison()), render(&sample::comparison()));
}

#[test]
fn means_have_intervals_where_there_are_seeds_and_say_so_where_there_are_none() {
    let mut comparison = sample::comparison();
    let plain = |html: String| html.replace('\u{a0}', " ");
    let html = plain(render(&comparison));
    let results = section(&html, "results");
    for row in comparison.summary() {
        let interval = row.accuracy_interval.unwrap();
        assert!(interval.low <= row.accuracy_mean && row.accuracy_mean <= interval.high);
        let shown = format!(
            "{:.1} to {:.1} %",
            100.0 * interval.low,
            100.0 * interval.high
        );
        assert!(results.contains(&shown), "{}: {shown}", row.name);
    }
    assert!(!results.contains("One seed: no interval."));
    for method in &mut comparison.methods {
        method.runs.truncate(1);
    }
    let html = plain(render(&comparison));
    let results = section(&html, "results");
    assert_eq!(results.matches("One seed: no interval.").count(), 4);
    assert!(
        !results.contains("<div class=\"note\">"),
        "an interval of one seed"
    );
}

#[test]
fn calibration_is_shown_of_those_who_say_how_sure_they_are() {
    let comparison = sample::comparison();
    let summary = comparison.summary();
    assert!((summary[0].expected_calibration_error.unwrap() - 0.1).abs() < 1e-12);
    assert_eq!(summary[3].name, "chance");
    assert_eq!(summary[3].expected_calibration_error, None);
    assert_eq!(summary[3].negative_log_likelihood, None);
    let html = render(&comparison);
    assert!(section(&html, "results").contains("10.0\u{a0}%"));
}

#[test]
fn every_other_method_is_tested_beside_the_generative_one() {
    let mut comparison = sample::comparison();
    let names: Vec<&str> = comparison.pairs.iter().map(|p| p.second.as_str()).collect();
    assert_eq!(names, ["fedavg", "centralised", "chance"]);
    for pair in &comparison.pairs {
        assert_eq!((pair.first.as_str(), pair.seeds), ("fgl", 3));
        assert!(pair.interval.low < pair.difference && pair.difference < pair.interval.high);
        assert!(pair.p <= pair.p_corrected);
    }
    let html = render(&comparison).replace('\u{a0}', " ");
    let differences = section(&html, "differences");
    assert_eq!(differences.matches("yes, fgl is worse").count(), 2);
    assert_eq!(differences.matches("yes, fgl is better").count(), 1);
    assert!(differences.contains("437 test images") && differences.contains("predictions.csv"));
    comparison.pairs[0].interval.high = 0.01;
    let html = render(&comparison).replace('\u{a0}', " ");
    let differences = section(&html, "differences");
    assert_eq!(differences.matches("not shown").count(), 1);
    assert!(html.contains("points below fedavg, which may be chance (95 % interval"));
    comparison.pairs.clear();
    let html = render(&comparison);
    assert!(section(&html, "differences").contains("Nothing was tested"));
    assert!(html.contains("below fedavg (which was not tested"));
}
