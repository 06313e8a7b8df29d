//! A round's images, one by one, for its administrator: to look at, and to drop.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use promptfed_data::ImageSource;
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{
    DropRequest, DroppedImages, IMAGE_MEDIA_TYPE, ImagePage, MAX_LISTED_IMAGES, ProblemCode,
    RoundId, SyntheticImage,
};
use promptfed_synth::job::ManifestRow;
use promptfed_synth::{SyntheticSet, is_job};
use serde::Deserialize;

use super::access::{Admin, Round};
use super::message::Message;
use super::openapi::{Access, Anywhere, Body, Bytes, OfRound};
use super::problem::{Answer, Refusal};
use super::results::sent;
use crate::Result;
use crate::data_folder::DataFolder;
use crate::state::AppState;

/// Which images are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    class: Option<String>,
    domain: Option<String>,
    dropped: Option<bool>,
    #[serde(default)]
    offset: u64,
    #[serde(default = "a_page")]
    limit: u32,
}

fn a_page() -> u32 {
    MAX_LISTED_IMAGES
}

impl Asked {
    fn wants(&self, row: &ManifestRow, is_dropped: bool) -> bool {
        self.class
            .as_ref()
            .is_none_or(|class| *class == row.class_name)
            && (self.domain.is_none() || self.domain == row.domain)
            && self.dropped.is_none_or(|dropped| dropped == is_dropped)
    }
}

/// The images of a round that were accepted, and those that were drawn again: all of them, or those of a class, of a domain, dropped or not. While
/// they are being made, those that there are.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/images", operation_id = "images", tag = "images", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round."),
        ("class" = Option<String>, Query, description = "Only those of this class."),
        ("domain" = Option<String>, Query, description = "Only those whose prompts have this domain."),
        ("dropped" = Option<bool>, Query, description = "Only those that are dropped, or that are not."),
        ("offset" = Option<u64>, Query, description = "How many of them to pass over; 0 where it is left out."),
        ("limit" = Option<u32>, Query, description = "How many of them to list, 1 to 1,000; 1,000 where it is left out.")),
    responses((status = 200, description = "The images.", body = ImagePage), Access, OfRound, Anywhere))]
pub(super) async fn list(
    _: Admin,
    Round(round): Round,
    State(state): State<AppState>,
    asked: std::result::Result<Query<Asked>, QueryRejection>,
) -> Answer<Json<ImagePage>> {
    let Query(asked) = asked.map_err(|error| {
        let remedy = "ask with class, domain, dropped, offset and limit alone";
        Refusal::malformed(error.body_text(), remedy)
    })?;
    if !(1..=MAX_LISTED_IMAGES).contains(&asked.limit) {
        let remedy = format!("give limit from 1 to {MAX_LISTED_IMAGES}");
        return Err(Refusal::malformed("limit is out of range", remedy));
    }
    let spec = state.store(move |store| store.round_spec(round)).await?;
    let spec = spec.ok_or_else(|| Refusal::no_round(round))?;
    if let Some(class) = &asked.class
        && spec.label_space.index_of(class).is_none()
    {
        return Err(Refusal::malformed(
            format!("the round has no class {class:?}"),
            "name a class of the round's label space",
        ));
    }
    let folder = Arc::clone(&state.folder);
    let page = state.store(move |store| {
        let dropped = store.dropped_images(round)?;
        let mut page = ImagePage {
            images: Vec::new(),
            total: 0,
        };
        each_image(&folder, round, |draw, row, hash, _| {
            let is_dropped = dropped.contains(&hash);
            if !asked.wants(&row, is_dropped) {
                return true;
            }
            let is_listed = page.total >= asked.offset && page.images.len() < asked.limit as usize;
            page.total += 1;
            if is_listed {
                page.images.push(image(draw, row, hash, is_dropped));
            }
            true
        })?;
        Ok(page)
    });
    Ok(Json(page.await?))
}

/// An image as a PNG file.
#[utoipa::path(get, path = "/v1/rounds/{round_id}/images/{hash}", operation_id = "image", tag = "images", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round."), ("hash" = String, Path, description = "The hash of its pixels.")),
    responses((status = 200, description = "The image.", content_type = "image/png", body = Bytes), Access, OfRound, Anywhere))]
pub(super) async fn file(
    _: Admin,
    one: One,
    State(state): State<AppState>,
) -> Answer<impl IntoResponse> {
    let One { round, hash } = one;
    let folder = Arc::clone(&state.folder);
    let found = state.store(move |_| {
        let mut found = None;
        each_image(&folder, round, |_, _, other, file| {
            if other == hash {
                found = Some(file);
            }
            found.is_none()
        })?;
        Ok(found)
    });
    match found.await? {
        Some(file) => sent(&state, file, IMAGE_MEDIA_TYPE).await,
        None => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            ProblemCode::NotFound,
            format!("round {round} has no image {hash}"),
            "list its images with GET /v1/rounds/{round_id}/images",
        )),
    }
}

/// Takes images out of all trainings that begin from now on, or with `undo` back in. Their files stay. Doing it again changes nothing.
#[utoipa::path(post, path = "/v1/rounds/{round_id}/drops", tag = "images", security(("admin" = [])),
    params(("round_id" = u32, Path, description = "The round.")),
    request_body = DropRequest,
    responses((status = 200, description = "Dropped, or taken back in.", body = DroppedImages), Access, Body, OfRound, Anywhere))]
