//! The images of a round: a page at a time, chosen by what they are of, and where each of them comes from.

mod filter;
mod lineage;
mod picture;
mod sources;

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Html;
use maud::{Markup, html};
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::ClientId;

use self::filter::{Filter, Found, texts};
use self::lineage::Image;
pub(super) use self::lineage::{drop_image, lineage};
pub(super) use self::picture::picture;
use self::picture::{SMALL, address};
pub(super) use self::sources::of_job;
use self::sources::sources;
use super::fault::{Answer, Fault};
use super::layout::{Place, page};
use super::paging::Paging;
use super::prompts::arrived;
use super::visitor::{Round, Visitor};
use crate::state::AppState;

/// Images on a page.
const EACH: u64 = 60;

/// The images that a filter finds.
pub(super) async fn show(
    visitor: Visitor,
    Round(round): Round,
    Query(mut filter): Query<Filter>,
    State(state): State<AppState>,
) -> Answer<Html<String>> {
    let all = visitor.sees_prompts();
    if !all {
        // What a client's prompts have become tells of them.
        filter.client.clear();
    }
    let prompts = match filter.client.parse().map(ClientId::new) {
        Ok(client) => {
            let (spec, _, set) = arrived(&state, round, client).await?;
            Some(set.map(|set| texts(&set, &spec)).unwrap_or_default())
        }
        Err(_) => None,
    };
    let paging = Paging::of(&filter.page, EACH);
    let (folder, asked) = (Arc::clone(&state.folder), filter.clone());
    let read = state.store(move |store| {
        let Some(spec) = store.round_spec(round)? else {
            return Ok(None);
        };
        let members = match all {
            true => store.members(round)?.unwrap_or_default(),
            false => Vec::new(),
        };
        let sources = sources(&folder, round, &spec)?;
        let found = asked.find(&sources, prompts.as_ref(), paging)?;
        let dropped = store.dropped_images(round)?;
        Ok(Some((spec, members, sources, found, dropped)))
    });
    let (spec, members, sources, found, dropped) =
        read.await?.ok_or_else(|| Fault::no_round(round))?;
    let base = format!("/dashboard/rounds/{round}");
    let images = format!("{base}/images");
    let title = format!("Images of round {round}");
    let main = html! {
        h1 { (title) }
        p { a href=(base) { "Round " (round) } }
        (filter.form(&images, &spec, &sources, &found.domains, &members))
        p role="status" { (found.total) " images" }
        (pictures(&base, &found, &dropped))
        (paging.links(found.total, |page| filter.address(&images, page)))
        section id="lineage" aria-label="Where an image comes from" {}
    };
    Ok(page(&visitor, Place::Rounds, &title, &main))
}

fn pictures(base: &str, found: &Found, dropped: &HashSet<ContentHash>) -> Markup {
    html! {
        ul.gallery {
            @for (source, row) in &found.shown {
                @let hash = row.pixel_hash.map(|hash| hash.to_string()).unwrap_or_default();
                @let lineage = Image { source: source.clone(), index: row.index }.address(base);
                li {
                    a href=(lineage) hx-get=(lineage) hx-target="#lineage" hx-swap="innerHTML show:#lineage:top" {
                        @if let Some(file) = &row.file {
                            img src=(address(base, source, file, &hash, true)) loading="lazy" decoding="async"
                                width=(SMALL) height=(SMALL) alt=(format!("{}, image {} of {source}", row.class_name, row.index));
                        }
                    }
                    span { (row.class_name) }
                    @if row.pixel_hash.is_some_and(|hash| dropped.contains(&hash)) { span.fault { "dropped" } }
                    @if let Some(score) = row.clip_scores.last() { span { "CLIP " (format!("{score:.2}")) } }
                }
            }
        }
    }
}
