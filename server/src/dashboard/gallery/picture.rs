//! A picture's bytes, small enough for a page of many.

use std::io::Cursor;

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use image::ImageFormat;
use serde::{Deserialize, Serialize};

use super::sources::sources;
use crate::dashboard::fault::{Answer, Fault};
use crate::dashboard::visitor::{Round, Visitor};
use crate::state::AppState;

/// Sides of what is shown among many, in pixels.
pub(super) const SMALL: u32 = 128;

/// The largest picture that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// A picture of a source, as an address has it.
#[derive(Serialize, Deserialize)]
pub(in crate::dashboard) struct Asked {
    source: String,
    file: String,
    /// The picture's hash, so that one that was made again has another address.
    #[serde(default)]
    hash: String,
    /// Not empty for one of at most [`SMALL`] pixels a side.
    #[serde(default)]
    small: String,
}

/// The address of a picture of a round.
pub(super) fn address(base: &str, source: &str, file: &str, hash: &str, is_small: bool) -> String {
    let asked = Asked {
        source: source.to_owned(),
        file: file.to_owned(),
        hash: hash.to_owned(),
        small: if is_small { "1" } else { "" }.to_owned(),
    };
    // Texts can always be written so.
    let query = serde_urlencoded::to_string(asked).unwrap_or_default();
    format!("{base}/picture?{query}")
}

/// One picture.
pub(in crate::dashboard) async fn picture(
    _: Visitor,
    Round(round): Round,
    Query(asked): Query<Asked>,
    State(state): State<AppState>,
) -> Answer<impl IntoResponse> {
    let folder = state.folder.clone();
    let read = state.store(move |store| {
        let Some(spec) = store.round_spec(round)? else {
            return Ok(None);
        };
        let sources = sources(&folder, round, &spec)?;
        let source = sources.iter().find(|source| source.name == asked.source);
        let path = source.and_then(|source| source.picture(&asked.file));
        let Some(path) = path.filter(|path| path.is_file()) else {
            return Ok(None);
        };
        let bytes = promptfed_files::read(&path, MAX_BYTES)?;
        Ok(Some(match asked.small.is_empty() {
            true => bytes,
            false => smaller(bytes),
        }))
    });
    let bytes = read.await?.ok_or_else(Fault::no_image)?;
    let headers = [
        (header::CONTENT_TYPE, "image/png"),
        (header::CACHE_CONTROL, "private, max-age=3600"),
    ];
    Ok((headers, bytes))
}

/// The picture with sides of at most [`SMALL`] pixels; as it is where that is so, or it cannot be read.
fn smaller(png: Vec<u8>) -> Vec<u8> {
    let Ok(picture) = image::load_from_memory_with_format(&png, ImageFormat::Png) else {
        return png;
    };
    if picture.width().max(picture.height()) <= SMALL {
        return png;
    }
    let mut small = Cursor::new(Vec::new());
    let drawn = picture.thumbnail(SMALL, SMALL);
    match drawn.write_to(&mut small, ImageFormat::Png) {
        Ok(()) => small.into_inner(),
        Err(_) => png,
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let picture = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 7]));
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn only_large_pictures_are_made_smaller() {
        let small = png(SMALL, 16);
        assert_eq!(smaller(small.clone()), small);
        let drawn = smaller(png(512, 256));
        let picture = image::load_from_memory(&drawn).unwrap();
        assert_eq!((picture.width(), picture.height()), (SMALL, SMALL / 2));
        assert_eq!(smaller(b"no picture".to_vec()), b"no picture");
    }
}
