//! Rounds as people read them. Names and texts of others are shown without what a terminal would obey.

use super::round::state;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_eval::report::bytes;
use promptfed_prompts::protocol::{
    DroppedImages, ImageBudget, ImagePage, RedrawnClass, RoundEvent, RoundMember, RoundResults,
    RoundSpec, SourceOutcome, TrainingPlan, TrainingStatus, shown,
};
use std::time::{Duration, SystemTime};

/// What clients and server agreed on.
pub(super) fn plan(spec: &RoundSpec) -> String {
    let mut lines = vec![format!(
        "{}: {} classes of `{}` (hash {})",
        shown(&spec.name),
        spec.label_space.len(),
        shown(spec.label_space.name()),
        spec.label_space.hash()
    )];
    match &spec.prompts {
        None => lines.push(
            "no level and no templates are agreed: the first client to submit decides for all"
                .to_owned(),
        ),
        Some(plan) => {
            lines.push(format!(
                "prompts: level {}, templates {}, {}",
                plan.level,
                shown(plan.templates.name()),
                match plan.max_per_client {
                    Some(quota) => format!("at most {quota} of each client"),
                    None => "no quota".to_owned(),
                }
            ));
            for entry in plan.templates.entries().filter(|e| e.level == plan.level) {
                let domains: Vec<&str> = entry.domains.iter().map(|d| d.as_str()).collect();
                let of = match (entry.any_domain, domains.is_empty()) {
                    (true, _) => "any domain".to_owned(),
                    (false, true) => "no domain".to_owned(),
                    (false, false) => shown(&domains.join(", ")),
                };
                lines.push(format!("  {of}: {:?}", shown(&entry.positive)));
            }
        }
    }
    lines.push(format!(
        "together: at most {} distinct prompts",
        spec.most_pooled_prompts()
    ));
    let images = match spec.synthesis.images {
        ImageBudget::Total(images) => format!("{images} in all"),
        ImageBudget::PerPrompt(images) => format!("{images} for each prompt"),
    };
    let sources = spec.synthesis.sources.iter();
    let engines: Vec<String> = sources.map(|source| shown(&source.engine)).collect();
    lines.push(format!(
        "images: {images}, by {}{}",
        engines.join(", "),
        match &spec.synthesis.fuse {
            Some(fuse) => format!(", of which {} chooses", shown(&fuse.select)),
            None => String::new(),
        }
    ));
    let training = &spec.training;
    lines.push(format!(
        "training: {} epochs at {} pixels, batches of {}",
        training.epochs, training.image_size, training.batch_size
    ));
    lines.push(if spec.open_results {
        "results and model: for every client".to_owned()
    } else {
        "results and model: for clients that submitted".to_owned()
    });
    lines.join("\n")
}

/// Who has submitted and who has not.
pub(super) fn members(members: &[RoundMember]) -> String {
    let mut table = table(&[
        "client",
        "name",
        "submitted",
        "bytes",
        "prompts",
        "classes",
        "",
    ]);
    for member in members {
        let stored = member.submission.as_ref();
        let number = |value: Option<u64>| value.map_or(String::new(), |n| n.to_string());
        table.add_row([
            member.client_id.to_string(),
            shown(&member.name),
            stored.map_or("not yet".to_owned(), |s| time(s.received_at)),
            number(stored.map(|s| s.bytes)),
            number(stored.map(|s| s.prompts)),
            number(stored.and_then(|s| s.classes)),
            (if member.excluded { "excluded" } else { "" }).to_owned(),
        ]);
    }
    let submitted = members.iter().filter(|m| m.submission.is_some()).count();
    format!("{table}\n{submitted} of {} clients", members.len())
}

/// What happened, a line each.
pub(super) fn events(events: &[RoundEvent]) -> String {
    let lines: Vec<String> = events
        .iter()
        .map(|event| format!("{}  {}", time(event.at), shown(&event.text)))
        .collect();
    lines.join("\n")
}

/// What a round found.
pub(super) fn results(results: &RoundResults) -> String {
    let accuracy = results
        .validation_accuracy
        .map_or("none".to_owned(), |a| format!("{:.1} %", 100.0 * a));
    let seconds = results.seconds;
    let rows = [
        ("training", results.training.to_string()),
        (
            "settings",
            results
                .plan
                .as_ref()
                .map_or("those of the round's plan".to_owned(), settings),
        ),
        ("classes drawn again", redrawn(&results.redrawn)),
        ("images dropped", results.dropped.to_string()),
        ("prompts, pooled", results.pooled.prompts.to_string()),
        ("hash of the pool", results.pooled.hash.to_string()),
        (
            "images accepted",
            format!("{} of {}", results.images.accepted, results.images.planned),
        ),
        (
            "images chosen",
            results
                .fusion
                .as_ref()
                .map_or("all".to_owned(), |f| f.chosen.to_string()),
        ),
        (
            "epoch kept",
            format!("{} of {}", results.selected_epoch, results.curve.len()),
        ),
        ("accuracy on held-out synthetic images", accuracy),
        (
            "model",
            format!(
                "{}, {} parameters",
                bytes(results.model.bytes),
                results.model.parameters
            ),
        ),
        ("hash of the model", results.model.hash.to_string()),
        (
            "seconds",
            format!(
                "{:.1} synthesis, {:.1} fusing, {:.1} training",
                seconds.synthesis, seconds.fusing, seconds.training
            ),
        ),
    ];
    let mut summary = table(&["", ""]);
    for (name, value) in rows {
        summary.add_row([name.to_owned(), value]);
    }
    let mut parts = vec![summary.to_string()];
    if !results.sources.is_empty() {
        let mut sources = table(&["engine", "images", "outcome"]);
        for source in &results.sources {
            sources.add_row([
                shown(&source.name),
                source.images.accepted.to_string(),
                match &source.outcome {
                    SourceOutcome::Done => "done".to_owned(),
                    SourceOutcome::SetAside { reason } => format!("set aside: {}", shown(reason)),
                },
            ]);
        }
        parts.push(sources.to_string());
    }
    if !results.prompt_sets.is_empty() {
        let mut sets = table(&["prompt set", "prompts", "bytes"]);
        for set in &results.prompt_sets {
            let row = [
                set.hash.to_string(),
                set.prompts.to_string(),
                set.bytes.to_string(),
            ];
            sets.add_row(row);
        }
        parts.push(sets.to_string());
    }
    let warnings = results.warnings.iter();
    parts.extend(warnings.map(|warning| format!("note: {}", shown(warning))));
    parts.join("\n")
}

