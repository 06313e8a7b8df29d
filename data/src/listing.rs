//! Collects what a reader finds and turns names into label and domain indices at the end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use promptfed_prompts::same_name::composed;
use promptfed_prompts::{ClassIndex, LabelSpace, is_identifier};

use crate::part::{Meaning, Part, abbreviate};
use crate::{DataError, Dataset, DatasetWarning, ImageSource, NO_DOMAIN, Result, Sample};

/// How class names found in the data are ordered when the caller gave no label space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClassOrder {
    /// By name, as torchvision's `ImageFolder`.
    ByName,
    /// In the order they were added.
    AsAdded,
}

/// Samples found so far; classes and domains by provisional index.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    classes: Names,
    /// What the data calls a class, where a names file calls it otherwise; by provisional index.
    own_names: HashMap<u32, String>,
    domains: Names,
    samples: Vec<Sample>,
    warnings: Vec<DatasetWarning>,
    parts: Vec<Part>,
    read: Vec<PathBuf>,
    /// What names the classes, until they are known.
    class_place: Option<String>,
}

#[derive(Debug, Default)]
struct Names {
    names: Vec<String>,
    index: HashMap<String, u32>,
}

impl Names {
    fn add(&mut self, name: &str) -> u32 {
        if let Some(&i) = self.index.get(name) {
            return i;
        }
        let i = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), i);
        i
    }

    /// Position in the sorted list for every provisional index for which `keep` holds, and the sorted names.
    fn sorted(&self, keep: impl Fn(u32) -> bool) -> (Vec<Option<u32>>, Vec<String>) {
        let mut order: Vec<u32> = (0..self.names.len() as u32).filter(|&i| keep(i)).collect();
        order.sort_by(|&a, &b| self.names[a as usize].cmp(&self.names[b as usize]));
        let mut position = vec![None; self.names.len()];
        for (new, &old) in order.iter().enumerate() {
            position[old as usize] = Some(new as u32);
        }
        let names = order
            .iter()
            .map(|&i| self.names[i as usize].clone())
            .collect();
        (position, names)
    }
}

impl Listing {
    /// Provisional index of a class, as the data calls it.
    pub(crate) fn class(&mut self, name: &str) -> u32 {
        self.classes.add(&composed(name))
    }

    /// Provisional index of a class that the data calls `own`, and a names file perhaps otherwise.
    pub(crate) fn named_class(&mut self, own: &str, name: Option<&str>) -> u32 {
        let class = self.class(name.unwrap_or(own));
        if name.is_some() {
            self.own_names.entry(class).or_insert_with(|| composed(own));
        }
        class
    }

