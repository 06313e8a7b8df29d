//! The page of a fused set: which images were most and least useful, and which backend is good at what.

mod backends;
mod images;
mod pictures;
mod prompts;

use std::path::{Path, PathBuf};

use maud::{Markup, html};
use promptfed_files::write_whole;
use promptfed_synth::fuse::{
    Cost, FUSED, FuseRecord, FuseReport, RoundQuota, RoundWritten, read_quotas, read_written,
};

use self::pictures::Pictures;
use super::format::{count, percent, plural, seconds};
use super::page::{Document, Section, document};
use crate::Result;

/// Name of the page in a fused set's folder.
const PAGE: &str = "report.html";

/// A fused set as its page shows it.
struct Fusion {
    record: FuseRecord,
    report: FuseReport,
    cost: Cost,
    /// What each backend was asked for, by round; nothing where the set is not of rounds.
    rounds: Vec<Vec<RoundQuota>>,
    /// What was written for each round; nothing where there was no writer.
    written: Vec<RoundWritten>,
    pictures: Pictures,
}

/// Writes the page of a fused set beside its `report.json`, and says where. Nothing is written where the fusion is not finished.
///
/// # Errors
/// If the set cannot be read, its images have moved or changed, or the page cannot be written.
pub fn write_fusion(folder: &Path) -> Result<Option<PathBuf>> {
    let Some(report) = FuseReport::read(folder)? else {
        return Ok(None);
    };
    let record = FuseRecord::read(folder)?;
    let shown = report.best.iter().chain(&report.worst);
    let fusion = Fusion {
        pictures: Pictures::of(folder, &record, shown)?,
        cost: Cost::read(folder)?,
        rounds: around(folder).map_or(Ok(Vec::new()), read_quotas)?,
        written: around(folder).map_or(Ok(Vec::new()), read_written)?,
        record,
        report,
    };
    let path = folder.join(PAGE);
    write_whole(&path, page(&fusion).into_string().as_bytes())?;
    Ok(Some(path))
}

/// The folder of the rounds that a fused set stands at the end of.
fn around(folder: &Path) -> Option<&Path> {
    let is_of_rounds = folder.file_name().is_some_and(|name| name == FUSED);
    folder.parent().filter(|_| is_of_rounds)
}

fn page(fusion: &Fusion) -> Markup {
    let section = |id, title, body| Section { id, title, body };
    let sections = [
        section(
            "backends",
            "What each backend gave",
            backends::parts(fusion),
        ),
        section(
            "domains",
            "What each backend is good at",
            backends::transfer(fusion),
        ),
        section(
            "quotas",
            "Quotas by class and domain",
            html! {
                (backends::rounds(fusion))
                (backends::quotas(fusion))
            },
        ),
        section(
            "images",
            "Most and least useful images",
            images::images(fusion),
        ),
        section(
            "prompts",
            "Written prompts and refusals",
            prompts::refused(fusion),
        ),
        section("cost", "What the choice cost", cost(fusion)),
        section("provenance", "Provenance", provenance(fusion)),
    ];
    document(&Document {
        kicker: "fused set",
        title: &format!(
            "{} of {} images of {}",
            count(fusion.report.chosen),
            count(fusion.report.made),
            plural(fusion.report.backends.len(), "backend", "backends")
        ),
        version: &fusion.record.version,
        summary: summary(fusion),
        sections: &sections,
        files: html! { p { "The JSON file beside it holds the same numbers." } },
    })
}

fn summary(fusion: &Fusion) -> Markup {
    let spec = &fusion.record.spec;
    html! {
        ul.facts {
            li { "chosen by " b { (spec.select) } }
            li { @match spec.quotas {
                Some(promptfed_synth::fuse::QuotaSource::Transfer) => "quotas by transfer",
                Some(promptfed_synth::fuse::QuotaSource::Feedback) => "quotas by feedback",
                None => "no quotas",
            } }
            li { @match spec.weights {
                Some(weights) => { "weights adjusted " (weights.iterations) " times" }
                None => "all weights 1",
            } }
            @if let Some(soft) = spec.soft_labels {
                li { "soft labels, " (percent(soft.share)) " votes" }
            }
            li { "seed " (spec.seed) }
        }
    }
}

fn cost(fusion: &Fusion) -> Markup {
    html! {
        dl.pairs {
            @for (stage, time) in &fusion.cost.seconds {
                div { dt { (stage) } dd { (seconds(*time)) } }
            }
            div { dt { "all together" } dd { b { (seconds(fusion.cost.total())) } } }
        }
    }
}

fn provenance(fusion: &Fusion) -> Markup {
    html! {
        dl.pairs {
            @for set in &fusion.record.sets {
                div {
                    dt { (set.backend) ", round " (set.round) }
                    dd {
                        (set.engine.name) " " (set.engine.version) ", job "
                        span.hash { (set.job) } ", prompts " span.hash { (set.prompts_hash) } ", seed " (set.seed)
                    }
                }
            }
            @if let Some(hash) = fusion.record.network_hash {
                div { dt { "EfficientNet-lite0" } dd.hash { (hash) } }
            }
            @if let Some(hash) = fusion.record.feedback_hash {
                div { dt { "clients' feedback" } dd.hash { (hash) } }
            }
        }
    }
}
