//! A file of templates, by level and domain.

use serde::{Deserialize, Serialize};

use crate::error::{TemplateProblem, toml_error};
use crate::same_name::folded;
use crate::template::Slot;
use crate::text::{MAX_CLASS_NAME_BYTES, check_clean};
use crate::{Domain, Error, Level, Place, Result, Template, builtin};

/// One template of a [`TemplateSet`] file.
///
/// It serves the domains listed, or any domain that no other template lists, or, with neither,
/// prompts without a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a template: a table `[[templates]]` with `level` and `positive`"
)]
pub struct TemplateEntry {
    /// The level it serves.
    pub level: Level,
    /// The domains it serves; compared by [`folded`]: without case, and with `_` equal to a space.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
    /// Whether it serves every domain that has no template of its own; the text must then say `{domain}` or `{a domain}`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_domain: bool,
    /// Positive text, see [`Template`].
    pub positive: String,
    /// Negative text, see [`Template`]; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub negative: String,
}

/// Templates by level and domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct TemplateSet {
    name: String,
    entries: Vec<(TemplateEntry, Template)>,
}

#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a template set: a `name` and `templates`"
)]
struct Document {
    name: String,
    templates: Vec<TemplateEntry>,
}

impl TemplateSet {
    /// A set of these templates.
    ///
    /// # Errors
    /// [`Error::Template`] or [`Error::Text`], naming entry and field: text that breaks the rules,
    /// placeholders without a value at the entry's level, a class, domain or caption that would be lost,
    /// two templates for the same prompts.
    pub fn new(name: impl Into<String>, entries: Vec<TemplateEntry>) -> Result<Self> {
        let name = name.into();
        check_clean(&name, MAX_CLASS_NAME_BYTES).map_err(|problem| Error::Text {
            place: Place::single("name"),
            problem,
        })?;
        let mut set = Self {
            name,
            entries: Vec::with_capacity(entries.len()),
        };
        for (index, entry) in entries.into_iter().enumerate() {
            let place = Place::entry("templates", index);
            let refuse = |field, problem| Error::Template {
                place: place.clone().field(field),
                problem,
            };
            let slot = match (entry.domains.is_empty(), entry.any_domain) {
                (true, false) => Slot::NoDomain,
                (true, true) => Slot::AnyDomain,
                (false, false) => Slot::Named,
                (false, true) => return Err(refuse("any_domain", TemplateProblem::Domains)),
            };
            let template = Template::at(
                place.clone(),
                entry.positive.clone(),
                entry.negative.clone(),
            )?;
            template.check_use(&place, entry.level, slot)?;
            if let Some(domain) = set.already_served(&entry) {
                return Err(refuse("domains", TemplateProblem::Duplicate { domain }));
            }
            set.entries.push((entry, template));
        }
        Ok(set)
    }

    /// Reads a template file: `name`, then `[[templates]]` with the fields of [`TemplateEntry`].
    ///
    /// # Errors
    /// [`Error::Toml`], or as [`TemplateSet::new`].
    pub fn from_toml(text: &str) -> Result<Self> {
        let document: Document =
            toml::from_str(text).map_err(|e| toml_error("template set", text, &e))?;
        Self::try_from(document)
    }

    /// A template set that comes with this crate; [`TemplateSet::builtin_names`] lists them.
    ///
    /// # Errors
    /// [`Error::UnknownBuiltin`].
    pub fn builtin(name: &str) -> Result<Self> {
        Self::from_toml(builtin::find("template set", builtin::TEMPLATE_SETS, name)?)
    }

    /// Names of the built-in template sets.
    pub fn builtin_names() -> Vec<&'static str> {
        builtin::names(builtin::TEMPLATE_SETS)
    }

    /// Whether the set has any template of this level.
    pub fn has_level(&self, level: Level) -> bool {
        self.entries().any(|entry| entry.level == level)
    }

    /// The set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The entries in file order.
    pub fn entries(&self) -> impl Iterator<Item = &TemplateEntry> {
        self.entries.iter().map(|(entry, _)| entry)
    }

    /// The template for prompts of this level and domain: the one that lists the domain, else the one
    /// for any domain; for no domain, the one without domains. The domain is not looked at at class level.
    ///
    /// # Errors
    /// [`Error::NoTemplate`], naming the domain and what the set has.
    pub fn for_prompt(&self, level: Level, domain: Option<&Domain>) -> Result<&Template> {
        let domain = domain.filter(|_| level.has_domain());
        let of_level = || {
            self.entries
                .iter()
                .filter(|(entry, _)| entry.level == level)
        };
        let found = match domain {
            None => of_level().find(|(e, _)| !e.any_domain && e.domains.is_empty()),
            Some(domain) => of_level()
                .find(|(e, _)| e.domains.iter().any(|listed| same(listed, domain)))
                .or_else(|| of_level().find(|(e, _)| e.any_domain)),
        };
        found
            .map(|(_, template)| template)
            .ok_or_else(|| Error::NoTemplate {
                set: self.name.clone(),
                level,
                domain: domain.cloned(),
                known: of_level().flat_map(|(entry, _)| served(entry)).collect(),
            })
    }

    fn already_served(&self, entry: &TemplateEntry) -> Option<String> {
        let of_level = || {
            self.entries
                .iter()
                .map(|(e, _)| e)
                .filter(|e| e.level == entry.level)
        };
        if entry.domains.is_empty() {
            of_level()
                .find(|e| e.domains.is_empty() && e.any_domain == entry.any_domain)
                .map(|e| served(e).concat())
        } else {
            let repeated = |i: usize, domain: &Domain| {
                entry.domains[..i]
                    .iter()
                    .any(|earlier| same(earlier, domain))
                    || of_level().any(|e| e.domains.iter().any(|listed| same(listed, domain)))
            };
            let mut domains = entry.domains.iter().enumerate();
            domains
                .find(|&(i, d)| repeated(i, d))
                .map(|(_, d)| format!("domain `{d}`"))
        }
    }
}

fn same(one: &Domain, other: &Domain) -> bool {
    one == other || folded(one.as_str()) == folded(other.as_str())
}

fn served(entry: &TemplateEntry) -> Vec<String> {
    match (entry.domains.is_empty(), entry.any_domain) {
        (true, true) => vec!["any domain".to_owned()],
        (true, false) => vec!["prompts without a domain".to_owned()],
        (false, _) => entry
            .domains
            .iter()
            .map(|domain| format!("`{domain}`"))
            .collect(),
    }
}

impl TryFrom<Document> for TemplateSet {
    type Error = Error;

    fn try_from(document: Document) -> Result<Self> {
        Self::new(document.name, document.templates)
    }
}

impl From<TemplateSet> for Document {
    fn from(set: TemplateSet) -> Self {
        let templates = set.entries.into_iter().map(|(entry, _)| entry).collect();
        Self {
            name: set.name,
            templates,
        }
    }
}
