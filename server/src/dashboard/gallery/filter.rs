//! Which of a round's images are shown.

use std::collections::{BTreeSet, HashSet};

use maud::{Markup, html};
use promptfed_prompts::PromptSet;
use promptfed_prompts::protocol::{RoundMember, RoundSpec};
use promptfed_synth::job::{ManifestRow, read_manifest};
use serde::{Deserialize, Serialize};

use super::sources::Source;
use crate::Result;
use crate::dashboard::paging::Paging;

/// Domains that can be chosen.
const MOST_DOMAINS: usize = 500;

/// What is asked for, as an address has it; what is empty is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Filter {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) class: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) domain: String,
    /// The number of a client, of whose prompts the images are.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) client: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) source: String,
    /// The largest CLIP score, 0 to 1.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) score: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) page: String,
}

/// The images of a page, and how many there are.
pub(super) struct Found {
    pub(super) total: u64,
    /// Each with the name of its source.
    pub(super) shown: Vec<(String, ManifestRow)>,
    /// The domains of all images of the round.
    pub(super) domains: BTreeSet<String>,
}

impl Filter {
    /// The address of a page of what is asked for.
    pub(super) fn address(&self, base: &str, page: u64) -> String {
        let asked = Self {
            page: page.to_string(),
            ..self.clone()
        };
        // Texts can always be written so.
        let query = serde_urlencoded::to_string(asked).unwrap_or_default();
        format!("{base}?{query}")
    }

    /// Looks through all rows of the sources, of which only those of the page are kept. `prompts` are the texts of the client that is asked for.
    pub(super) fn find(
        &self,
        sources: &[Source],
        prompts: Option<&HashSet<String>>,
        paging: Paging,
    ) -> Result<Found> {
        let mut found = Found {
            total: 0,
            shown: Vec::new(),
            domains: BTreeSet::new(),
        };
        for source in sources {
            let is_asked = self.source.is_empty() || self.source == source.name;
            for row in read_manifest(&source.folder)? {
                let row = row?;
                if let Some(domain) = &row.domain
                    && found.domains.len() < MOST_DOMAINS
                    && !found.domains.contains(domain)
                {
                    found.domains.insert(domain.clone());
                }
                if !is_asked || !self.matches(&row, prompts) {
                    continue;
                }
                if paging.holds(found.total) {
                    found.shown.push((source.name.clone(), row));
                }
                found.total += 1;
            }
        }
        Ok(found)
    }

    fn matches(&self, row: &ManifestRow, prompts: Option<&HashSet<String>>) -> bool {
        let score = self.score.parse::<f32>().ok();
        row.file.is_some()
            && (self.class.is_empty() || self.class == row.class_name)
            && (self.domain.is_empty() || Some(&self.domain) == row.domain.as_ref())
            && prompts.is_none_or(|prompts| prompts.contains(&row.prompt))
            && score.is_none_or(|most| row.clip_scores.last().is_some_and(|score| *score <= most))
    }

    /// The form that asks for others. Without clients there is no choice of one.
    pub(super) fn form(
        &self,
        base: &str,
        spec: &RoundSpec,
        sources: &[Source],
        domains: &BTreeSet<String>,
        clients: &[RoundMember],
    ) -> Markup {
        let classes = spec.label_space.classes().iter();
        let classes = classes.map(|class| (class.name.clone(), class.name.clone()));
        let domains = domains
            .iter()
            .map(|domain| (domain.clone(), domain.clone()));
        let names = sources
            .iter()
            .map(|source| (source.name.clone(), source.name.clone()));
        let clients: Vec<_> = clients
            .iter()
            .filter(|member| member.submission.is_some())
            .map(|member| (member.client_id.to_string(), member.name.clone()))
            .collect();
        html! {
            form.filter method="get" action=(base) role="search" aria-label="Images" {
                (choice("class", "Class", &self.class, classes))
                (choice("domain", "Domain", &self.domain, domains))
                (choice("source", "Source", &self.source, names))
                @if !clients.is_empty() { (choice("client", "Client", &self.client, clients.into_iter())) }
                div {
                    label for="score" { "CLIP score at most" }
                    input type="number" id="score" name="score" min="0" max="1" step="any" value=(self.score);
                }
                button type="submit" { "Show" }
            }
        }
    }
}

