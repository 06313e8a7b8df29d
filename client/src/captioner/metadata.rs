//! Captions that came with the data.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use promptfed_data::ImageSource;
use promptfed_prompts::Caption;

use super::{CaptionInput, CaptionProblem, Captioner};

/// Largest side-car file that is read.
pub const MAX_SIDE_CAR_BYTES: u64 = 64 << 10;

/// Takes the data set's caption column; where an image has none there, the text file beside the
/// image with the same name (`cat.jpg`, `cat.txt`; UTF-8). White space alone counts as none.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetadataCaptioner;

impl Captioner for MetadataCaptioner {
    fn name(&self) -> String {
        "metadata".to_owned()
    }

    fn needs_pixels(&self) -> bool {
        false
    }

    fn caption(&self, image: &CaptionInput<'_>) -> Result<Option<Caption>, CaptionProblem> {
        let column = image
            .sample
            .caption
            .clone()
            .filter(|text| !text.trim().is_empty());
        let text = match (column, &image.sample.source) {
            (Some(text), _) => Some(text),
            (None, ImageSource::File(path)) => side_car(path)?,
            (None, ImageSource::Parquet { .. }) => None,
        };
        match text {
            Some(text) if !text.trim().is_empty() => Ok(Some(Caption::try_from(text)?)),
            _ => Ok(None),
        }
    }
}

fn side_car(image: &Path) -> Result<Option<String>, CaptionProblem> {
    let path = image.with_extension("txt");
    if path == image {
        return Ok(None);
    }
    match read_text(&path) {
        Ok(text) => Ok(Some(text.trim_start_matches('\u{FEFF}').to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(problem(path, error.to_string())),
    }
}

fn read_text(path: &PathBuf) -> std::io::Result<String> {
    let mut text = String::new();
    let file = fs_err::File::open(path)?;
    file.take(MAX_SIDE_CAR_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_SIDE_CAR_BYTES {
        let reason = format!("it has more than {MAX_SIDE_CAR_BYTES} bytes; shorten it");
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, reason));
    }
    Ok(text)
}

fn problem(path: PathBuf, reason: String) -> CaptionProblem {
    CaptionProblem::SideCar { path, reason }
}
