//! The one form of a prompt set that is a file, a hash and a payload: JSON with one entry per line.
//!
//! ```json
//! {
//! "format":"promptfed prompts",
//! "version":1,
//! "level":"domain",
//! "label_space":"<64 hexadecimal digits>",
//! "templates":[
//! {"domains":["sketch"],"positive":"a sketch of a {label}","negative":""}
//! ],
//! "prompts":[
//! {"class":0,"domain":"sketch","count":12}
//! ]
//! }
//! ```
//!
//! Templates: equal texts are one entry, sorted by text; `domains` is sorted, and absent for prompts without a
//! domain. Prompts: distinct, sorted by class, domain, caption; absent fields are left out. Text is
//! not escaped beyond what JSON demands. Lines end with a line feed, the last one too.

mod exact;

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::json_fault::parse;
use crate::prompt_set::check_label_space;
use crate::prompt_set_builder::{Merged, check_class};
use crate::template::Slot;
use crate::text::{Caption, Domain, excerpt};
use crate::{
    ClassIndex, ContentHash, Error, LabelSpace, Level, MAX_PROMPTS, Place, Prompt, PromptSet,
    Result, Template, TextProblem, WIRE_VERSION,
};

pub(crate) use exact::read as read_exact;

const FORMAT: &str = "promptfed prompts";

/// Whether texts may still need cleaning.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Clean them.
    Any,
    /// Refuse them.
    Exact,
}

#[derive(Deserialize)]
#[serde(expecting = "a prompt file: an object with `format` and `version`")]
struct Head {
    format: String,
    version: u64,
}

impl Head {
    fn check(&self) -> Result<()> {
        if self.format != FORMAT {
            let format = excerpt(&self.format);
            return Err(Error::NotAPromptSet {
                reason: format!("its format is `{format}`"),
            });
        }
        if self.version != u64::from(WIRE_VERSION) {
            return Err(Error::UnknownVersion {
                found: self.version,
                supported: WIRE_VERSION,
            });
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `templates` and `prompts`"
)]
struct Document {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "version")]
    _version: u64,
    level: Level,
    label_space: String,
    #[serde(deserialize_with = "bounded")]
    templates: Vec<TemplateLine>,
    #[serde(deserialize_with = "bounded")]
    prompts: Vec<PromptLine>,
}

#[derive(Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a template: an object with `positive` and `negative`"
)]
struct TemplateLine {
    #[serde(
        default,
        deserialize_with = "bounded_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    domains: Option<Vec<String>>,
    positive: String,
    negative: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a prompt: an object with `class`")]
struct PromptLine {
    class: u32,
    domain: Option<String>,
    caption: Option<String>,
    count: Option<u32>,
}

#[derive(Serialize)]
pub(crate) struct TemplateOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domains: Option<Vec<&'a Domain>>,
    pub(crate) positive: &'a str,
    pub(crate) negative: &'a str,
}

/// Writes the canonical form.
pub(crate) fn write(
    level: Level,
    label_space: ContentHash,
    templates: &BTreeMap<Option<Domain>, Template>,
    prompts: &[Prompt],
) -> String {
    let mut by_text: BTreeMap<(&Template, bool), Vec<&Domain>> = BTreeMap::new();
    for (domain, template) in templates {
        by_text
            .entry((template, domain.is_some()))
            .or_default()
            .extend(domain);
    }
    let templates: Vec<String> = by_text
        .into_iter()
        .map(|((template, has_domains), domains)| {
            line(&TemplateOut {
                domains: has_domains.then_some(domains),
                positive: template.positive(),
                negative: template.negative(),
            })
        })
        .collect();
    let mut json = format!(
        "{{\n\"format\":\"{FORMAT}\",\n\"version\":{WIRE_VERSION},\n\"level\":\"{level}\",\n\
         \"label_space\":\"{label_space}\",\n\"templates\":[\n{}\n],\n\"prompts\":[\n",
        templates.join(",\n")
    );
    for (index, prompt) in prompts.iter().enumerate() {
        if index > 0 {
            json.push_str(",\n");
        }
        json.push_str(&line(prompt));
    }
    json.push_str("\n]\n}\n");
    json
}

pub(crate) fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("text and numbers always have a JSON form")
}

/// Reads a document in any layout and order; texts are cleaned.
pub(crate) fn read(json: &str, label_space: &LabelSpace) -> Result<PromptSet> {
    parse::<Head>(json)?.check()?;
    let document: Document = parse(json)?;
    let found: ContentHash = document.label_space.parse()?;
    check_label_space(found, label_space)?;
    let level = document.level;
    let templates = read_templates(document.templates, level)?;
    let merged = read_prompts(document.prompts, level, label_space, &templates)?;
    PromptSet::assemble(level, found, templates, merged).map(|(set, _)| set)
}

/// What serves prompts without a domain, and those of each domain.
type Templates = BTreeMap<Option<Domain>, Template>;

fn read_templates(lines: Vec<TemplateLine>, level: Level) -> Result<Templates> {
    let mut templates = BTreeMap::new();
    for (index, line) in lines.into_iter().enumerate() {
        let place = Place::entry("templates", index);
        read_template(line, &place, level, Spelling::Any, &mut templates)?;
    }
    Ok(templates)
}

