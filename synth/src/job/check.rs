//! Whether the images that a manifest tells of are there and whole; those that are not are made again: bit for bit the same, or, by an
//! engine that is not reproducible, others, which is noted.
//!
//! Every picture is read, decoded and compared with the hash of its pixels, all cores together: 20,000 pictures of 8 x 8 pixels took
//! 4 seconds on two busy cores. A size or a date would be cheaper, and would take an exchanged or half-written picture for whole.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use promptfed_prompts::{ClassIndex, ContentHash};
use rayon::prelude::*;

use super::draw::Artist;
use super::manifest::{MANIFEST_FILE, ManifestRow, read_manifest};
use super::output::Output;
use super::pixel_index::PixelIndex;
use super::shard::{self, SHARD_IMAGES};
use super::spec::OutputFormat;
use crate::image::{pixel_hash, png_pixel_hash};
use crate::{Error, Image, Reproducible, Result};

/// Longest picture file that is read.
const LONGEST: u64 = 1 << 30;

/// Images that were made again.
#[derive(Default)]
pub(super) struct Mended {
    pub(super) images: u64,
    /// Those that came out other than they were, by their indices.
    pub(super) changed: BTreeMap<u64, Remade>,
}

/// An image that came out other than it was.
pub(super) struct Remade {
    pub(super) pixel_hash: ContentHash,
    /// The score that a filter gave it.
    pub(super) clip_score: Option<f32>,
}

/// Checks the images of all rows, `goes_on` where more are to come, mends what is missing or damaged, and hands the rows of the shard
/// in work to `output`. The pixels of images that came out other than they were are claimed in `index`, which only engines that are not exact
/// need.
pub(super) fn mend(
    artist: &mut Artist<'_>,
    mut index: Option<&mut PixelIndex>,
    output: &mut Output<'_>,
    out_dir: &Path,
    goes_on: bool,
) -> Result<Mended> {
    let mut rows = read_manifest(out_dir)?;
    let mut mended = Mended::default();
    loop {
        // A shard's worth, also where there are no shards: memory stays bounded.
        let part = rows
            .by_ref()
            .take(SHARD_IMAGES as usize)
            .collect::<Result<Vec<_>>>()?;
        if part.is_empty() {
            return Ok(mended);
        }
        if let Some(row) = part.iter().find(|row| !artist.writes(row, output)) {
            return Err(Error::Output {
                file: out_dir.join(MANIFEST_FILE),
                reason: format!(
                    "line {} is not what this job writes; delete it and all lines after it to make those images again",
                    row.index + 1
                ),
            });
        }
        match output.format() {
            OutputFormat::Folder => {
                mend_files(artist, index.as_deref_mut(), output, &part, &mut mended)?
            }
            OutputFormat::Parquet => {
                mend_shard(
                    artist,
                    index.as_deref_mut(),
                    output,
                    part,
                    goes_on,
                    &mut mended,
                )?;
            }
        }
    }
}

fn mend_files(
    artist: &mut Artist<'_>,
    index: Option<&mut PixelIndex>,
    output: &Output<'_>,
    rows: &[ManifestRow],
    mended: &mut Mended,
) -> Result<()> {
    let is_whole = |row: &&ManifestRow| {
        let file = row.file.as_deref().unwrap_or_default();
        whole_file(&output.path(file), row).is_some()
    };
    let accepted = rows.par_iter().filter(|row| row.file.is_some());
    let damaged: Vec<_> = accepted.filter(|row| !is_whole(row)).cloned().collect();
    let again = make_again(artist, index, output, &damaged, mended)?;
    for (row, png) in damaged.iter().zip(again) {
        output.write(row.index, row.file.as_deref().unwrap_or_default(), &png)?;
    }
    Ok(())
}

