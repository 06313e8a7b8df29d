//! The first images of every class on one page, to look at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::image::imageops::{FilterType, overlay, resize};
use ::image::{ImageFormat, Rgb, RgbImage, open};
use promptfed_files::OwnFolder;

use super::manifest::ManifestRow;
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

/// The images that the sheet shows.
#[derive(Default)]
pub(super) struct ContactSheet {
    /// Files by class.
    classes: BTreeMap<u32, Vec<String>>,
}

impl ContactSheet {
    /// Takes a row's image, where it is a file of its own and there is room.
    pub(super) fn add(&mut self, row: &ManifestRow) {
        let Some(file) = row.file.as_ref().filter(|file| file.starts_with("images/")) else {
            return;
        };
        let known = self.classes.len();
        let all = COLUMNS * if known > 1 { 1 } else { ROWS };
        match self.classes.get_mut(&row.class) {
            Some(files) if files.len() < all => files.push(file.clone()),
            Some(_) => {}
            None if known < ROWS => {
                self.classes.insert(row.class, vec![file.clone()]);
            }
            None => {}
        }
    }

    /// Writes the sheet: a row for each class in label order, or rows of one class. Nothing where no image is a file.
    pub(super) fn write(&self, folder: &OwnFolder, out_dir: &Path) -> Result<()> {
        let is_one = self.classes.len() == 1;
        let rows: Vec<&[String]> = self
            .classes
            .values()
            .flat_map(|files| files.chunks(COLUMNS).take(if is_one { ROWS } else { 1 }))
            .collect();
        let Some(sheet) = drawn(&rows, out_dir) else {
            return Ok(());
        };
        let mut bytes = std::io::Cursor::new(Vec::new());
        sheet.write_to(&mut bytes, ImageFormat::Png)?;
        Ok(folder.write(&place(out_dir), &bytes.into_inner())?)
    }
}

/// Where the sheet stands.
pub(super) fn place(out_dir: &Path) -> PathBuf {
    out_dir.join(CONTACT_SHEET)
}

fn drawn(rows: &[&[String]], out_dir: &Path) -> Option<RgbImage> {
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
    sheet
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