    /// Notes what a part of the data was taken for.
    pub(crate) fn part(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// Whether any sample has a domain.
    pub(crate) fn has_domains(&self) -> bool {
        self.samples.iter().any(|sample| sample.domain.is_some())
    }

    /// Notes what names the classes.
    pub(crate) fn class_part(&mut self, place: impl Into<String>) {
        self.class_place = Some(place.into());
    }

    /// Gives captions to samples that lie in files of their own.
    pub(crate) fn give_captions(&mut self, caption_of: impl Fn(&Path) -> Option<String>) {
        for sample in &mut self.samples {
            if let (None, ImageSource::File(path)) = (&sample.caption, &sample.source) {
                sample.caption = caption_of(path);
            }
        }
    }

    /// Provisional index of a domain.
    pub(crate) fn domain(&mut self, name: &str) -> u32 {
        self.domains.add(&composed(name))
    }

    /// Adds a sample with provisional indices.
    pub(crate) fn push(
        &mut self,
        class: u32,
        domain: Option<u32>,
        caption: Option<String>,
        source: ImageSource,
    ) {
        self.samples.push(Sample {
            label: class,
            domain,
            caption,
            source,
        });
    }

    /// Notes something that was left out.
    pub(crate) fn warn(&mut self, warning: DatasetWarning) {
        self.warnings.push(warning);
    }

    /// Notes files that were read.
    pub(crate) fn read(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.read.extend(files);
    }

    /// What was left out so far.
    pub(crate) fn warnings(&self) -> &[DatasetWarning] {
        &self.warnings
    }

    /// Fixes labels and domains. With a label space, its order holds and unlisted classes are left out with a warning.
    pub(crate) fn finish(
        mut self,
        path: &Path,
        order: ClassOrder,
        label_space: Option<&LabelSpace>,
    ) -> Result<Dataset> {
        if self.samples.is_empty() {
            return Err(DataError::NoSamples {
                path: path.to_owned(),
                reason: "the layout was recognised, but nothing in it is a labelled picture"
                    .to_owned(),
            });
        }
        let (labels, class_names) = match (label_space, order) {
            (Some(space), _) => {
                let label = |class: u32| {
                    let own = self.own_names.get(&class);
                    let own = own.and_then(|own| space.index_of(own));
                    own.or_else(|| space.index_of(&self.classes.names[class as usize]))
                        .map(ClassIndex::get)
                };
                let labels: Vec<Option<u32>> =
                    (0..self.classes.names.len() as u32).map(label).collect();
                let names = space.classes().iter().map(|class| class.name.clone());
                (labels, names.collect())
            }
            (None, ClassOrder::ByName) => self.classes.sorted(|_| true),
            (None, ClassOrder::AsAdded) => (
                (0..self.classes.names.len() as u32).map(Some).collect(),
                self.classes.names.clone(),
            ),
        };
        self.warn_of_unlisted(&labels);
        self.samples
            .retain_mut(|sample| match labels[sample.label as usize] {
                Some(label) => {
                    sample.label = label;
                    true
                }
                None => false,
            });
        if self.samples.is_empty() {
            return Err(DataError::NoSamples {
                path: path.to_owned(),
                reason: format!(
                    "none of its classes ({}) is in the label space ({}){}",
                    abbreviate(&self.classes.names),
                    abbreviate(&class_names),
                    if self.classes.names.iter().all(|name| is_identifier(name)) {
                        "; give each class of the label space its id here as one of its `aliases`"
                    } else {
                        ""
                    }
                ),
            });
        }
        self.name_the_rest_of_the_domains();

        let mut used = vec![false; self.domains.names.len()];
        for domain in self.samples.iter().filter_map(|s| s.domain) {
            used[domain as usize] = true;
        }
        let (domains, domain_names) = self.domains.sorted(|i| used[i as usize]);
        for sample in &mut self.samples {
            sample.domain = sample.domain.and_then(|d| domains[d as usize]);
        }
        if let Some(place) = self.class_place {
            let names = class_names.iter().map(String::as_str);
            let class = Part::new(place, Meaning::Class, names);
            // Parts below the classes' own are noted before.
            let inner = |part: &Part| matches!(part.meaning, Meaning::NotUsed | Meaning::Caption);
            let at = self.parts.iter().position(inner);
            self.parts.insert(at.unwrap_or(self.parts.len()), class);
        }
        Ok(Dataset {
            class_names,
            domain_names,
            samples: self.samples,
            warnings: self.warnings,
            weights: None,
            targets: None,
            parts: self.parts,
            read: self.read,
        })
    }

    /// Where some samples have a domain and others none, those are one domain of their own.
    fn name_the_rest_of_the_domains(&mut self) {
        let without = self.samples.iter().filter(|s| s.domain.is_none()).count();
        if without == 0 || without == self.samples.len() {
            return;
        }
        let rest = self.domain(NO_DOMAIN);
        for sample in &mut self.samples {
            sample.domain.get_or_insert(rest);
        }
    }

    fn warn_of_unlisted(&mut self, labels: &[Option<u32>]) {
        let mut counts = vec![0usize; labels.len()];
        for sample in &self.samples {
            counts[sample.label as usize] += 1;
        }
        for (class, label) in labels.iter().enumerate() {
            if label.is_none() && counts[class] > 0 {
                self.warnings.push(DatasetWarning::ClassNotListed {
                    class: self.classes.names[class].clone(),
                    samples: counts[class],
                });
            }
        }
    }
}
