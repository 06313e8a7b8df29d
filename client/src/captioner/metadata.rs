//! Captions that came with the data.

use std::path::Path;

use promptfed_data::ImageSource;
use promptfed_files::FileError;
use promptfed_prompts::Caption;

use super::{CaptionInput, CaptionProblem, Captioner};

/// Largest side-car file that is read.
pub const MAX_SIDE_CAR_BYTES: u64 = 64 << 10;

/// Takes the data set's caption (a column, or a line of `metadata.csv` and its like); where an image has none there, the text file
/// beside the image with the same name (`cat.jpg`, then `cat.txt`, `cat.caption` or `cat.jpg.txt`). White space alone counts as none.
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
    let beside = image.with_added_extension("txt");
    let paths = [
        image.with_extension("txt"),
        image.with_extension("caption"),
        beside,
    ];
    for path in paths {
        if path == image {
            continue;
        }
        match promptfed_files::read_text(&path, MAX_SIDE_CAR_BYTES) {
            Ok(text) if !text.trim().is_empty() => return Ok(Some(text)),
            Ok(_) => {}
            // A link that leads nowhere is a side-car that is missing, and said to be.
            Err(FileError::NotFound { .. }) if !path.is_symlink() => {}
            Err(error) => {
                let reason = reason(error);
                return Err(CaptionProblem::SideCar { path, reason });
            }
        }
    }
    Ok(None)
}

/// What is wrong, without the path.
fn reason(error: FileError) -> String {
    match error {
        FileError::NotText { line, reason, .. } => format!("line {line}: {reason}"),
        FileError::TooLarge { limit, .. } => {
            format!("it has more than {limit} bytes; shorten it")
        }
        FileError::NotRegular { what, .. } => format!("it is {what}"),
        error => error.to_string(),
    }
}