fn read_template(
    line: TemplateLine,
    place: &Place,
    level: Level,
    spelling: Spelling,
    templates: &mut Templates,
) -> Result<()> {
    let template = Template::at(place.clone(), line.positive, line.negative)?;
    let slot = if line.domains.is_some() {
        Slot::Named
    } else {
        Slot::NoDomain
    };
    template.check_use(place, level, slot)?;
    let served = match line.domains {
        None => vec![None],
        Some(domains) => {
            let place = || place.clone().field("domains");
            domains
                .into_iter()
                .map(|domain| domain_of(domain, spelling, place).map(Some))
                .collect::<Result<_>>()?
        }
    };
    for domain in served {
        match templates.get(&domain) {
            None => drop(templates.insert(domain, template.clone())),
            Some(other) if *other == template => {}
            Some(_) => {
                let domain = domain.map_or_else(
                    || "prompts without a domain".to_owned(),
                    |domain| format!("domain `{domain}`"),
                );
                let problem = crate::TemplateProblem::Duplicate { domain };
                return Err(Error::Template {
                    place: place.clone().field("domains"),
                    problem,
                });
            }
        }
    }
    Ok(())
}

fn read_prompts(
    lines: Vec<PromptLine>,
    level: Level,
    label_space: &LabelSpace,
    templates: &Templates,
) -> Result<Merged> {
    let agreed = Agreed {
        level,
        label_space,
        templates,
        counts: lines.first().is_some_and(|line| line.count.is_some()),
        spelling: Spelling::Any,
    };
    let mut merged = Merged::new(agreed.counts);
    for (index, line) in lines.into_iter().enumerate() {
        let place = || Place::entry("prompts", index);
        merged.add(agreed.read(line, place)?, place)?;
    }
    Ok(merged)
}

/// What all prompts of a set are held to.
struct Agreed<'a> {
    level: Level,
    label_space: &'a LabelSpace,
    templates: &'a Templates,
    counts: bool,
    spelling: Spelling,
}

impl Agreed<'_> {
    fn read(&self, line: PromptLine, place: impl Fn() -> Place) -> Result<Prompt> {
        let level = self.level;
        let class = ClassIndex::new(line.class);
        check_class(self.label_space, class, &place)?;
        if line.count.is_some() != self.counts || line.count == Some(0) {
            return Err(Error::Count {
                place: place().field("count"),
            });
        }
        for (present, carried, field) in [
            (line.domain.is_some(), level.has_domain(), "domain"),
            (line.caption.is_some(), level.has_caption(), "caption"),
        ] {
            if present && !carried {
                return Err(Error::FieldAboveLevel {
                    place: place().field(field),
                    level,
                });
            }
        }
        if level.has_caption() && line.caption.is_none() {
            return Err(Error::MissingCaption { place: place() });
        }
        let domain = line
            .domain
            .map(|text| domain_of(text, self.spelling, || place().field("domain")))
            .transpose()?;
        // Here the entry still has the number that it has in the document.
        if !self.templates.contains_key(&domain) {
            return Err(Error::TemplateMissing {
                place: place(),
                domain,
            });
        }
        let caption = line
            .caption
            .map(|text| match self.spelling {
                Spelling::Any => Caption::try_from(text),
                Spelling::Exact => Caption::exact(text),
            })
            .transpose()
            .map_err(|problem| text_error(place().field("caption"), problem))?;
        Ok(Prompt {
            class,
            domain,
            caption,
            count: line.count,
        })
    }
}

fn domain_of(text: String, spelling: Spelling, place: impl FnOnce() -> Place) -> Result<Domain> {
    match spelling {
        Spelling::Any => Domain::try_from(text),
        Spelling::Exact => Domain::exact(text),
    }
    .map_err(|problem| text_error(place(), problem))
}

fn text_error(place: Place, problem: TextProblem) -> Error {
    Error::Text { place, problem }
}

/// [`bounded`], where there may be no list.
fn bounded_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    struct List(#[serde(deserialize_with = "bounded")] Vec<String>);

    Ok(Option::<List>::deserialize(deserializer)?.map(|List(list)| list))
}

/// A list of at most [`MAX_PROMPTS`] entries, refused while it is read.
fn bounded<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "a list of at most {MAX_PROMPTS} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = entries.next_element()? {
                if list.len() == MAX_PROMPTS {
                    return Err(A::Error::invalid_length(MAX_PROMPTS + 1, &self));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Bounded(std::marker::PhantomData))
}

/// Compares what arrived with the canonical form of its content.
fn check_same(found: &str, canonical: &str) -> Result<()> {
    if found == canonical {
        return Ok(());
    }
    let first = |differ: fn(&(&str, &str)) -> bool| {
        found
            .split('\n')
            .zip(canonical.split('\n'))
            .position(|pair| differ(&pair))
    };
    // A repeated or missing entry shows first as a comma on the line before; the entry itself says more.
    let entry = first(|(one, other)| one.trim_end_matches(',') != other.trim_end_matches(','));
    let line = entry
        .or_else(|| first(|(one, other)| one != other))
        .unwrap_or_else(|| canonical.matches('\n').count());
    Err(Error::NotCanonical {
        place: entry_of_line(found, line),
        line: line + 1,
    })
}

/// The entry on line `line` (from 0) of a document laid out as [`write`] does.
pub(crate) fn entry_of_line(document: &str, line: usize) -> Place {
    let mut place = Place::single("document");
    for (at, text) in document.split('\n').enumerate().take(line + 1) {
        place = match (text, place.index) {
            ("\"templates\":[", _) => Place::single("templates"),
            ("\"prompts\":[", _) => Place::single("prompts"),
            _ if place.list == "document" => place,
            (_, None) if at <= line => Place::entry(place.list, 0),
            (_, Some(index)) => Place::entry(place.list, index + 1),
            _ => place,
        };
    }
    place
}
