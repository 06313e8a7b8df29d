//! The page: head, headline, and the sections in their order.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::format::{self, plural};
use super::{
    classes, confusion, data, differences, domains, files, gallery, headline, plots, prompts,
    provenance, ranks, simulated, table, tables, tuning,
};
use crate::comparison::{Comparison, MethodResult};

/// Nothing may be fetched and nothing may run, whatever the texts inside say.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// The rules of pages; figures have more ([`plots::STYLE`]).
pub(super) const STYLE: &str = include_str!("style.css");

pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) body: Markup,
}

/// A whole page: what stands over its sections, and the sections.
pub(super) struct Document<'a> {
    /// What kind of page it is.
    pub(super) kicker: &'a str,
    pub(super) title: &'a str,
    /// Version of the program.
    pub(super) version: &'a str,
    /// What stands under the title.
    pub(super) summary: Markup,
    pub(super) sections: &'a [Section],
    /// What else lies beside the page.
    pub(super) files: Markup,
}

pub(super) fn page(comparison: &Comparison) -> Markup {
    let summary = comparison.summary();
    let section = |id, title, body| Section { id, title, body };
    let mut sections = vec![
        section(
            "results",
            "Results",
            html! {
                (table::results(comparison, &summary))
                (files::note(&[], &["methods.csv", "runs.csv", "failures.csv"]))
            },
        ),
        section(
            "differences",
            "Is the difference more than chance?",
            html! {
                (differences::differences(comparison))
                (files::note(&[], &["pairs.csv"]))
            },
        ),
        section("ranks", "Average ranks", ranks::ranks(comparison)),
        section(
            "cost",
            "Accuracy against bytes",
            html! {
                (plots::accuracy_by_bytes(comparison))
                (table::bytes_by_kind(&summary))
                (files::note(&[], &["accuracy_by_bytes.csv", "bytes.csv"]))
            },
        ),
        section(
            "curves",
            "Learning curves",
            html! {
                (plots::learning_curves(comparison))
                (files::note(&[], &["curves.csv"]))
            },
        ),
        section(
            "confusion",
            "Which classes are confused",
            html! {
                (confusion::matrices(comparison))
                (plots::recall_by_class(comparison))
                (classes::by_class(comparison))
            },
        ),
        section(
            "domains",
            "Accuracy by domain",
            domains::by_domain(comparison),
        ),
        section(
            "prompts",
            "The prompts that crossed the wire",
            prompts::submissions(comparison),
        ),
        section(
            "gallery",
            "Private beside synthetic",
            gallery::gallery(comparison),
        ),
        section(
            "data",
            "Who holds what",
            html! {
                (data::holdings(comparison))
                (files::note(&[], &["holdings.csv"]))
            },
        ),
        section(
            "provenance",
            "Provenance",
            provenance::provenance(comparison),
        ),
    ];
    let mut after = |id: &str, new: Section| {
        let place = sections.iter().position(|section| section.id == id);
        sections.insert(place.map_or(sections.len(), |place| place + 1), new);
    };
    if simulated::is_simulated(comparison) {
        let body = simulated::simulated(comparison, &summary);
        after(
            "cost",
            section("simulated", "Accuracy against simulated time", body),
        );
    }
    if !comparison.tuned.is_empty() {
        after(
            "curves",
            section("tuning", "Learning rates", tuning::tuning(comparison)),
        );
    }
    document(&Document {
        kicker: "comparison of methods",
        title: &comparison.title,
        version: &comparison.version,
        summary: html! {
            (headline::headline(comparison, &summary))
            (facts(comparison))
        },
        sections: &sections,
        files: beside(),
    })
}

/// What lies beside the page of a comparison.
fn beside() -> Markup {
    html! {
        p {
            "Beside it: a JSON file with the same numbers, " code { "predictions.csv" } ", the figures as SVG files in " code { (files::FIGURES) "/" }
            ", and in " code { (files::TABLES) "/" } " "
            @for (i, name) in tables::NAMES.iter().enumerate() {
                @if i > 0 { ", " }
                code { (name) }
            }
            ". In the tables a text that a spreadsheet would take for a formula has an apostrophe before it."
        }
    }
}

/// Everything of a page in one file.
pub(super) fn document(document: &Document<'_>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "promptfed " (document.version) };
                title { (document.title) " \u{b7} promptfed" }
                style { (PreEscaped(STYLE)) (PreEscaped(plots::STYLE)) }
            }
            body {
                header {
                    p.kicker { "promptfed \u{b7} " (document.kicker) }
                    h1 { (document.title) }
                    (document.summary)
                    nav aria-label="Sections" {
                        @for section in document.sections { a href={ "#" (section.id) } { (section.title) } }
                    }
                }
                main {
                    @for section in document.sections {
                        section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                            h2 id={ (section.id) "-title" } { (section.title) }
                            (section.body)
                        }
                    }
                }
                footer {
                    p {
                        "Written by promptfed " (document.version) ". This file is complete in itself: it loads nothing and "
                        "runs nothing."
                    }
                    (document.files)
                }
            }
        }
    }
}

/// The size of the comparison in a row of figures.
fn facts(comparison: &Comparison) -> Markup {
    let data = &comparison.data;
    let private: usize = data.clients.iter().flat_map(|c| &c.images_per_class).sum();
    let runs = comparison
        .methods
        .iter()
        .map(|m: &MethodResult| m.runs.len())
        .max()
        .unwrap_or(0);
    html! {
        ul.facts {
            li { (plural(comparison.methods.len(), "method", "methods")) }
            li { (plural(runs, "seed", "seeds")) }
            li { (plural(data.clients.len(), "client", "clients")) }
            li { (plural(data.classes.len(), "class", "classes")) }
            li { (plural(private, "private image", "private images")) }
            li { (plural(data.test_images, "test image", "test images")) }
            li { "measured in " (format::seconds(comparison.seconds)) }
        }
    }
}
