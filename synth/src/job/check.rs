//! Whether the images that a manifest tells of are there and whole; those that are not are made again: bit for bit the same, or, by an
//! engine that is not reproducible, others, which is noted.
//!
//! Every picture is read, decoded and compared with the hash of its pixels, all cores together: 20,000 pictures of 8 x 8 pixels took
//! 4 seconds on two busy cores. A size or a date would be cheaper, and would take an exchanged or half-written picture for whole.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use promptfed_prompts::ContentHash;
use rayon::prelude::*;

use super::draw::Artist;
use super::manifest::{MANIFEST_FILE, ManifestRow, read_manifest};
use super::output::Output;
use super::screen;
use super::shard::{self, SHARD_IMAGES};
use super::spec::OutputFormat;
use crate::image::{encode_png, pixel_hash, png_pixel_hash};
use crate::{Error, Reproducible, Result};

/// Longest picture file that is read.
const LONGEST: u64 = 1 << 30;

/// Images that were made again.
#[derive(Default)]
pub(super) struct Mended {
    pub(super) images: u64,
    /// The pixels of those that came out other than they were, by their indices.
    pub(super) changed: BTreeMap<u64, ContentHash>,
}

/// Checks the images of all rows, `goes_on` where more are to come, mends what is missing or damaged, and hands the rows of the shard
/// in work to `output`.
pub(super) fn mend(
    artist: &mut Artist<'_>,
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
            OutputFormat::Folder => mend_files(artist, output, &part, &mut mended)?,
            OutputFormat::Parquet => mend_shard(artist, output, part, goes_on, &mut mended)?,
        }
    }
}

fn mend_files(
    artist: &mut Artist<'_>,
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
    let again = make_again(artist, output, &damaged, mended)?;
    for (row, png) in damaged.iter().zip(again) {
        output.write(row.index, row.file.as_deref().unwrap_or_default(), &png)?;
    }
    Ok(())
}

fn mend_shard(
    artist: &mut Artist<'_>,
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
    let mut again = make_again(artist, output, &lost, mended)?.into_iter();
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
    output: &Output<'_>,
    rows: &[ManifestRow],
    mended: &mut Mended,
) -> Result<Vec<Vec<u8>>> {
    let is_exact = artist.engine.reproducible == Reproducible::Exact;
    let mut all = Vec::with_capacity(rows.len());
    for batch in rows.chunks(artist.spec.batch) {
        for (row, image) in batch.iter().zip(artist.draw_again(batch)?) {
            let pixels = image.to_rgb8();
            let hash: ContentHash = pixel_hash(image.width(), &pixels);
            let lost = |reason: &str| Error::Output {
                file: output.path(row.file.as_deref().unwrap_or_default()),
                reason: format!("image {} is missing or damaged, and {reason}", row.index),
            };
            if Some(hash) != row.pixel_hash {
                if is_exact {
                    return Err(lost(
                        "the engine makes another one now; go on where the job was begun, or begin again in another folder",
                    ));
                }
                if screen::fault(&image, &pixels).is_some() {
                    return Err(lost(
                        "what the engine makes now cannot be used; run it again, or begin again in another folder",
                    ));
                }
                mended.changed.insert(row.index, hash);
            }
            mended.images += 1;
            all.push(encode_png(image.height(), image.width(), &pixels)?);
        }
    }
    Ok(all)
}
