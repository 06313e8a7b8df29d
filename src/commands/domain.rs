//! Flags that name the domain of a site whose data has none.

use crate::exit::BadInput;
use anyhow::Result;
use clap::Args;
use promptfed_client::{give_domain, name_domain, without_domain};
use promptfed_data::Dataset;
use promptfed_prompts::{Domain, Level};
use std::path::{Path, PathBuf};

/// Images that CLIP looks at to choose the domain.
const LOOKED_AT: usize = 200;

/// The domain of images without one.
#[derive(Args)]
pub(crate) struct DomainArgs {
    /// The domain of the images for which the data has none, such as "photo", "pencil sketch" or the site's camera
    #[arg(long, value_name = "NAME", conflicts_with = "domains")]
    domain: Option<String>,
    /// Domains to choose from for images without one, such as "photo,pencil sketch,oil painting": that which --clip finds
    /// most of them show
    #[arg(long, value_name = "TEXT,..", value_delimiter = ',', requires = "clip")]
    domains: Vec<String>,
    /// Folder of a CLIP model in the layout of the transformers library, for --domains
    #[arg(long, value_name = "DIR", requires = "domains")]
    clip: Option<PathBuf>,
}

impl DomainArgs {
    /// The folder of the model that looks at the images.
    pub(crate) fn model(&self) -> Option<&Path> {
        self.clip.as_deref()
    }

    /// Gives the images the domain that is named or chosen, where one is asked for.
    pub(crate) fn name(&self, dataset: &mut Dataset, level: Level) -> Result<()> {
        let flag = match (&self.domain, &self.clip) {
            (None, None) => return Ok(()),
            (Some(_), _) => "--domain",
            (None, Some(_)) => "--domains and --clip",
        };
        if !level.has_domain() {
            return refuse(format!(
                "prompts of level `{level}` tell no domain: leave out {flag}, or choose the level domain or instance"
            ));
        }
        if without_domain(dataset).is_empty() {
            return refuse(format!(
                "every image of the data has a domain of its own ({}); leave out {flag}",
                dataset.domain_names.join(", ")
            ));
        }
        if let Some(name) = &self.domain {
            let domain = Domain::try_from(name.as_str()).map_err(|problem| {
                anyhow::Error::msg(format!("--domain {name:?}: {problem}")).context(BadInput)
            })?;
            give_domain(dataset, &domain);
        } else if let Some(model) = &self.clip {
            choose(&self.domains, model, dataset)?;
        }
        Ok(())
    }
}

fn refuse(text: String) -> Result<()> {
    Err(anyhow::Error::msg(text).context(BadInput))
}

fn choose(domains: &[String], model: &Path, dataset: &mut Dataset) -> Result<()> {
    let domains: Vec<&str> = domains.iter().map(|domain| domain.trim()).collect();
    let named = name_domain(dataset, &domains, model, LOOKED_AT)?;
    let shares = domains.iter().zip(&named.scores);
    let shares: Vec<String> = shares
        .map(|(domain, score)| format!("{domain} {score:.2}"))
        .collect();
    eprintln!(
        "domain: {}, from {} images ({})",
        named.domain.as_str(),
        named.images,
        shares.join(", ")
    );
    give_domain(dataset, &named.domain);
    Ok(())
}
