//! Private images beside synthetic ones, by class and domain.

use crate::comparison::{GalleryCell, SyntheticStrip};
use crate::{Error, Federation, Result};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use promptfed_data::LabelledImages;

/// Images of each kind in one cell.
const PER_CELL: usize = 3;
/// More cells than this make a report too heavy to open.
const MAX_CELLS: usize = 140;

/// A cell for each class and domain, the first ones where there are too many; none without synthetic images, which stand beside the names
/// of the methods that were trained on them.
pub(crate) fn cells(
    federation: &Federation,
    synthetic: &[(String, LabelledImages)],
) -> Result<Vec<GalleryCell>> {
    if synthetic.is_empty() {
        return Ok(Vec::new());
    }
    let private = federation.pooled()?.training;
    let domains = domains(&private.domain_names);
    let mut cells = Vec::new();
    for (label, class) in private.class_names.iter().enumerate() {
        for domain in &domains {
            if cells.len() == MAX_CELLS {
                return Ok(cells);
            }
            cells.push(GalleryCell {
                class: class.clone(),
                domain: domain.cloned(),
                private: pick(&private, label, *domain)?,
                synthetic: synthetic
                    .iter()
                    .map(|(method, images)| {
                        Ok(SyntheticStrip {
                            method: method.clone(),
                            images: pick(images, label, *domain)?,
                        })
                    })
                    .collect::<Result<_>>()?,
            });
        }
    }
    Ok(cells)
}

/// The images of `synthetic` that cells show, and no others.
pub(crate) fn shown(federation: &Federation, synthetic: &LabelledImages) -> LabelledImages {
    // All clients have the same.
    let first = federation.clients.first();
    let names = first.map_or(&[][..], |client| &client.train.domain_names);
    let mut chosen = Vec::new();
    for label in 0..federation.class_names.len() {
        for domain in domains(names) {
            chosen.extend(places(synthetic, label, domain));
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    synthetic.subset(&chosen)
}

/// A domain for each of a class's cells.
fn domains(names: &[String]) -> Vec<Option<&String>> {
    if names.is_empty() {
        return vec![None];
    }
    names.iter().map(Some).collect()
}

/// Up to [`PER_CELL`] images, evenly spread over the set.
fn places(images: &LabelledImages, label: usize, domain: Option<&String>) -> Vec<usize> {
    let wanted = domain.and_then(|name| images.domain_names.iter().position(|d| d == name));
    // Prompts of the class level carry no domain: their images then stand in every domain's cell.
    let any_domain = domain.is_none() || images.domain_names.is_empty();
    let found: Vec<usize> = (0..images.len())
        .filter(|&i| images.labels[i] as usize == label)
        .filter(|&i| any_domain || wanted == Some(images.domains[i] as usize))
        .collect();
    let step = (found.len() / PER_CELL).max(1);
    found.into_iter().step_by(step).take(PER_CELL).collect()
}

/// The same as PNG files.
fn pick(images: &LabelledImages, label: usize, domain: Option<&String>) -> Result<Vec<Vec<u8>>> {
    places(images, label, domain)
        .into_iter()
        .map(|i| png(images.image(i), images.size as u32))
        .collect()
}

pub(crate) fn png(pixels: &[u8], size: u32) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(pixels, size, size, ExtendedColorType::Rgb8)
        .map_err(Error::Png)?;
    Ok(file)
}
