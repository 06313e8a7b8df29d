//! Private images to prompts.

use std::collections::BTreeSet;

use promptfed_data::{Dataset, DecodeReport, DecodedImage, NO_DOMAIN, Sample, decode_map};
use promptfed_prompts::{Caption, ClassIndex, Domain, LabelSpace, PromptSet, is_identifier};

use crate::class_words::{check_class_words, class_index};
use crate::{
    CaptionInput, CaptionProblem, Error, ExtractOptions, ExtractReport, Extraction, NoCaptioner,
    Preview, Result, WithoutCaption,
};

/// Turns the images of a data set into prompts.
///
/// Nothing leaves the machine; [`Extraction::preview`] shows what would. Images are decoded on all cores, in memory
/// bounded by [`ExtractOptions::limits`]. Images that cannot be decoded, or have no usable caption at instance level,
/// are left out and listed in the report.
///
/// # Errors
/// [`Error::ClassNotInLabelSpace`], [`Error::ClassWithoutWords`], [`Error::UnknownClass`] and missing templates are found before any
/// image is read. In strict mode, the first image that would be left out. [`Error::NothingUsable`] where no image is left,
/// [`DataError::MostUnfit`](promptfed_data::DataError::MostUnfit) where most cannot be decoded, [`Error::AllWithheld`] where no prompt
/// is left.
pub fn extract(
    dataset: &Dataset,
    label_space: &LabelSpace,
    options: &ExtractOptions,
) -> Result<Extraction> {
    extract_with_progress(dataset, label_space, options, &mut |_| {})
}

/// [`extract`] that reports the number of images done so far, on the calling thread.
///
/// # Errors
/// As [`extract`].
pub fn extract_with_progress(
    dataset: &Dataset,
    label_space: &LabelSpace,
    options: &ExtractOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Extraction> {
    if options.level.has_caption() && options.captioner.name() == NoCaptioner::NAME {
        return Err(Error::CaptionerNeeded);
    }
    let (included, excluded_classes) = options.release.included(dataset, label_space)?;
    if included.is_empty() && !excluded_classes.is_empty() {
        return Err(Error::AllWithheld {
            why: "all images are of excluded classes".to_owned(),
        });
    }
    let listed = dataset;
    let dataset = &listed.subset(&included);
    let names = Names::resolve(dataset, label_space, options)?;
    let mut collected = Collected::new(dataset, label_space, options);
    let decoded =
        options.check_images || (options.level.has_caption() && options.captioner.needs_pixels());
    let decode = if decoded {
        decode_map(
            dataset,
            &options.decode_options(),
            |index, image| caption(&dataset.samples[index], Some(&image), options),
            |index, caption| {
                collected.add(index, &names, caption);
                progress(included[index] + 1);
            },
        )?
    } else {
        for (index, sample) in dataset.samples.iter().enumerate() {
            collected.add(index, &names, caption(sample, None, options));
            progress(included[index] + 1);
        }
        DecodeReport::default()
    };
    let mut report = ExtractReport {
        images: listed.samples.len(),
        decoded,
        decode,
        dataset_warnings: listed.warnings.clone(),
        ..ExtractReport::default()
    };
    report.withheld.excluded_classes = excluded_classes;
    for skipped in &mut report.decode.skipped {
        skipped.sample = included[skipped.sample];
    }
    for without in &mut collected.without_caption {
        without.sample = included[without.sample];
    }
    collected.finish(report)
}

/// `None` below instance level; an absent caption is a problem at instance level.
fn caption(
    sample: &Sample,
    image: Option<&DecodedImage>,
    options: &ExtractOptions,
) -> Result<Option<Caption>, CaptionProblem> {
    if !options.level.has_caption() {
        return Ok(None);
    }
    match options.captioner.caption(&CaptionInput { sample, image })? {
        Some(caption) => Ok(Some(caption)),
        None => Err(CaptionProblem::Missing),
    }
}

/// Label-space class of every label, and text of every domain, of a data set.
struct Names {
    classes: Vec<Option<ClassIndex>>,
    domains: Vec<Option<Domain>>,
}

impl Names {
    /// Looks up what the samples use, so that whatever is missing shows before any image is read.
    fn resolve(
        dataset: &Dataset,
        label_space: &LabelSpace,
        options: &ExtractOptions,
    ) -> Result<Self> {
        let mut names = Self {
            classes: vec![None; dataset.class_names.len()],
            domains: vec![None; dataset.domain_names.len()],
        };
        check_class_words(dataset, label_space)?;
        let mut seen = BTreeSet::new();
        for sample in &dataset.samples {
            if !seen.insert((sample.label, sample.domain)) {
                continue;
            }
            let unnamed = |what, index| Error::Unnamed {
                image: sample.source.to_string(),
                what,
                index,
            };
            let label = sample.label as usize;
            let class = dataset
                .class_names
                .get(label)
                .ok_or_else(|| unnamed("label", sample.label))?;
            let class = class_index(class, label_space)?;
            names.classes[label] = Some(class);
            let is_none = |index: &u32| {
                let name = dataset.domain_names.get(*index as usize);
                name.is_some_and(|name| name == NO_DOMAIN)
            };
            if let Some(index) = sample.domain.filter(|index| !is_none(index)) {
                let domain = dataset
                    .domain_names
                    .get(index as usize)
                    .ok_or_else(|| unnamed("domain", index))?;
                if options.level.has_domain() && is_identifier(domain) {
                    return Err(Error::DomainWithoutWords {
                        domain: domain.clone(),
                    });
                }
                names.domains[index as usize] = Some(Domain::try_from(domain.as_str()).map_err(
                    |problem| Error::Domain {
                        domain: domain.clone(),
                        problem,
                    },
                )?);
            }
            let template = options
                .templates
                .for_prompt(options.level, names.domain(sample));
            template.map_err(|error| match error {
                promptfed_prompts::Error::NoTemplate { domain: None, .. }
                    if options.level.has_domain() =>
                {
                    Error::DomainNeeded {
                        level: options.level,
                    }
                }
                error => error.into(),
            })?;
        }
        Ok(names)
    }

    fn domain(&self, sample: &Sample) -> Option<&Domain> {
        self.domains.get(sample.domain? as usize)?.as_ref()
    }

    fn class(&self, sample: &Sample) -> Option<ClassIndex> {
        *self.classes.get(sample.label as usize)?
    }
}

/// Prompts and problems so far.
struct Collected<'a> {
    dataset: &'a Dataset,
    label_space: &'a LabelSpace,
    options: &'a ExtractOptions,
    builder: promptfed_prompts::PromptSetBuilder,
    used: usize,
    without_caption: Vec<WithoutCaption>,
    failure: Option<Error>,
}

