//! The first images of every class on one page, to look at.

use std::collections::BTreeMap;
use std::path::Path;

use ::image::imageops::{FilterType, overlay, resize};
use ::image::{ImageFormat, Rgb, RgbImage, open};
use promptfed_files::OwnFolder;

use super::manifest::read_manifest;
use crate::Result;

/// Name of the file, in the job's folder.
const CONTACT_SHEET: &str = "contact-sheet.png";

/// Images of a class.
const COLUMNS: usize = 8;
/// Classes, and rows where there is one class.
const ROWS: usize = 20;
/// Longest side of an image on the sheet, in pixels.
const SIDE: u32 = 128;
/// Pixels between images.
const GAP: u32 = 4;

/// Writes the sheet of the manifest in `out_dir`: a row for each class in label order, or rows of one class. Nothing where no image is a file.
pub(super) fn write(folder: &OwnFolder, out_dir: &Path) -> Result<()> {
    let mut classes: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for row in read_manifest(out_dir)? {
        let row = row?;
        let Some(file) = row.file.filter(|file| file.starts_with("images/")) else {
            continue;
        };
        let known = classes.len();
        let all = COLUMNS * if known > 1 { 1 } else { ROWS };
        match classes.get_mut(&row.class) {
            Some(files) if files.len() < all => files.push(file),
            Some(_) => {}
            None if known < ROWS => {
                classes.insert(row.class, vec![file]);
            }
            None => {}
        }
    }
    let is_one = classes.len() == 1;
    let rows: Vec<&[String]> = classes
        .values()
        .flat_map(|files| files.chunks(COLUMNS).take(if is_one { ROWS } else { 1 }))
        .collect();
    let mut sheet: Option<RgbImage> = None;
    for (place, files) in rows.iter().enumerate() {
        for (column, file) in files.iter().enumerate() {
            // What is damaged is mended by the next run.
            let Ok(image) = open(out_dir.join(file)) else {
                continue;
            };
            let image = small(&image.into_rgb8());
            let step = i64::from(image.width().max(image.height()) + GAP);
            let sheet = sheet.get_or_insert_with(|| {
                let wide = rows.iter().map(|row| row.len()).max().unwrap_or(1);
                let side = |count: usize| count as u32 * (step as u32) + GAP;
                RgbImage::from_pixel(side(wide), side(rows.len()), Rgb([255; 3]))
            });
            let at = |count: usize| i64::from(GAP) + count as i64 * step;
            overlay(sheet, &image, at(column), at(place));
        }
    }
    if let Some(sheet) = sheet {
        let mut bytes = std::io::Cursor::new(Vec::new());
        sheet.write_to(&mut bytes, ImageFormat::Png)?;
        folder.write(&out_dir.join(CONTACT_SHEET), &bytes.into_inner())?;
    }
    Ok(())
}

fn small(image: &RgbImage) -> RgbImage {
    let longest = image.width().max(image.height()).max(1);
    if longest <= SIDE {
        return image.clone();
    }
    let scaled = |side: u32| (side * SIDE / longest).max(1);
    resize(
        image,
        scaled(image.width()),
        scaled(image.height()),
        FilterType::Triangle,
    )
}
