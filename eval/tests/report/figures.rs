use std::collections::BTreeSet;
use std::path::Path;

use promptfed_eval::comparison::Comparison;
use promptfed_eval::report::{critical_difference, render, write};

use crate::well_formed::assert_figure;
use crate::{assert_sound, attributes, sample, section};

/// The figures of a comparison, by name, each checked.
fn figures(comparison: &Comparison, folder: &Path) -> Vec<(String, String)> {
    let files = write(comparison, &folder.join("report.html")).unwrap();
    let there = std::fs::read_dir(folder.join("figures")).unwrap();
    let there: BTreeSet<_> = there.map(|entry| entry.unwrap().path()).collect();
    let listed: BTreeSet<_> = files.figures.iter().cloned().collect();
    assert_eq!(there, listed);
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let svg = std::fs::read_to_string(path).unwrap();
        assert_figure(&svg);
        assert_sound(&svg);
        (name, svg)
    };
    files.figures.iter().map(read).collect()
}

fn names(figures: &[(String, String)]) -> BTreeSet<&str> {
    figures.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn every_figure_of_the_page_is_a_file_that_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let comparison = sample::comparison();
    let figures = figures(&comparison, folder.path());
    let trained = ["fgl", "fedavg", "centralised"];
    let mut expected: BTreeSet<String> = trained
        .iter()
        .flat_map(|name| [format!("loss-{name}.svg"), format!("validation-{name}.svg")])
        .collect();
    let all = comparison.methods.iter();
    expected.extend(all.map(|method| format!("confusion-{}.svg", method.name)));
    for name in [
        "accuracy_by_bytes",
        "recall",
        "domains",
        "critical_difference",
    ] {
        expected.insert(format!("{name}.svg"));
    }
    let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    assert_eq!(names(&figures), expected);
    for (name, svg) in &figures {
        assert!(svg.contains("partition domain"), "{name}");
        assert!(svg.contains("seeds 1, 2, 3"), "{name}");
        assert!(
            svg.contains("emoji, one drawing style per client"),
            "{name}"
        );
        assert!(svg.contains("fill: #ffffff"), "{name} has no light ground");
    }
    let html = render(&comparison);
    for file in [
        "figures/accuracy_by_bytes.svg",
        "figures/recall.svg",
        "figures/domains.svg",
        "figures/critical_difference.svg",
        "tables/confusion.csv",
        "tables/domains.csv",
    ] {
        assert!(html.contains(file), "{file}");
    }
}

#[test]
fn sizes_hold_what_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    for (name, svg) in figures(&sample::comparison(), folder.path()) {
        let size = |attribute: &str| attributes(&svg, attribute)[0].parse::<f64>().unwrap();
        let (width, height) = (size("width"), size("height"));
        let most = |attribute: &str| {
            let all = attributes(&svg, attribute).into_iter();
            all.map(|value| value.parse::<f64>().unwrap())
                .fold(0.0, f64::max)
        };
        assert!(most("x") <= width && most("x2") <= width, "{name}");
        assert!(most("y") <= height && most("y2") <= height, "{name}");
    }
}

#[test]
fn figures_of_another_comparison_go_and_what_others_put_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let mut comparison = sample::comparison();
    write(&comparison, &path).unwrap();
    let own = folder.path().join("figures/loss.svg");
    std::fs::write(&own, "mine").unwrap();
    comparison.methods.remove(1);
    comparison.methods[0].runs.truncate(1);
    comparison.methods[1].runs.truncate(1);
    let files = write(&comparison, &path).unwrap();
    assert!(own.exists());
    for gone in [
        "loss-fedavg",
        "validation-fedavg",
        "confusion-fedavg",
        "critical_difference",
    ] {
        assert!(!folder.path().join(format!("figures/{gone}.svg")).exists());
    }
    assert!(files.figures.iter().all(|file| file.exists()));
}