fn mend_shard(
    artist: &mut Artist<'_>,
    index: Option<&mut PixelIndex>,
    output: &mut Output<'_>,
    rows: Vec<ManifestRow>,
    goes_on: bool,
    mended: &mut Mended,
) -> Result<()> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let file = output.path(&shard::file_name(first.index / SHARD_IMAGES));
    let in_work = rows.len() < SHARD_IMAGES as usize;
    // A damaged shard may have lost some of its images only.
    let packed: HashMap<u64, Vec<u8>> = shard::decode(&file).unwrap_or_default();
    let accepted = || rows.par_iter().filter(|row| row.file.is_some());
    let is_packed = |row: &ManifestRow| {
        let png = packed.get(&row.index);
        png.is_some_and(|png| png_pixel_hash(png) == row.pixel_hash)
    };
    let is_whole = packed.len() == accepted().count() && accepted().all(is_packed);
    if is_whole && !(in_work && goes_on) {
        if in_work {
            output.take_up(rows, true);
        }
        return Ok(());
    }
    let found: Vec<Option<Vec<u8>>> = rows
        .par_iter()
        .map(|row| {
            let staged = || whole_file(&output.staged(row.index), row);
            let packed = || packed.get(&row.index).filter(|_| is_packed(row)).cloned();
            row.file.as_ref().and_then(|_| staged().or_else(packed))
        })
        .collect();
    let lost: Vec<ManifestRow> = rows
        .iter()
        .zip(&found)
        .filter(|(row, png)| row.file.is_some() && png.is_none())
        .map(|(row, _)| row.clone())
        .collect();
    let mut again = make_again(artist, index, output, &lost, mended)?.into_iter();
    let mut images = Vec::with_capacity(rows.len());
    for (row, png) in rows.iter().zip(found) {
        if row.file.is_some() {
            images.extend(png.or_else(|| again.next()).map(|png| (row, png)));
        }
    }
    if in_work {
        for (row, png) in images {
            output.write(row.index, "", &png)?;
        }
        output.take_up(rows, false);
    } else {
        output.write_shard(&file, images.into_iter().map(Ok))?;
    }
    Ok(())
}

/// The bytes of a picture file that holds the pixels of its row.
fn whole_file(path: &Path, row: &ManifestRow) -> Option<Vec<u8>> {
    let png = promptfed_files::read(path, LONGEST).ok()?;
    (png_pixel_hash(&png) == row.pixel_hash).then_some(png)
}

/// The images of rows as PNG files, made again.
fn make_again(
    artist: &mut Artist<'_>,
    mut index: Option<&mut PixelIndex>,
    output: &Output<'_>,
    rows: &[ManifestRow],
    mended: &mut Mended,
) -> Result<Vec<Vec<u8>>> {
    let mut all = Vec::with_capacity(rows.len());
    for batch in rows.chunks(artist.spec.batch) {
        for (row, image) in batch.iter().zip(artist.draw_again(batch)?) {
            let (png, remade) = fit(artist, index.as_deref_mut(), output, row, image)?;
            all.push(png);
            if let Some(remade) = remade {
                mended.changed.insert(row.index, remade);
            }
            mended.images += 1;
        }
    }
    Ok(all)
}

/// The image of a row made again, as a PNG file: as it was, or by an engine that is not exact another one, which must pass whatever
/// images pass.
fn fit(
    artist: &mut Artist<'_>,
    mut index: Option<&mut PixelIndex>,
    output: &Output<'_>,
    row: &ManifestRow,
    mut image: Image,
) -> Result<(Vec<u8>, Option<Remade>)> {
    let lost = |reason: &str| Error::Output {
        file: output.path(row.file.as_deref().unwrap_or_default()),
        reason: format!("image {} is missing or damaged, and {reason}", row.index),
    };
    for left in (0..artist.spec.attempts.max(1)).rev() {
        let pixels = image.to_rgb8();
        let pixel_hash = pixel_hash(image.width(), &pixels);
        if Some(pixel_hash) == row.pixel_hash {
            return Ok((artist.png(row, &image, &pixels, pixel_hash)?, None));
        }
        if artist.engine.reproducible == Reproducible::Exact {
            return Err(lost(
                "the engine makes another one now; go on where the job was begun, or begin again in another folder",
            ));
        }
        let (fault, clip_score) = artist.look(ClassIndex::new(row.class), &image, &pixels)?;
        let is_new = match (fault, &mut index) {
            (Some(_), _) => false,
            (None, Some(index)) => index.claim(&pixel_hash, row.index)?,
            (None, None) => true,
        };
        if is_new {
            let remade = Remade {
                pixel_hash,
                clip_score,
            };
            let png = artist.png(row, &image, &pixels, pixel_hash)?;
            return Ok((png, Some(remade)));
        }
        if left > 0
            && let Some(again) = artist.draw_again(std::slice::from_ref(row))?.pop()
        {
            image = again;
        }
    }
    Err(lost(
        "what the engine makes now is unfit, or a copy of another image; run it again, or begin again in another folder",
    ))
}
