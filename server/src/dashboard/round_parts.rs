//! The parts of a round's page, which are also sent to pages that are open.

use maud::{Markup, html};
use promptfed_prompts::protocol::{ImageBudget, RoundMember, RoundSpec, RoundState, RoundStatus};

use super::units::{bytes, time};
use super::visitor::Visitor;
use crate::store::NumberedEvent;

/// Clients of each list that are shown; a federation can have ten thousand.
const MOST_NAMES: usize = 200;

/// What a job does after its round was closed, in order.
const STAGES: [&str; 4] = ["queued", "synthesising", "fusing", "training"];

/// A bar where something is counted.
pub(super) fn progress(state: &RoundState) -> Markup {
    let (done, total, of) = match state {
        RoundState::Synthesising { done, total } => (*done, *total, "images"),
        RoundState::Fusing { stage, done, total } => (*done, *total, stage.as_str()),
        RoundState::Training { epoch, epochs } => ((*epoch).into(), (*epochs).into(), "epochs"),
        _ => return html! {},
    };
    let told = format!("{done} of {total} {of}");
    html! {
        progress value=(done) max=(total.max(1)) aria-label=(told) {}
        " " (told)
    }
}

/// Where a round stands. What a job fails of may quote prompts.
pub(super) fn standing(status: &RoundStatus, fuses: bool, visitor: &Visitor) -> Markup {
    let now = status.state.name();
    html! {
        p { "State: " strong.state { (now) } }
        @if STAGES.contains(&now) {
            ol.stages aria-label="Stages" {
                @for stage in STAGES.into_iter().filter(|stage| fuses || *stage != "fusing") {
                    li aria-current=[(stage == now).then_some("step")] { (stage) }
                }
            }
        }
        @match &status.state {
            RoundState::Failed { reason } | RoundState::Paused { reason } => {
                @if visitor.sees_prompts() { p.fault { (reason) } }
                @else { p { "The reason is shown to operators." } }
            }
            state => p { (progress(state)) }
        }
        dl {
            dt { "Submitted" }
            dd {
                (status.submissions)
                @if let Some(expected) = status.expected_clients { " of " (expected) " clients" }
            }
            dt { "Opened" } dd { (time(status.opened_at)) }
            @if let Some(at) = status.closed_at { dt { "Closed" } dd { (time(at)) } }
            @if let Some(at) = status.finished_at { dt { "Ended" } dd { (time(at)) } }
            @if status.attempts > 0 { dt { "Attempts" } dd { (status.attempts) } }
        }
        @if visitor.sees_prompts() && !status.warnings.is_empty() {
            ul.warnings aria-label="Warnings" { @for warning in &status.warnings { li { (warning) } } }
        }
    }
}

/// What a round is to do.
pub(super) fn plan(spec: &RoundSpec) -> Markup {
    let (synthesis, training) = (&spec.synthesis, &spec.training);
    let images = match synthesis.images {
        ImageBudget::PerPrompt(images) => format!("{images} for each prompt"),
        ImageBudget::Total(images) => format!("{images} in all"),
    };
    html! {
        dl {
            dt { "Classes" } dd { (spec.label_space.len()) " of " (spec.label_space.name()) }
            dt { "Images" } dd { (images) }
            dt { "Sources" }
            dd {
                @for (i, source) in synthesis.sources.iter().enumerate() {
                    @if i > 0 { ", " }
                    (source.engine)
                    @if source.share > 1 { " (share " (source.share) ")" }
                }
            }
            @if let Some(score) = synthesis.min_clip_score { dt { "Least CLIP score" } dd { (score) } }
            dt { "Training" }
            dd { (training.epochs) " epochs of batches of " (training.batch_size) ", pictures of " (training.image_size) " pixels" }
            dt { "Seeds" } dd { "synthesis " (synthesis.seed) ", training " (training.seed) }
        }
    }
}

/// What can be done with a round now.
pub(super) fn actions(status: &RoundStatus, visitor: &Visitor) -> Markup {
    let possible: &[(&str, &str)] = match &status.state {
        RoundState::Open => &[("close", "Close and start"), ("cancel", "Cancel the round")],
        RoundState::Failed { .. } => &[("retry", "Try again")],
        RoundState::Paused { .. } => &[("retry", "Try again"), ("cancel", "Cancel the round")],
        state if state.is_final() => &[],
        _ => &[("cancel", "Cancel the round")],
    };
    html! {
        @for (action, words) in possible {
            form method="post" action=(format!("/dashboard/rounds/{}/{action}", status.round_id)) {
                (visitor.csrf_field())
                button type="submit" { (words) }
            }
        }
    }
}

/// Who has submitted and who has not.
pub(super) fn members(members: &[RoundMember]) -> Markup {
    let (sent, missing): (Vec<_>, Vec<_>) = members
        .iter()
        .partition(|member| member.submission.is_some());
    html! {
        p { (sent.len()) " clients have submitted, " (missing.len()) " have not." }
        @if !sent.is_empty() {
            div.wide role="region" aria-label="Clients that have submitted" tabindex="0" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Client" } th scope="col" { "Prompts" }
                            th scope="col" { "Bytes" } th scope="col" { "Received" }
                        }
                    }
                    tbody {
                        @for member in sent.iter().take(MOST_NAMES) {
                            tr {
                                th scope="row" { (member.client_id) " " (member.name) }
                                @if let Some(submission) = &member.submission {
                                    td { (submission.prompts) }
                                    td { (bytes(submission.bytes)) }
                                    td { (time(submission.received_at)) }
                                }
                            }
                        }
                    }
                }
            }
            (more(sent.len()))
        }
        @if !missing.is_empty() {
            h3 { "Not yet" }
            ul.names {
                @for member in missing.iter().take(MOST_NAMES) {
                    li { (member.name) @if member.excluded { " (excluded)" } }
                }
            }
            (more(missing.len()))
        }
    }
}

fn more(clients: usize) -> Markup {
    let left = clients.saturating_sub(MOST_NAMES);
    html! { @if left > 0 { p { "And " (left) " more; " code { "promptfed round submissions" } " lists all." } } }
}

/// The latest events of a round, the latest first; later ones are put before them.
pub(super) fn log(latest: &[NumberedEvent]) -> Markup {
    html! {
        ol.log id="entries" reversed sse-swap="entry" hx-swap="afterbegin" {
            @for event in latest { (entry(event)) }
        }
    }
}

/// One event.
pub(super) fn entry(event: &NumberedEvent) -> Markup {
    html! {
        li data-number=(event.number) { (time(event.event.at)) " " (event.event.text) }
    }
}