#[test]
fn hostile_names_stay_in_the_folder_and_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut comparison = sample::comparison();
    let evil = "../../x\"'><script>alert(1)</script>\0\u{1b}]&amp;\u{ffff}";
    comparison.title = evil.into();
    comparison.methods[0].name = evil.into();
    comparison.methods[1].name = evil.replace('x', "X");
    comparison.methods[2].name = "=cmd|' /C calc'!A0".into();
    comparison.methods[3].name = String::new();
    comparison.data.classes[0] = evil.into();
    comparison.data.partition = evil.into();
    for run in comparison.methods.iter_mut().flat_map(|m| &mut m.runs) {
        run.evaluation.per_domain.insert(evil.into(), 0.5);
    }
    let figures = figures(&comparison, folder.path());
    let names = names(&figures);
    assert_eq!(figures.len(), names.len());
    assert_eq!(names.len(), 14);
    let lower: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(lower.len(), names.len());
    assert!(names.contains("loss-cmd-c-calc-a0.svg") && names.contains("confusion-method.svg"));
    let fits = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    assert!(names.iter().all(|name| name.chars().all(fits)), "{names:?}");
}

#[test]
fn what_has_nothing_to_show_is_no_figure() {
    let folder = tempfile::tempdir().unwrap();
    let mut comparison = sample::comparison();
    for method in &mut comparison.methods {
        method.runs.clear();
    }
    assert!(
        write(&comparison, &folder.path().join("report.html"))
            .unwrap()
            .figures
            .is_empty()
    );
    comparison.methods.clear();
    comparison.data.classes.clear();
    assert!(
        write(&comparison, &folder.path().join("report.html"))
            .unwrap()
            .figures
            .is_empty()
    );
}

#[test]
fn many_methods_domains_and_classes_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let mut comparison = sample::comparison();
    let pattern = comparison.methods[1].clone();
    comparison.methods = (0..24)
        .map(|i| {
            let mut method = pattern.clone();
            method.name = format!("fedprox:mu={i}");
            for run in &mut method.runs {
                run.evaluation.accuracy += 0.001 * f64::from(i);
                for domain in 0..200 {
                    let name = format!("domain {domain}");
                    run.evaluation.per_domain.insert(name, 0.5);
                }
            }
            method
        })
        .collect();
    comparison.data.classes = (0..300).map(|i| format!("class {i}")).collect();
    let drawn = figures(&comparison, folder.path());
    assert!(names(&drawn).contains("loss-fedprox-mu-23.svg"));
    assert!(!names(&drawn).contains("critical_difference.svg"));
    let html = render(&comparison);
    assert_sound(&html);
    assert!(section(&html, "ranks").contains("for up to 20 methods; there are 24"));
    assert!(section(&html, "domains").contains("Domains that are not drawn"));
    comparison.methods.truncate(20);
    let html = render(&comparison);
    assert!(section(&html, "ranks").contains("fedprox:mu=19"));
}

#[test]
fn a_grid_has_a_diagram_or_a_reason() {
    let cell = |shift: f64| {
        let methods = ["fgl", "fedavg", "centralised", "chance"];
        let named = methods.into_iter().zip([0.5, 0.6, 0.7, 0.1]);
        named
            .map(|(name, a)| (name.to_owned(), a + shift))
            .collect()
    };
    let names = ["pacs, iid:5".to_owned(), "<b>, domain".to_owned()];
    let svg = critical_difference(&[cell(0.0), cell(0.1)], &names).unwrap();
    assert_figure(&svg);
    assert!(svg.contains("pacs, iid:5; &lt;b&gt;, domain"));
    assert!(svg.contains("2 data sets and partitions"));
    assert!(svg.contains("centralised") && !svg.contains("chance"));
    let why = critical_difference(&[cell(0.0)], &names[..1]).unwrap_err();
    assert!(why.to_string().contains("at least 2"), "{why}");
}