pub(super) async fn drop_images(
    _: Admin,
    Round(round): Round,
    State(state): State<AppState>,
    Message(request): Message<DropRequest>,
) -> Answer<Json<DroppedImages>> {
    request.validate()?;
    let folder = Arc::clone(&state.folder);
    let changed = state.store(move |store| {
        if !store.has_round(round)? {
            return Ok(Err(Refusal::no_round(round)));
        }
        let mut named = Named::new(&request.images);
        each_image(&folder, round, |_, _, hash, _| {
            named.see(hash);
            true
        })?;
        // Images that were made again since can be taken back in too.
        for hash in store
            .dropped_images(round)?
            .into_iter()
            .filter(|_| request.undo)
        {
            named.see(hash);
        }
        let images = match named.hashes(round) {
            Ok(images) => images,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let changed = store.drop_images(round, &images, request.undo)?;
        Ok(changed.ok_or_else(|| Refusal::no_round(round)))
    });
    let changed = changed.await??;
    let images = changed.changed.len();
    tracing::info!(%round, images, dropped = changed.dropped, "images dropped or taken back in");
    Ok(Json(changed))
}

/// Hands the accepted images of a round to `on_image`, those made first and then those made again, with the number of the time, until it says that
/// it has seen enough.
fn each_image(
    folder: &DataFolder,
    round: RoundId,
    mut on_image: impl FnMut(u32, ManifestRow, ContentHash, PathBuf) -> bool,
) -> Result<()> {
    let mut jobs = vec![(0, folder.synthetic(round))];
    for (class, draw) in folder.redraws(round)? {
        jobs.push((draw, folder.redrawn(round, class, draw)));
    }
    for (draw, job) in jobs.iter().filter(|(_, job)| is_job(job)) {
        for set in SyntheticSet::all_in(job, None)? {
            for image in set.images()? {
                let (row, source) = image?;
                let (Some(hash), ImageSource::File(file)) = (row.pixel_hash, source) else {
                    continue;
                };
                if !on_image(*draw, row, hash, file) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn image(draw: u32, row: ManifestRow, hash: ContentHash, dropped: bool) -> SyntheticImage {
    SyntheticImage {
        hash,
        class: row.class_name,
        domain: row.domain,
        engine: row.engine,
        prompt: row.prompt,
        negative: row.negative,
        seed: row.seed.to_string(),
        row: row.index,
        draw,
        dropped,
    }
}

/// Images that are named by the beginnings of their hashes.
struct Named {
    found: HashMap<String, BTreeSet<ContentHash>>,
    lengths: BTreeSet<usize>,
}

impl Named {
    fn new(names: &[String]) -> Self {
        let found = names.iter().map(|name| (name.clone(), BTreeSet::new()));
        Self {
            found: found.collect(),
            lengths: names.iter().map(String::len).collect(),
        }
    }

    fn see(&mut self, hash: ContentHash) {
        let text = hash.to_string();
        for length in &self.lengths {
            let name = text.get(..*length);
            if let Some(found) = name.and_then(|name| self.found.get_mut(name)) {
                found.insert(hash);
            }
        }
    }

    /// The image of each name.
    fn hashes(self, round: RoundId) -> Answer<Vec<ContentHash>> {
        let mut hashes = BTreeSet::new();
        for (name, found) in self.found {
            let mut found = found.into_iter();
            match (found.next(), found.next()) {
                (Some(hash), None) => hashes.insert(hash),
                (None, _) => {
                    return Err(Refusal::invalid(
                        format!("round {round} has no image {name}"),
                        "list its images with GET /v1/rounds/{round_id}/images",
                    ));
                }
                (Some(_), Some(_)) => {
                    return Err(Refusal::invalid(
                        format!("several images of round {round} begin with {name}"),
                        "give more digits of the hash",
                    ));
                }
            };
        }
        Ok(hashes.into_iter().collect())
    }
}

/// The image that the path names.
pub(super) struct One {
    round: RoundId,
    hash: ContentHash,
}

impl FromRequestParts<AppState> for One {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let one = path.ok().and_then(|Path((round, hash))| {
            Some(Self {
                round: round.parse().ok()?,
                hash: hash.parse().ok()?,
            })
        });
        one.ok_or_else(|| {
            Refusal::malformed(
                "the path's round is not a number, or its image not 64 hexadecimal digits",
                "use a round_id of GET /v1/rounds and a hash of GET /v1/rounds/{round_id}/images",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_hashes_name_one_image_each() {
        let hash = |text: &str| ContentHash::of(text.as_bytes());
        let (a, b) = (hash("a"), hash("b"));
        let round = RoundId::new(1);
        let ask = |names: &[String]| {
            let mut named = Named::new(names);
            named.see(a);
            named.see(b);
            // Two engines can make the same image.
            named.see(a);
            named.hashes(round)
        };
        let short = a.to_string()[..8].to_owned();
        let found = ask(&[short.clone(), a.to_string(), b.to_string()]).unwrap();
        assert_eq!(BTreeSet::from_iter(found), BTreeSet::from([a, b]));
        assert_eq!(
            ask(&[short, hash("c").to_string()]).unwrap_err().status(),
            422
        );
        // Nothing so short passes the check of the message.
        assert_eq!(ask(&[String::new()]).unwrap_err().status(), 422);
    }
}