/// The texts of a client's prompts, as engines get them.
pub(super) fn texts(set: &PromptSet, spec: &RoundSpec) -> HashSet<String> {
    let rendered = set.prompts().iter();
    let rendered = rendered.filter_map(|prompt| set.render(prompt, &spec.label_space).ok());
    rendered.map(|text| text.positive).collect()
}

fn choice(
    name: &str,
    label: &str,
    chosen: &str,
    choices: impl Iterator<Item = (String, String)>,
) -> Markup {
    html! {
        div {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                option value="" { "All" }
                @for (value, told) in choices {
                    option value=(value) selected[value == chosen] { (told) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use promptfed_prompts::ContentHash;
    use promptfed_synth::ImageSeed;
    use promptfed_synth::job::MANIFEST_FILE;

    use super::*;

    fn row(index: u64) -> ManifestRow {
        ManifestRow {
            index,
            prompt: format!("prompt {}", index % 4),
            negative: String::new(),
            cut: None,
            negative_cut: None,
            class: (index % 2) as u32,
            class_name: ["cat", "dog"][(index % 2) as usize].to_owned(),
            domain: index.is_multiple_of(3).then(|| "photo".to_owned()),
            seed: ImageSeed::from_u64(index),
            steps: 1,
            guidance: 1.0,
            sampler: promptfed_synth::Sampler::Euler,
            engine: "noise".to_owned(),
            engine_version: "1".to_owned(),
            weights_hash: ContentHash::of(b"none"),
            file: (index != 5).then(|| format!("images/cat/{index:08}.png")),
            pixel_hash: None,
            attempts: 1,
            upcast: false,
            clip_scores: vec![0.9, index as f32 / 10.0],
            clip_hash: None,
            flags: Vec::new(),
            rejected: None,
            remade: false,
        }
    }

    #[test]
    fn images_are_found_by_each_property_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<String> = (0..10)
            .map(|i| serde_json::to_string(&row(i)).unwrap() + "\n")
            .collect();
        // A job that works has not ended its last line.
        let text = lines.concat() + "{\"index\":10,";
        fs_err::write(folder.path().join(MANIFEST_FILE), text).unwrap();
        let sources = [Source {
            name: "noise".to_owned(),
            folder: folder.path().to_owned(),
            is_set_aside: false,
        }];
        let find = |filter: Filter, prompts: Option<&HashSet<String>>| -> (u64, Vec<u64>) {
            let found = filter.find(&sources, prompts, Paging::of(&filter.page, 3));
            let found = found.unwrap();
            assert_eq!(found.domains.iter().collect::<Vec<_>>(), ["photo"]);
            (
                found.total,
                found.shown.iter().map(|(_, row)| row.index).collect(),
            )
        };
        let all = Filter::default();
        assert_eq!(find(all.clone(), None), (9, vec![0, 1, 2]));
        let asked = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter
        };
        let second = asked(|f| f.page = "2".into());
        assert_eq!(find(second, None), (9, vec![3, 4, 6]));
        let dogs = asked(|f| f.class = "dog".into());
        assert_eq!(find(dogs, None), (4, vec![1, 3, 7]));
        let photos = asked(|f| f.domain = "photo".into());
        assert_eq!(find(photos, None), (4, vec![0, 3, 6]));
        let bad = asked(|f| f.score = "0.25".into());
        assert_eq!(find(bad, None), (3, vec![0, 1, 2]));
        let other = asked(|f| f.source = "loud".into());
        assert_eq!(find(other, None), (0, vec![]));
        let own = HashSet::from(["prompt 3".to_owned()]);
        assert_eq!(find(all, Some(&own)), (2, vec![3, 7]));

        assert_eq!(sources[0].row(7).unwrap(), Some(row(7)));
        assert_eq!(sources[0].row(10).unwrap(), None, "not written to its end");
        assert_eq!(sources[0].row(11).unwrap(), None);
    }

    #[test]
    fn addresses_bring_back_what_was_asked_for() {
        let filter = Filter {
            class: "a & b=c".into(),
            source: "sd:/models/x#y".into(),
            ..Filter::default()
        };
        let address = filter.address("/images", 3);
        let query = address.strip_prefix("/images?").unwrap();
        let back: Filter = serde_urlencoded::from_str(query).unwrap();
        assert_eq!((back.class, back.source), (filter.class, filter.source));
        assert_eq!((back.page.as_str(), back.domain.as_str()), ("3", ""));
    }
}
