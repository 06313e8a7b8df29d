//! What a worker made of a shard, as the bytes of one object: a safetensors file with the rows in its header and each PNG file as a tensor
//! of bytes named after its image's index.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};

use super::drawn::Drawn;
use super::manifest::ManifestRow;
use super::plan::PlannedImage;

/// The entry of the header.
const ROWS: &str = "promptfed";

/// Version of the form.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    rows: Vec<ManifestRow>,
}

/// The images of a shard as the bytes of an object; the same images give the same bytes.
pub(super) fn pack(drawn: Vec<Drawn>) -> Result<Vec<u8>, SafeTensorError> {
    let (mut rows, mut files) = (Vec::new(), Vec::new());
    for Drawn { row, png } in drawn {
        files.extend(png.map(|png| (name(row.index), png)));
        rows.push(row);
    }
    let header = Header {
        format: FORMAT,
        rows,
    };
    let header = serde_json::to_string(&header).unwrap_or_default();
    let views = files
        .iter()
        .map(|(name, png)| Ok((name, TensorView::new(Dtype::U8, vec![png.len()], png)?)));
    let views = views.collect::<Result<Vec<_>, SafeTensorError>>()?;
    safetensors::serialize(views, Some(HashMap::from([(ROWS.to_owned(), header)])))
}

/// The images of a shard from the bytes of an object; `None` where they are not those of the batch, or not whole.
pub(super) fn unpack(bytes: &[u8], batch: &[PlannedImage]) -> Option<Vec<Drawn>> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
    let header = metadata.metadata().as_ref()?.get(ROWS)?;
    let header: Header = serde_json::from_str(header).ok()?;
    if header.format != FORMAT || header.rows.len() != batch.len() {
        return None;
    }
    let files = SafeTensors::deserialize(bytes).ok()?;
    let mut drawn = Vec::with_capacity(batch.len());
    for (row, planned) in header.rows.into_iter().zip(batch) {
        let is_fit = row.rejected.is_none();
        let png = files.tensor(&name(row.index)).ok();
        let png = png.map(|view| view.data().to_vec());
        let is_whole =
            row.file.is_none() && row.pixel_hash.is_some() == is_fit && png.is_some() == is_fit;
        if !is_whole || !is_of(&row, planned) {
            return None;
        }
        drawn.push(Drawn { row, png });
    }
    Some(drawn)
}

/// Whether a row is of an image of the plan.
fn is_of(row: &ManifestRow, planned: &PlannedImage) -> bool {
    let prompt = &planned.prompt;
    row.index == planned.index
        && row.class == prompt.class.get()
        && row.domain.as_deref() == prompt.domain.as_ref().map(|domain| domain.as_str())
        && row.prompt == prompt.text.positive
        && row.negative == prompt.text.negative
}

fn name(index: u64) -> String {
    format!("{index:010}")
}
