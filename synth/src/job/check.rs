//! Whether the images that a manifest tells of are there and whole; those that are not are made again, bit for bit the same.
//!
//! Every picture is read, decoded and compared with the hash of its pixels, all cores together: 20,000 pictures of 8 x 8 pixels took
//! 4 seconds on two busy cores. A size or a date would be cheaper, and would take an exchanged or half-written picture for whole.

use std::collections::HashMap;
use std::path::Path;

use promptfed_prompts::ContentHash;
use rayon::prelude::*;

use super::draw::Artist;
use super::manifest::{MANIFEST_FILE, ManifestRow, read_manifest};
use super::output::Output;
use super::shard::{self, SHARD_IMAGES};
use super::spec::OutputFormat;
use crate::image::{encode_png, pixel_hash, png_pixel_hash};
use crate::{Error, Result};

/// Longest picture file that is read.
const LONGEST: u64 = 1 << 30;

/// Checks the images of all rows, `goes_on` where more are to come, mends what is missing or damaged, and hands the rows of the shard
/// in work to `output`. Tells how many images were made again.
pub(super) fn mend(
    artist: &mut Artist<'_>,
    output: &mut Output<'_>,
    out_dir: &Path,
    goes_on: bool,
) -> Result<u64> {
    let mut rows = read_manifest(out_dir)?;
    let mut mended = 0;
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
        mended += match output.format() {
            OutputFormat::Folder => mend_files(artist, output, &part)?,
            OutputFormat::Parquet => mend_shard(artist, output, part, goes_on)?,
        };
    }
}

fn mend_files(artist: &mut Artist<'_>, output: &Output<'_>, rows: &[ManifestRow]) -> Result<u64> {
    let is_whole = |row: &&ManifestRow| {
        let file = row.file.as_deref().unwrap_or_default();
        whole_file(&output.path(file), row).is_some()
    };
    let accepted = rows.par_iter().filter(|row| row.file.is_some());
    let damaged: Vec<_> = accepted.filter(|row| !is_whole(row)).cloned().collect();
    for (row, png) in damaged.iter().zip(make_again(artist, output, &damaged)?) {
        output.write(row.index, row.file.as_deref().unwrap_or_default(), &png)?;
    }
    Ok(damaged.len() as u64)
}

fn mend_shard(
    artist: &mut Artist<'_>,
    output: &mut Output<'_>,
    rows: Vec<ManifestRow>,
    goes_on: bool,
) -> Result<u64> {
    let Some(first) = rows.first() else {
        return Ok(0);
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
        return Ok(0);
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
    let mut again = make_again(artist, output, &lost)?.into_iter();
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
    Ok(lost.len() as u64)
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
) -> Result<Vec<Vec<u8>>> {
    let mut all = Vec::with_capacity(rows.len());
    for batch in rows.chunks(artist.spec.batch) {
        for (row, image) in batch.iter().zip(artist.draw_again(batch)?) {
            let pixels = image.to_rgb8();
            let hash: ContentHash = pixel_hash(image.width(), &pixels);
            if Some(hash) != row.pixel_hash {
                let file = row.file.as_deref().unwrap_or_default();
                return Err(Error::Output {
                    file: output.path(file),
                    reason: format!(
                        "image {} is missing or damaged, and the engine makes another one now; go on where the job was begun, or begin \
                         again in another folder",
                        row.index
                    ),
                });
            }
            all.push(encode_png(image.height(), image.width(), &pixels)?);
        }
    }
    Ok(all)
}
