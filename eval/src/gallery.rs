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
/// of the methods that were trained on them. Images of prompts that name none of the clients' domains are no client's: they have a cell for
/// each class, without a domain and without private images.
pub(crate) fn cells(
    federation: &Federation,
    synthetic: &[(String, LabelledImages)],
) -> Result<Vec<GalleryCell>> {
    if synthetic.is_empty() {
        return Ok(Vec::new());
    }
    let private = federation.pooled()?.training;
    let mut cells = Vec::new();
    for (label, class) in private.class_names.iter().enumerate() {
        for place in places(&private.domain_names) {
            let strips = strips(synthetic, label, place)?;
            if matches!(place, Place::NoDomain(_)) && strips.is_empty() {
                continue;
            }
            if cells.len() == MAX_CELLS {
                return Ok(cells);
            }
            cells.push(GalleryCell {
                class: class.clone(),
                domain: place.domain().map(str::to_owned),
                private: match place {
                    Place::NoDomain(_) => Vec::new(),
                    _ => pick(&private, label, place)?,
                },
                synthetic: strips,
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
        for place in places(names) {
            chosen.extend(spread(synthetic, label, place));
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    synthetic.subset(&chosen)
}

/// Whose images a cell has.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// Everybody's, where the data have no domains.
    Anywhere,
    /// A domain's.
    Domain(&'a str),
    /// Those of none of these domains.
    NoDomain(&'a [String]),
}

impl<'a> Place<'a> {
    fn domain(self) -> Option<&'a str> {
        match self {
            Self::Domain(name) => Some(name),
            Self::Anywhere | Self::NoDomain(_) => None,
        }
    }

    fn has(self, images: &LabelledImages, index: usize) -> bool {
        let domain = images.domains.get(index).map(|domain| *domain as usize);
        let name = domain.and_then(|domain| images.domain_names.get(domain));
        match self {
            Self::Anywhere => true,
            Self::Domain(wanted) => name.is_some_and(|name| name == wanted),
            Self::NoDomain(known) => name.is_none_or(|name| !known.contains(name)),
        }
    }
}

/// A place for each of a class's cells.
fn places(domains: &[String]) -> Vec<Place<'_>> {
    if domains.is_empty() {
        return vec![Place::Anywhere];
    }
    let named = domains.iter().map(|name| Place::Domain(name));
    named.chain([Place::NoDomain(domains)]).collect()
}

/// The images of each method; a method none of whose images could be in such a place has no strip.
fn strips(
    synthetic: &[(String, LabelledImages)],
    label: usize,
    place: Place<'_>,
) -> Result<Vec<SyntheticStrip>> {
    let mut strips = Vec::new();
    for (method, images) in synthetic {
        let picked = pick(images, label, place)?;
        let is_told = match place {
            Place::Anywhere => true,
            Place::Domain(_) => !images.domain_names.is_empty(),
            Place::NoDomain(_) => !picked.is_empty(),
        };
        if is_told {
            strips.push(SyntheticStrip {
                method: method.clone(),
                images: picked,
            });
        }
    }
    Ok(strips)
}

/// Up to [`PER_CELL`] images, evenly spread over the set.
fn spread(images: &LabelledImages, label: usize, place: Place<'_>) -> Vec<usize> {
    let found: Vec<usize> = (0..images.len())
        .filter(|&i| images.labels[i] as usize == label && place.has(images, i))
        .collect();
    let step = (found.len() / PER_CELL).max(1);
    found.into_iter().step_by(step).take(PER_CELL).collect()
}

/// The same as PNG files.
fn pick(images: &LabelledImages, label: usize, place: Place<'_>) -> Result<Vec<Vec<u8>>> {
    spread(images, label, place)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes with two images each, of one pixel.
    fn images(domains: [u32; 4], domain_names: &[&str]) -> LabelledImages {
        LabelledImages {
            size: 1,
            pixels: (0..12).collect(),
            labels: vec![0, 0, 1, 1],
            domains: domains.into(),
            class_names: vec!["cat".into(), "dog".into()],
            domain_names: domain_names.iter().map(|name| (*name).into()).collect(),
        }
    }

    #[test]
    fn images_of_no_domain_are_in_no_domains_place() {
        let known = ["photo".to_owned(), "sketch".to_owned()];
        let of = |images: &LabelledImages, label| -> Vec<Vec<usize>> {
            let places = places(&known).into_iter();
            places.map(|place| spread(images, label, place)).collect()
        };
        let by_class = images([0; 4], &[]);
        assert_eq!(of(&by_class, 1), [vec![], vec![], vec![2, 3]]);
        let by_domain = images([0, 1, 1, 2], &["none", "photo", "sketch"]);
        assert_eq!(of(&by_domain, 0), [vec![1], vec![], vec![0]]);
        assert_eq!(of(&by_domain, 1), [vec![2], vec![3], vec![]]);
        assert_eq!(places(&[]).len(), 1);
        assert_eq!(spread(&by_domain, 1, Place::Anywhere), [2, 3]);
    }

    #[test]
    fn a_method_without_domains_has_no_strip_in_them() {
        let synthetic = [
            ("fgl:level=class".to_owned(), images([0; 4], &[])),
            ("fgl".to_owned(), images([0; 4], &["photo"])),
        ];
        let known = ["photo".to_owned(), "sketch".to_owned()];
        let told: Vec<Vec<(String, usize)>> = places(&known)
            .into_iter()
            .map(|place| {
                let strips = strips(&synthetic, 0, place).unwrap().into_iter();
                strips.map(|s| (s.method, s.images.len())).collect()
            })
            .collect();
        let (class, domain) = ("fgl:level=class".to_owned(), "fgl".to_owned());
        assert_eq!(told[0], [(domain.clone(), 2)]);
        assert_eq!(told[1], [(domain, 0)]);
        assert_eq!(told[2], [(class, 2)]);
    }
}
