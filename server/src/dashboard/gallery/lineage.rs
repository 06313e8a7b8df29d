//! Where an image comes from, and taking it out of later trainings.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{Html, Redirect};
use maud::{Markup, html};
use promptfed_prompts::protocol::RoundId;
use promptfed_synth::job::ManifestRow;
use serde::{Deserialize, Serialize};

use super::picture;
use super::sources::sources;
use crate::dashboard::fault::{Answer, Fault};
use crate::dashboard::layout::{Place, page};
use crate::dashboard::visitor::{Round, Sent, Visitor};
use crate::role::Role;
use crate::state::AppState;

/// An image, as an address has it.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::dashboard) struct Image {
    pub(super) source: String,
    pub(super) index: u64,
}

/// The form of [`drop_image`].
#[derive(Deserialize)]
pub(in crate::dashboard) struct Dropping {
    source: String,
    index: u64,
    /// Whether it is to be taken back in.
    undo: bool,
}

/// What is known of an image.
struct Known {
    image: Image,
    row: ManifestRow,
    is_dropped: bool,
}

impl Image {
    /// The address of where it comes from.
    pub(super) fn address(&self, base: &str) -> String {
        // Texts and numbers can always be written so.
        let query = serde_urlencoded::to_string(self).unwrap_or_default();
        format!("{base}/image?{query}")
    }
}

impl Known {
    async fn of(state: &AppState, round: RoundId, image: Image) -> Answer<Self> {
        let folder = Arc::clone(&state.folder);
        let read = state.store(move |store| {
            let Some(spec) = store.round_spec(round)? else {
                return Ok(None);
            };
            let sources = sources(&folder, round, &spec)?;
            let source = sources.iter().find(|source| source.name == image.source);
            let row = match source {
                Some(source) => source.row(image.index)?,
                None => None,
            };
            let Some(row) = row else {
                return Ok(None);
            };
            let dropped = store.dropped_images(round)?;
            let is_dropped = row.pixel_hash.is_some_and(|hash| dropped.contains(&hash));
            Ok(Some(Self {
                image,
                row,
                is_dropped,
            }))
        });
        read.await?.ok_or_else(Fault::no_image)
    }
}

/// Where an image comes from: a page of its own, or what htmx puts beside the others.
pub(in crate::dashboard) async fn lineage(
    visitor: Visitor,
    Round(round): Round,
    Query(image): Query<Image>,
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Answer<Html<String>> {
    let known = Known::of(&state, round, image).await?;
    let (source, index) = (&known.image.source, known.image.index);
    let told = origin(round, &known, &visitor);
    if headers.contains_key("hx-request") {
        let part = html! {
            h2 tabindex="-1" autofocus { "Image " (index) }
            (told)
        };
        return Ok(Html(part.into_string()));
    }
    let title = format!("Image {index} of {source} in round {round}");
    let main = html! {
        h1 { (title) }
        p { a href=(format!("/dashboard/rounds/{round}/images")) { "All images of the round" } }
        (told)
    };
    Ok(page(&visitor, Place::Rounds, &title, &main))
}

/// Takes an image out of the trainings that begin from now on, or back in.
pub(in crate::dashboard) async fn drop_image(
    Round(round): Round,
    State(state): State<AppState>,
    sent: Sent<Dropping>,
) -> Answer<Redirect> {
    let (visitor, form) = sent.of(Role::Operator)?;
    let Dropping {
        source,
        index,
        undo,
    } = form;
    let known = Known::of(&state, round, Image { source, index }).await?;
    let hash = known.row.pixel_hash.ok_or_else(Fault::no_image)?;
    let role = visitor.role().name();
    tracing::info!(%round, %hash, undo, role, "image dropped or taken back in from the dashboard");
    let changed = state.store(move |store| store.drop_images(round, &[hash], undo));
    changed.await?.ok_or_else(|| Fault::no_round(round))?;
    let base = format!("/dashboard/rounds/{round}");
    Ok(Redirect::to(&known.image.address(&base)))
}

/// Everything that determined an image. The texts are for those who see prompts.
fn origin(round: RoundId, known: &Known, visitor: &Visitor) -> Markup {
    let Known { image, row, .. } = known;
    let (base, source) = (format!("/dashboard/rounds/{round}"), &image.source);
    let hash = row.pixel_hash.map(|hash| hash.to_string());
    let hash = hash.unwrap_or_default();
    let scores: Vec<String> = row.clip_scores.iter().map(|s| format!("{s:.3}")).collect();
    let sees_prompts = visitor.sees_prompts();
    html! {
        @if let Some(file) = &row.file {
            img.large src=(picture::address(&base, source, file, &hash, false))
                alt=(format!("{}, image {} of {source}", row.class_name, row.index));
        }
        dl {
            dt { "Class" } dd { (row.class_name) }
            @if let Some(domain) = &row.domain { dt { "Domain" } dd { (domain) } }
            @if sees_prompts {
                dt { "Prompt" } dd.text { (row.prompt) }
                @if !row.negative.is_empty() { dt { "Negative prompt" } dd.text { (row.negative) } }
                @if let Some(cut) = &row.cut { dt { "Not read by the engine" } dd.text { (cut) } }
            }
            dt { "Source" } dd { (source) }
            dt { "Engine" } dd { (row.engine) " " (row.engine_version) }
            dt { "Weights" } dd { code { (row.weights_hash) } }
            dt { "Seed" } dd { code { (row.seed) } }
            dt { "Sampling" } dd { (row.sampler) ", " (row.steps) " steps, guidance " (row.guidance) }
            @if !scores.is_empty() { dt { "CLIP score of each draw" } dd { (scores.join(", ")) } }
            dt { "Draws" } dd { (row.attempts) }
            @if !hash.is_empty() { dt { "BLAKE3 of its pixels" } dd { code { (hash) } } }
            @if known.is_dropped { dt { "Dropped" } dd { "No training takes it that begins from now on." } }
        }
        @if sees_prompts && !hash.is_empty() {
            form method="post" action=(format!("{base}/image/drop")) {
                (visitor.csrf_field())
                input type="hidden" name="source" value=(source);
                input type="hidden" name="index" value=(image.index);
                input type="hidden" name="undo" value=(known.is_dropped);
                button type="submit" { @if known.is_dropped { "Take back in" } @else { "Drop from later trainings" } }
            }
        }
    }
}