impl<'a> Collected<'a> {
    fn new(dataset: &'a Dataset, label_space: &'a LabelSpace, options: &'a ExtractOptions) -> Self {
        let mut builder = PromptSet::builder(label_space, options.level, &options.templates);
        // Counted in any case, for the preview; taken off before release unless asked for.
        builder.counts(true);
        Self {
            dataset,
            label_space,
            options,
            builder,
            used: 0,
            without_caption: Vec::new(),
            failure: None,
        }
    }

    fn add(
        &mut self,
        index: usize,
        names: &Names,
        caption: Result<Option<Caption>, CaptionProblem>,
    ) {
        if self.failure.is_some() {
            return;
        }
        let sample = &self.dataset.samples[index];
        let image = || sample.source.to_string();
        match (caption, names.class(sample)) {
            (Ok(caption), Some(class)) => {
                match self
                    .builder
                    .add(class, names.domain(sample).cloned(), caption)
                {
                    Ok(_) => self.used += 1,
                    Err(error) => self.failure = Some(error.into()),
                }
            }
            (Ok(_), None) => {
                let what = "label";
                self.failure = Some(Error::Unnamed {
                    image: image(),
                    what,
                    index: sample.label,
                });
            }
            (Err(problem), _) if self.options.strict => {
                self.failure = Some(Error::Caption {
                    image: image(),
                    problem,
                });
            }
            (Err(problem), _) => {
                self.without_caption.push(WithoutCaption {
                    sample: index,
                    image: image(),
                    problem,
                });
            }
        }
    }

    fn finish(self, mut report: ExtractReport) -> Result<Extraction> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        report.used = self.used;
        report.without_caption = self.without_caption;
        if report.used == 0 {
            return Err(Error::NothingUsable {
                images: report.images,
                why: report.why_left_out(),
            });
        }
        report.decode.check_most_decoded()?;
        let rules = &self.options.release;
        let counted = rules.apply(
            self.builder.build()?,
            self.label_space,
            &mut report.withheld,
        )?;
        report.used = counted
            .prompts()
            .iter()
            .map(|prompt| prompt.count.unwrap_or(1) as usize)
            .sum();
        let mut prompt_set = counted.clone();
        if !self.options.counts {
            prompt_set = prompt_set.without_counts();
        }
        let preview = Preview::new(&prompt_set, &counted, self.label_space)?;
        Ok(Extraction {
            prompt_set,
            preview,
            report,
        })
    }
}
