use promptfed_eval::comparison::Comparison;
use promptfed_eval::report::render;
use promptfed_prompts::ledger::{Direction, Ledger, PayloadKind};
use proptest::prelude::*;

use crate::{assert_sound, attributes, sample, section};

fn rendered(change: impl FnOnce(&mut Comparison)) -> String {
    let mut comparison = sample::comparison();
    change(&mut comparison);
    let html = render(&comparison);
    assert_sound(&html);
    html
}

#[test]
fn no_methods_and_no_data() {
    let html = rendered(|c| {
        c.methods.clear();
        c.prompts.clear();
        c.gallery.clear();
        c.data.clients.clear();
        c.data.classes.clear();
        c.seconds = f64::NAN;
    });
    assert!(html.contains("No run has a measured accuracy"));
    assert!(html.contains("No client submitted prompts."));
    assert!(html.contains("No images were kept"));
}

#[test]
fn methods_without_runs() {
    let html = rendered(|c| c.methods.iter_mut().for_each(|m| m.runs.clear()));
    assert!(
        attributes(section(&html, "results"), "value").is_empty(),
        "no figures without runs"
    );
    assert!(html.contains("there is nothing to plot"));
}

#[test]
fn accuracies_that_are_not_numbers_are_not_drawn() {
    let html = rendered(|c| {
        c.methods[0].runs[1].evaluation.accuracy = f64::NAN;
        c.methods[1].runs[0].accuracy_by_bytes[3].1 = f64::INFINITY;
        c.methods[1].runs[0].curve[3].train_loss = f32::NAN;
        c.methods[2]
            .runs
            .iter_mut()
            .flat_map(|r| &mut r.curve)
            .for_each(|e| {
                e.validation_accuracy = None;
                e.validation_balanced_accuracy = None;
            });
    });
    assert!(html.contains("Without a finite accuracy in every run: fgl."));
    assert!(html.contains("Not drawn, having no accuracy: 1 run."));
    assert!(html.contains("No validation accuracy was measured."));
}

#[test]
fn one_class_one_seed_one_epoch() {
    let html = rendered(|c| {
        c.data.classes.truncate(1);
        for method in &mut c.methods {
            method.runs.truncate(1);
            method.runs[0].curve.truncate(1);
            method.runs[0].evaluation.confusion = vec![vec![44]];
            method.runs[0].evaluation.per_domain.clear();
        }
    });
    assert_eq!(html.matches("One seed: no interval.").count(), 4);
    assert!(html.contains("The test images have no domains."));
    assert!(section(&html, "ranks").contains("average ranks need at least 2 seeds"));
    assert_eq!(section(&html, "confusion").matches("44 of 44").count(), 4);
}

#[test]
fn a_run_without_bytes_stands_beside_the_logarithmic_axis() {
    let html = rendered(|_| {});
    assert!(section(&html, "cost").contains("a logarithmic axis has no zero"));
    let html = rendered(|c| {
        c.methods.pop();
    });
    assert!(!section(&html, "cost").contains("a logarithmic axis has no zero"));
}

#[test]
fn only_free_methods() {
    let html = rendered(|c| {
        c.methods.drain(..3);
    });
    assert!(section(&html, "cost").contains("No bytes crossed in any run."));
    assert!(html.contains("chance reaches 10.0"));
}

#[test]
fn a_thousand_classes() {
    let html = rendered(|c| {
        c.data.classes = (0..1000).map(|i| format!("class {i}")).collect();
        c.data.clients = (0..3).map(|i| sample::client(i, "client", 1000)).collect();
    });
    let confusion = section(&html, "confusion");
    assert!(confusion.contains("Matrices of 1,000 classes have cells too small to see"));
    for told in [
        "What fgl confuses most often.",
        "What fgl recognises least.",
    ] {
        assert!(confusion.contains(told), "{told}");
    }
    assert!(!confusion.contains("class=\"matrix"));
    // 990 of the classes have no test image, and are one cell of each strip.
    assert!(confusion.contains("990 of the classes: no test image"));
    assert!(section(&html, "data").contains("Classes held"));
}

#[test]
fn hundreds_of_clients_are_listed_up_to_a_limit() {
    let html = rendered(|c| {
        c.data.clients = (0..300)
            .map(|i| sample::client(i, &format!("client-{i}"), 10))
            .collect();
        c.prompts = (0..300)
            .map(|i| sample::submission(i, &format!("client-{i}")))
            .collect();
        c.prompts[0].rendered = vec![("a prompt".into(), String::new()); 5000];
        c.prompts[0].document = "é".repeat(20_000);
    });
    assert!(section(&html, "data").contains("And 250 more clients"));
    let prompts = section(&html, "prompts");
    assert!(prompts.contains("And 260 more clients") && prompts.contains("And 4,800 more prompts"));
    assert!(prompts.contains("16.0\u{a0}kB of the document are left out"));
}

#[test]
fn matrices_of_the_wrong_size_and_missing_counts() {
    rendered(|c| {
        c.methods[0].runs[0].evaluation.confusion = vec![vec![1; 50]; 50];
        c.methods[1].runs[0].evaluation.confusion.clear();
        c.methods[2].runs[0].evaluation.confusion = vec![vec![u64::MAX; 10]; 10];
        c.data.clients[0].images_per_class.clear();
    });
}

#[test]
fn very_long_names() {
    rendered(|c| {
        c.data.classes[0] = "Gesichtswasserflaschenverschluss ".repeat(40);
        c.methods[0].name = "m".repeat(2000);
        c.data.clients[0].name = "k".repeat(2000);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_figures_and_texts_give_a_sound_document(
        accuracies in proptest::collection::vec(any::<f64>(), 0..4),
        bytes in any::<u64>(),
        step in (any::<u64>(), any::<f64>()),
        loss in any::<f32>(),
        seconds in any::<f64>(),
        text in any::<String>(),
    ) {
        let mut c = sample::comparison();
        c.gallery.truncate(1);
        let pattern = c.methods[1].runs[0].clone();
        c.methods[1].runs = accuracies.iter().map(|accuracy| {
            let mut run = pattern.clone();
            run.evaluation.accuracy = *accuracy;
            run.ledger = Ledger::new();
            run.ledger.record(&text, Direction::Up, PayloadKind::Model, bytes);
            run.ledger.record(&text, Direction::Down, PayloadKind::Model, bytes);
            run.accuracy_by_bytes.push(step);
            run.curve[2].train_loss = loss;
            run.seconds = seconds;
            run
        }).collect();
        c.title = text.clone();
        c.prompts[0].rendered.push((text.clone(), text));
        assert_sound(&render(&c));
    }
}
