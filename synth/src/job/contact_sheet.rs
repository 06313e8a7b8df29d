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
        let file = row.file.as_ref().filter(|file| file.starts_with("images/"));
        if let Some(file) = file {
            self.add_file(row.class, file);
        }
    }

    /// Takes an image of a class, where there is room.
    fn add_file(&mut self, class: u32, file: &str) {
        let known = self.classes.len();
        let all = COLUMNS * if known > 1 { 1 } else { ROWS };
        match self.classes.get_mut(&class) {
            Some(files) if files.len() < all => files.push(file.to_owned()),
            Some(_) => {}
            None if known < ROWS => {
                self.classes.insert(class, vec![file.to_owned()]);
            }
            None => {}
        }
    }

    /// Writes the sheet. Nothing where no image is a file.
    pub(super) fn write(&self, folder: &OwnFolder, out_dir: &Path) -> Result<()> {
        match self.png(out_dir)? {
            Some(sheet) => Ok(folder.write(&place(out_dir), &sheet)?),
            None => Ok(()),
        }
    }

    /// The sheet: a row for each class in label order, or rows of one class.
    fn png(&self, out_dir: &Path) -> Result<Option<Vec<u8>>> {
        let is_one = self.classes.len() == 1;
        let rows: Vec<&[String]> = self
            .classes
            .values()
            .flat_map(|files| files.chunks(COLUMNS).take(if is_one { ROWS } else { 1 }))
            .collect();
        let Some(sheet) = drawn(&rows, out_dir) else {
            return Ok(None);
        };
        let mut bytes = std::io::Cursor::new(Vec::new());
        sheet.write_to(&mut bytes, ImageFormat::Png)?;
        Ok(Some(bytes.into_inner()))
    }
}

/// The first images of every class on one page, as a PNG file: a row for each class in the order in which classes come, or rows of one class. `images` are
/// names of classes with those of files in `folder`. Nothing where none of them can be read.
///
/// # Errors
/// A page that cannot be written as PNG.
pub fn contact_sheet(images: &[(String, String)], folder: &Path) -> Result<Option<Vec<u8>>> {
    let mut sheet = ContactSheet::default();
    let mut classes: Vec<&str> = Vec::new();
    for (class, file) in images {
        let known = classes.iter().position(|known| known == class);
        let at = known.unwrap_or_else(|| {
            classes.push(class);
            classes.len() - 1
        });
        sheet.add_file(at as u32, file);
    }
    sheet.png(folder)
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
