//! The clients of a comparison with their private images, and the test images.

mod test_set;

pub use test_set::TestSet;

use crate::captions::Captions;
use crate::comparison::{ClientSummary, DataSummary};
use crate::{Error, Result, seeds};
use promptfed_data::{
    Dataset, DecodeOptions, DecodeReport, Fit, ImageCache, ImageSource, LabelledImages, Partition,
    client_names, partition, stratified_split,
};
use promptfed_learn::{HeldOut, Selection, Supervision, Tally};
use promptfed_prompts::{ContentHash, LabelSpace};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// One client of a federation.
#[derive(Debug, Clone)]
pub struct FederatedClient {
    /// The client's name: its domain where every client is one domain, `sketch-2` where several share one, else `client-3`.
    pub name: String,
    /// All of its private samples, not decoded: what prompts are extracted from.
    pub private: Dataset,
    /// The part of its images that methods on real images train on.
    pub train: LabelledImages,
    /// The part that selects a model; none where all clients' parts together could not.
    pub validation: LabelledImages,
}

/// Clients and the classes they share.
#[derive(Debug, Clone)]
pub struct Federation {
    /// The classes.
    pub label_space: LabelSpace,
    /// Their names, in label order.
    pub class_names: Vec<String>,
    /// The clients.
    pub clients: Vec<FederatedClient>,
    /// Images that everybody may have, for methods that look at them; what they show is not among their labels.
    pub public: Option<LabelledImages>,
    /// What they show, without their pixels.
    shown: Option<LabelledImages>,
    /// That in words, from when it is first asked for.
    captions: OnceLock<Captions>,
    /// Which epoch or round is kept of a model that is trained on the clients' images.
    pub selection: Selection,
    /// The partition's text form.
    pub partition: String,
    /// What came of decoding the clients' pictures.
    pub decoding: DecodeReport,
}

/// How private samples become clients.
#[derive(Debug, Clone)]
pub struct FederationOptions {
    /// Who holds what.
    pub partition: Partition,
    /// Least number of samples of a client, at least 1.
    pub min_per_client: usize,
    /// Side in pixels that images are resized to.
    pub image_size: usize,
    /// How pictures that are not square become so.
    pub fit: Fit,
    /// Share of every client's images held out to select models, in [0, 0.5].
    pub validation_fraction: f64,
    /// Seed of the partition and the validation split.
    pub seed: u64,
    /// Limits and strictness of decoding.
    pub decode: DecodeOptions,
    /// What has been decoded already.
    pub images: Arc<ImageCache>,
}

impl Federation {
    /// Deals `private` to clients and decodes their pictures.
    ///
    /// # Errors
    /// If the label space does not fit the data's classes, if the partition is impossible, or if decoding fails.
    pub fn new(
        private: &Dataset,
        label_space: LabelSpace,
        options: &FederationOptions,
    ) -> Result<Self> {
        let class_names = check("private", private, &label_space)?;
        let parts = partition(
            &private.labels(),
            &private.domains(),
            &options.partition,
            options.min_per_client.max(1),
            seeds::derive(options.seed, "partition"),
        )?;
        let classes = label_space.len();
        let (mut trained_on, mut validated_on) = (Tally::default(), Tally::default());
        let all =
            (options.images).load(private, options.image_size, options.fit, &options.decode)?;
        let mut dealt = Vec::with_capacity(parts.len());
        let names = client_names(private, &options.partition, &parts);
        for (index, (part, name)) in parts.iter().zip(names).enumerate() {
            let dataset = private.subset(part);
            let images = all.of_samples(part)?;
            let (train, held) = stratified_split(
                &images.labels,
                options.validation_fraction,
                seeds::derive(options.seed, &format!("validation of client {index}")),
            );
            for (tally, part) in [(&mut trained_on, &train), (&mut validated_on, &held)] {
                let labels: Vec<u32> = part.iter().map(|&i| images.labels[i]).collect();
                tally.add(&Tally::of_labels(&labels, classes));
            }
            dealt.push((name, dataset, images, train, held));
        }
        let selection = Selection::by(&trained_on, &validated_on, &class_names);
        let chooses = selection.is_by_validation();
        let clients = dealt.into_iter();
        let clients = clients.map(|(name, private, images, train, held)| FederatedClient {
            name,
            private,
            validation: images.subset(if chooses { &held } else { &[] }),
            train: if chooses {
                images.subset(&train)
            } else {
                images
            },
        });
        let clients = clients.collect();
        Ok(Self {
            label_space,
            class_names,
            clients,
            public: None,
            shown: None,
            captions: OnceLock::new(),
            selection,
            partition: options.partition.to_string(),
            decoding: all.report().clone(),
        })
    }

