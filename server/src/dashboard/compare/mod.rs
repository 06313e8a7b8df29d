//! Runs side by side: rounds, or trainings of one, with the settings in which they differ and what came of each.

mod choice;
mod settings;

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::Html;
use maud::{Markup, html};
use promptfed_prompts::protocol::{CurvePoint, RoundResults};

use self::choice::{MOST_RUNS, Offered, asked, offered, told, written};
use self::settings::{differing, settings};
use super::fault::Answer;
use super::figures::{Line, lines};
use super::layout::{Place, page};
use super::units::{bytes, percent};
use super::visitor::Visitor;
use crate::Result;
use crate::state::AppState;
use crate::store::{Store, Work};

/// The styles of lines, one for each run.
const STYLES: [&str; MOST_RUNS] = ["first", "second", "third", "fourth", "fifth", "sixth"];

/// A run that is compared.
struct Run {
    work: Work,
    settings: BTreeMap<String, String>,
    results: RoundResults,
}

impl Run {
    /// Reads it; nothing where it has no results.
    fn read(store: &Store, work: Work) -> Result<Option<Self>> {
        let (Some(spec), Some(results)) =
            (store.round_spec(work.round)?, store.training_results(work)?)
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            work,
            settings: settings(&spec, &results)?,
            results,
        }))
    }
}

/// The page: which runs there are, and those that are asked for beside each other.
pub(super) async fn show(
    visitor: Visitor,
    RawQuery(query): RawQuery,
    State(state): State<AppState>,
) -> Answer<Html<String>> {
    let mut chosen = asked(&query.unwrap_or_default());
    let too_many = chosen.len() > MOST_RUNS;
    chosen.truncate(MOST_RUNS);
    let read = state.store(move |store| {
        let mut runs = Vec::new();
        let mut missing = Vec::new();
        for work in chosen {
            match Run::read(store, work)? {
                Some(run) => runs.push(run),
                None => missing.push(work),
            }
        }
        Ok((offered(store)?, runs, missing))
    });
    let (offered, runs, missing) = read.await?;
    let main = html! {
        h1 { "Compare runs" }
        (choose(&offered, &runs))
        @if too_many { p.fault { "At most " (MOST_RUNS) " runs stand beside each other; the first are shown." } }
        @for work in missing { p.fault { (told(work)) " has no results." } }
        @if runs.len() == 1 { p { "Choose one more." } }
        @if runs.len() >= 2 {
            section aria-labelledby="settings-title" {
                h2 id="settings-title" { "Settings that differ" }
                (settings_table(&runs))
            }
            section aria-labelledby="results-title" {
                h2 id="results-title" { "Results" }
                (results_table(&runs))
                (curves("Accuracy on held-out images by epoch", &runs, |point| point.validation_accuracy))
                (curves("Accuracy on the images trained on by epoch", &runs, |point| Some(point.train_accuracy)))
            }
        }
    };
    Ok(page(&visitor, Place::Compare, "Compare runs", &main))
}

fn choose(offered: &[Offered], runs: &[Run]) -> Markup {
    html! {
        @if offered.is_empty() { p { "No round is done yet." } }
        @else {
            form method="get" action="/dashboard/compare" {
                fieldset {
                    legend { "Two runs or more, at most " (MOST_RUNS) }
                    ul.choices {
                        @for offer in offered {
                            li {
                                label {
                                    input type="checkbox" name="run" value=(written(offer.work))
                                        checked[runs.iter().any(|run| run.work == offer.work)];
                                    " " (told(offer.work)) ": " (offer.round)
                                }
                            }
                        }
                    }
                }
                button type="submit" { "Compare" }
            }
        }
    }
}

fn settings_table(runs: &[Run]) -> Markup {
    let all: Vec<_> = runs.iter().map(|run| &run.settings).collect();
    let rows = differing(&all);
    if rows.is_empty() {
        return html! { p { "There are none: the runs differ in prompts alone, or in nothing." } };
    }
    table("Table of settings", "Setting", runs, rows)
}

fn results_table(runs: &[Run]) -> Markup {
    let rows = MEASURES.map(|(name, of)| {
        let values: Vec<String> = runs.iter().map(|run| of(&run.results)).collect();
        (name.to_owned(), values)
    });
    table("Table of results", "Measure", runs, rows)
}

/// What is told of a run's results: its name, and its value in words.
type Measure = (&'static str, fn(&RoundResults) -> String);

const MEASURES: [Measure; 15] = [
    ("accuracy on held-out synthetic images", |results| {
        let accuracy = results.validation_accuracy;
        accuracy.map_or_else(|| "not measured".to_owned(), percent)
    }),
    ("epoch kept", |results| results.selected_epoch.to_string()),
    ("clients", |results| results.prompt_sets.len().to_string()),
    ("prompts pooled", |results| {
        results.pooled.prompts.to_string()
    }),
    ("images in the output", |results| {
        results.images.accepted.to_string()
    }),
    ("images rejected", |results| {
        results.images.rejected.to_string()
    }),
    ("images trained on", |results| {
        results.per_class.iter().sum::<u64>().to_string()
    }),
    ("sent by clients", |results| {
        bytes(results.prompt_sets.iter().map(|set| set.bytes).sum())
    }),
    ("model", |results| bytes(results.model.bytes)),
    ("pooling", |results| seconds(results.seconds.pooling)),
    ("synthesis", |results| seconds(results.seconds.synthesis)),
    ("fusing", |results| seconds(results.seconds.fusing)),
    ("loading", |results| seconds(results.seconds.loading)),
    ("training", |results| seconds(results.seconds.training)),
    ("all stages", |results| {
        let each = &results.seconds;
        seconds(each.pooling + each.synthesis + each.fusing + each.loading + each.training)
    }),
];

fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// A row for each name, a column for each run.
fn table(
    title: &str,
    of: &str,
    runs: &[Run],
    rows: impl IntoIterator<Item = (String, Vec<String>)>,
) -> Markup {
    html! {
        div.wide role="region" aria-label=(title) tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { (of) }
                        @for run in runs {
                            th scope="col" { a href=(format!("/dashboard/rounds/{}", run.work.round)) { (told(run.work)) } }
                        }
                    }
                }
                tbody {
                    @for (name, values) in rows {
                        tr {
                            th scope="row" { (name) }
                            @for value in values { td { (value) } }
                        }
                    }
                }
            }
        }
    }
}

/// A line for each run that has values.
fn curves(title: &str, runs: &[Run], of: fn(&CurvePoint) -> Option<f64>) -> Markup {
    let names: Vec<String> = runs.iter().map(|run| told(run.work)).collect();
    let each = runs.iter().zip(&names).zip(STYLES);
    let all = each.map(|((run, name), class)| Line {
        name: name.as_str(),
        class,
        values: run.results.curve.iter().map(of).collect(),
    });
    let there = all.filter(|line| line.values.iter().any(Option::is_some));
    let there: Vec<Line<'_>> = there.collect();
    html! { @if !there.is_empty() { (lines(title, &there)) } }
}