/// A round's trainings and what came of them.
pub(super) fn trainings(trainings: &[TrainingStatus]) -> String {
    let mut table = table(&[
        "training",
        "state",
        "settings",
        "drawn again",
        "accuracy",
        "model",
        "",
    ]);
    for training in trainings {
        let model = training.model.as_ref();
        let accuracy = training.validation_accuracy;
        table.add_row([
            training.training.to_string(),
            state(&training.state),
            settings(&training.plan),
            redrawn(&training.redrawn),
            accuracy.map_or(String::new(), |a| format!("{:.1} %", 100.0 * a)),
            model.map_or(String::new(), |model| model.hash.to_string()),
            (if training.published { "published" } else { "" }).to_owned(),
        ]);
    }
    table.to_string()
}

/// What most often differs between two trainings.
fn settings(plan: &TrainingPlan) -> String {
    format!(
        "{} epochs, rate {}, batches of {}, {} pixels, width {}, seed {}",
        plan.epochs, plan.learning_rate, plan.batch_size, plan.image_size, plan.width, plan.seed
    )
}

fn redrawn(classes: &[RedrawnClass]) -> String {
    let each = classes
        .iter()
        .map(|again| format!("{} ({})", shown(&again.class), again.draw));
    let each: Vec<String> = each.collect();
    match each.is_empty() {
        true => "none".to_owned(),
        false => each.join(", "),
    }
}

/// A round's images, by the first digits of their hashes.
pub(super) fn images(page: &ImagePage) -> String {
    let mut table = table(&[
        "hash", "class", "domain", "engine", "draw", "prompt", "seed", "",
    ]);
    for image in &page.images {
        table.add_row([
            image.hash.to_string().chars().take(12).collect(),
            shown(&image.class),
            image.domain.as_deref().map_or(String::new(), shown),
            shown(&image.engine),
            image.draw.to_string(),
            shown(&image.prompt),
            image.seed.chars().take(12).collect(),
            (if image.dropped { "dropped" } else { "" }).to_owned(),
        ]);
    }
    format!("{table}\n{} of {} images", page.images.len(), page.total)
}

/// What was dropped or taken back in.
pub(super) fn drops(drops: &DroppedImages, undo: bool) -> String {
    format!(
        "{} images {}; {} of round {} are dropped; `promptfed round train {}` trains without them",
        drops.changed.len(),
        if undo { "taken back in" } else { "dropped" },
        drops.dropped,
        drops.round_id,
        drops.round_id,
    )
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(header.iter().copied());
    for (at, name) in header.iter().enumerate() {
        if matches!(*name, "bytes" | "prompts" | "classes" | "images")
            && let Some(column) = table.column_mut(at)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A moment in Greenwich time, as 2026-01-31 12:00:00.
pub(super) fn time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the days since 1970-01-01: years begin in March here, so that the leap day is the last, and repeat after 400.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

/// How long ago something was, for people.
pub(super) fn age(milliseconds: u64) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
    let seconds = at.elapsed().unwrap_or_default().as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_in_greenwich_time() {
        assert_eq!(time(0), "1970-01-01 00:00:00Z");
        assert_eq!(time(951_782_399_000), "2000-02-28 23:59:59Z");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(time(1_735_689_600_123), "2025-01-01 00:00:00Z");
        assert_eq!(time(4_107_542_400_000), "2100-03-01 00:00:00Z");
    }

    #[test]
    fn a_table_shows_who_is_missing_and_obeys_no_name() {
        let member = |id, name: &str| RoundMember {
            client_id: promptfed_prompts::protocol::ClientId::new(id),
            name: name.to_owned(),
            submission: None,
            excluded: id == 2,
        };
        let told = members(&[member(1, "a\u{1b}[2J"), member(2, "b")]);
        assert!(!told.contains('\u{1b}'), "{told}");
        assert!(
            told.contains("not yet") && told.contains("excluded"),
            "{told}"
        );
        assert!(told.ends_with("0 of 2 clients"), "{told}");
    }
}