    /// Adds public images, whatever classes they have.
    ///
    /// # Errors
    /// If there are none, or if decoding fails.
    pub fn with_public(mut self, public: &Dataset, options: &FederationOptions) -> Result<Self> {
        if public.is_empty() {
            return Err(Error::NoImages { role: "public" });
        }
        let all =
            (options.images).load(public, options.image_size, options.fit, &options.decode)?;
        self.decoding.merge(all.report().clone());
        let count = all.images().len();
        let LabelledImages {
            size,
            ref pixels,
            ref labels,
            ref domains,
            ref class_names,
            ref domain_names,
        } = *all.images();
        self.shown = Some(LabelledImages {
            size,
            pixels: Vec::new(),
            labels: labels.clone(),
            domains: domains.clone(),
            class_names: class_names.clone(),
            domain_names: domain_names.clone(),
        });
        self.captions = OnceLock::new();
        self.public = Some(LabelledImages {
            size,
            pixels: pixels.clone(),
            labels: vec![0; count],
            domains: vec![0; count],
            class_names: self.class_names.clone(),
            domain_names: Vec::new(),
        });
        Ok(self)
    }

    /// What public images show, for methods that learn from pairs of an image and a caption, made when one first asks; the others are not told.
    pub fn public_captions(&self) -> &Captions {
        self.captions
            .get_or_init(|| match (&self.public, &self.shown) {
                (Some(images), Some(told)) => Captions::told(images, told, &self.label_space),
                _ => Captions::default(),
            })
    }

    /// All clients' images in one place.
    ///
    /// # Errors
    /// If there is no client.
    pub fn pooled(&self) -> Result<HeldOut> {
        let all = |pick: fn(&FederatedClient) -> &LabelledImages| {
            LabelledImages::concat(&self.clients.iter().map(pick).collect::<Vec<_>>())
        };
        Ok(HeldOut {
            training: all(|c| &c.train)?,
            validation: all(|c| &c.validation)?,
            selection: self.selection.clone(),
            supervision: Supervision::default(),
        })
    }

    /// Hash of all images but the public ones, of captions and classes, and of who holds and holds out what.
    pub fn identity(&self, test: &TestSet) -> ContentHash {
        let mut all = self.label_space.hash().as_bytes().to_vec();
        all.extend(test.images.hash().as_bytes());
        for client in &self.clients {
            all.extend(ContentHash::of(client.name.as_bytes()).as_bytes());
            all.extend(client.train.hash().as_bytes());
            all.extend(client.validation.hash().as_bytes());
            for sample in &client.private.samples {
                let caption = sample.caption.as_deref().unwrap_or_default();
                all.extend(ContentHash::of(caption.as_bytes()).as_bytes());
                if let ImageSource::File(file) = &sample.source {
                    all.extend(side_car(file));
                }
            }
        }
        ContentHash::of(&all)
    }

    /// Counts and hashes for the report.
    pub fn summary(&self, test: &TestSet) -> DataSummary {
        let classes = self.class_names.clone();
        let clients = self.clients.iter().map(|client| {
            let mut images_per_class = vec![0; classes.len()];
            for sample in &client.private.samples {
                images_per_class[sample.label as usize] += 1;
            }
            let parts = [&client.train, &client.validation];
            let hashes: Vec<u8> = parts.iter().flat_map(|p| *p.hash().as_bytes()).collect();
            ClientSummary {
                name: client.name.clone(),
                images_per_class,
                hash: ContentHash::of(&hashes),
            }
        });
        DataSummary {
            clients: clients.collect(),
            test_images: test.images.len(),
            test_hash: ContentHash::of(test.images.hash().as_bytes()),
            partition: self.partition.clone(),
            classes,
        }
    }
}

/// Size and time of the text beside a picture, where there is one: a captioner may read it.
fn side_car(picture: &Path) -> Vec<u8> {
    let about = fs_err::metadata(picture.with_extension("txt"));
    let told = about.map(|about| format!("{} {:?}", about.len(), about.modified().ok()));
    told.unwrap_or_default().into_bytes()
}

/// The class names of a data set that has some images, and the classes of the label space.
fn check(role: &'static str, dataset: &Dataset, label_space: &LabelSpace) -> Result<Vec<String>> {
    let names = label_space.classes().iter().map(|c| c.name.clone());
    let names: Vec<String> = names.collect();
    if dataset.class_names != names {
        return Err(Error::Classes {
            role,
            found: dataset.class_names.clone(),
            expected: names,
        });
    }
    if dataset.is_empty() {
        return Err(Error::NoImages { role });
    }
    Ok(names)
}
