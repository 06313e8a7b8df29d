//! What came of a round, in figures.

use maud::{Markup, html};
use promptfed_prompts::protocol::{CurvePoint, RoundResults, RoundSpec, SourceOutcome};

use super::figures::{Line, bars, lines};
use super::units::{bytes, percent};
use super::visitor::Visitor;

/// Classes that are drawn; the others are counted.
const MOST_CLASSES: usize = 200;

/// The results of a round, or that there are none. Notes on what the engines did not read may quote prompts.
pub(super) fn results(
    spec: &RoundSpec,
    results: Option<&RoundResults>,
    visitor: &Visitor,
) -> Markup {
    let Some(results) = results else {
        return html! { p { "There are none yet." } };
    };
    let model = &results.model;
    html! {
        dl {
            dt { "Accuracy on held-out synthetic images" }
            dd { (results.validation_accuracy.map_or_else(|| "not measured".to_owned(), percent)) }
            dt { "Epoch kept" } dd { (results.selected_epoch) " (" (results.selection) ")" }
            dt { "Prompts pooled" } dd { (results.pooled.prompts) " of " (results.prompt_sets.len()) " clients" }
            dt { "Images" }
            dd {
                (results.images.accepted) " of " (results.images.planned) " planned, " (results.images.rejected) " rejected"
            }
            @if let Some(fusion) = &results.fusion { dt { "Chosen by fusion" } dd { (fusion.chosen) " of " (fusion.made) } }
            dt { "Model" }
            dd { (model.parameters) " parameters, " (bytes(model.bytes)) ", BLAKE3 " code { (model.hash) } }
            dt { "Versions" } dd { "server " (results.versions.server) ", wire " (results.versions.wire) }
        }
        @if !results.curve.is_empty() { (lines("Accuracy by epoch", &accuracies(&results.curve))) }
        (classes(spec, results))
        (seconds(results))
        (sources(results, visitor))
        @if visitor.sees_prompts() && !results.warnings.is_empty() {
            h3 { "Warnings" }
            ul.warnings { @for warning in &results.warnings { li { (warning) } } }
        }
    }
}

fn accuracies(curve: &[CurvePoint]) -> [Line<'static>; 2] {
    let values = |of: fn(&CurvePoint) -> Option<f64>| curve.iter().map(of).collect();
    [
        Line {
            name: "on the images trained on",
            class: "first",
            values: values(|point| Some(point.train_accuracy)),
        },
        Line {
            name: "on held-out images",
            class: "second",
            values: values(|point| point.validation_accuracy),
        },
    ]
}

fn classes(spec: &RoundSpec, results: &RoundResults) -> Markup {
    let names = spec.label_space.classes().iter();
    let counted = names.zip(&results.per_class).take(MOST_CLASSES);
    let counts: Vec<_> = counted
        .map(|(class, count)| (class.name.as_str(), count.to_string(), *count as f64))
        .collect();
    let left = results.per_class.len().saturating_sub(MOST_CLASSES);
    html! {
        (bars("Images of each class", "Class", &counts))
        @if left > 0 { p { "And " (left) " more classes." } }
    }
}

fn seconds(results: &RoundResults) -> Markup {
    let seconds = &results.seconds;
    let stages = [
        ("pooling", seconds.pooling),
        ("synthesis", seconds.synthesis),
        ("fusing", seconds.fusing),
        ("loading", seconds.loading),
        ("training", seconds.training),
    ];
    let counts = stages.map(|(stage, seconds)| (stage, format!("{seconds:.1} s"), seconds));
    bars("Time of each stage", "Stage", &counts)
}

fn sources(results: &RoundResults, visitor: &Visitor) -> Markup {
    html! {
        div.wide role="region" aria-label="Sources" tabindex="0" {
            table {
                caption { "Sources" }
                thead {
                    tr {
                        th scope="col" { "Source" } th scope="col" { "Engine" } th scope="col" { "Sampling" }
                        th scope="col" { "Accepted" } th scope="col" { "Rejected" } th scope="col" { "Outcome" }
                    }
                }
                tbody {
                    @for source in &results.sources {
                        tr {
                            th scope="row" { (source.name) }
                            td { @if let Some(engine) = &source.engine { (engine.name) " " (engine.version) } @else { "not loaded" } }
                            td { @if let Some(sampling) = &source.sampling { (sampling.sampler) ", " (sampling.steps) " steps" } }
                            td { (source.images.accepted) }
                            td { (source.images.rejected) }
                            td {
                                @match &source.outcome {
                                    SourceOutcome::Done => "done",
                                    SourceOutcome::SetAside { reason } => {
                                        "set aside"
                                        @if visitor.sees_prompts() { ": " (reason) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
