//! One template: the text around class, domain and caption.

use crate::article::indefinite_article;
use crate::error::TemplateProblem;
use crate::same_name::composed;
use crate::text::{MAX_TEMPLATE_BYTES, check_spelling};
use crate::{Error, Level, Place, RenderedPrompt, Result};

/// Positive and negative text with placeholders.
///
/// `{label}` is the class's prompt name, `{domain}` the domain, both with spaces for underscores; `{a label}` and
/// `{a domain}` are the same with their indefinite articles, `{caption}` is the caption as it is. The negative text may use
/// the domain only. Spaces are kept as they are, at the ends too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Template {
    positive: String,
    negative: String,
}

/// What prompts a template is for; decides which placeholders have values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Prompts without a domain.
    NoDomain,
    /// Prompts of domains that are named beside the template.
    Named,
    /// Prompts of any other domain.
    AnyDomain,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Label,
    LabelWithArticle,
    Domain,
    DomainWithArticle,
    Caption,
}

impl Template {
    /// A template; an empty `negative` means none.
    ///
    /// # Errors
    /// [`Error::Text`] for text that breaks the rules, [`Error::Template`] for unmatched braces, unknown
    /// placeholders, a positive text without the class, or a class or caption in the negative text.
    pub fn new(positive: impl Into<String>, negative: impl Into<String>) -> Result<Self> {
        Self::at(Place::single("template"), positive.into(), negative.into())
    }

    pub(crate) fn at(place: Place, positive: String, negative: String) -> Result<Self> {
        for (text, field) in [(&positive, "positive"), (&negative, "negative")] {
            let place = place.clone().field(field);
            check_spelling(text, MAX_TEMPLATE_BYTES).map_err(|problem| Error::Text {
                place: place.clone(),
                problem,
            })?;
            for piece in Pieces(text, 0) {
                let problem = match piece {
                    Ok(Piece::Text(_) | Piece::Domain | Piece::DomainWithArticle) => continue,
                    Ok(_) if field == "positive" => continue,
                    Ok(_) => TemplateProblem::LabelInNegative,
                    Err(problem) => problem,
                };
                return Err(Error::Template { place, problem });
            }
        }
        let template = Self { positive, negative };
        if template.uses(&[Piece::Label, Piece::LabelWithArticle]) {
            Ok(template)
        } else {
            Err(Error::Template {
                place: place.field("positive"),
                problem: TemplateProblem::NoLabel,
            })
        }
    }

    /// Checks that every placeholder has a value in prompts of this level and slot, and that none of
    /// what those prompts tell is lost.
    pub(crate) fn check_use(&self, place: &Place, level: Level, slot: Slot) -> Result<()> {
        let says_domain = self.uses(&[Piece::Domain, Piece::DomainWithArticle]);
        let says_caption = self.uses(&[Piece::Caption]);
        let problem = if slot != Slot::NoDomain && !level.has_domain() {
            TemplateProblem::DomainAtClassLevel
        } else if slot == Slot::NoDomain && says_domain {
            TemplateProblem::NoValue {
                placeholder: "domain",
                level,
            }
        } else if slot == Slot::AnyDomain && !says_domain {
            TemplateProblem::NoDomain
        } else if says_caption && !level.has_caption() {
            TemplateProblem::NoValue {
                placeholder: "caption",
                level,
            }
        } else if !says_caption && level.has_caption() {
            TemplateProblem::NoCaption
        } else {
            return Ok(());
        };
        Err(Error::Template {
            place: place.clone(),
            problem,
        })
    }

    /// The positive text with its placeholders.
    pub fn positive(&self) -> &str {
        &self.positive
    }

    /// The negative text with its placeholders; empty for none.
    pub fn negative(&self) -> &str {
        &self.negative
    }

    /// Fills in the placeholders, in one pass: braces inside the values stay as they are. A placeholder
    /// without a value becomes nothing. An underscore in a label or domain is written as a space.
    pub fn render(
        &self,
        label: &str,
        domain: Option<&str>,
        caption: Option<&str>,
    ) -> RenderedPrompt {
        let label = words(label);
        let domain = words(domain.unwrap_or_default());
        let fill = |text: &str| {
            let mut filled = String::with_capacity(text.len() + label.len() + 32);
            for piece in Pieces(text, 0).flatten() {
                match piece {
                    Piece::Text(text) => filled.push_str(text),
                    Piece::Label => filled.push_str(&label),
                    Piece::LabelWithArticle => push_with_article(&mut filled, &label),
                    Piece::Domain => filled.push_str(&domain),
                    Piece::DomainWithArticle => push_with_article(&mut filled, &domain),
                    Piece::Caption => filled.push_str(caption.unwrap_or_default()),
                }
            }
            filled
        };
        RenderedPrompt {
            positive: fill(&self.positive),
            negative: fill(&self.negative),
        }
    }

    fn uses(&self, pieces: &[Piece<'_>]) -> bool {
        [&self.positive, &self.negative].into_iter().any(|text| {
            Pieces(text, 0)
                .flatten()
                .any(|found| pieces.contains(&found))
        })
    }
}

/// A name as prompts say it: with spaces for underscores. A name of nothing else stays as it is.
fn words(name: &str) -> String {
    if !name.contains('_') {
        return name.to_owned();
    }
    match composed(&name.replace('_', " ")) {
        spaces if spaces.is_empty() => name.to_owned(),
        words => words,
    }
}

fn push_with_article(text: &mut String, name: &str) {
    if !name.is_empty() {
        text.push_str(indefinite_article(name));
        text.push(' ');
        text.push_str(name);
    }
}

/// Splits a text at its placeholders; holds what is left and the offset of that.
struct Pieces<'a>(&'a str, usize);

impl<'a> Pieces<'a> {
    fn take(&mut self, bytes: usize) -> &'a str {
        let (head, tail) = self.0.split_at(bytes);
        self.0 = tail;
        self.1 += bytes;
        head
    }

    fn stop(&mut self, offset: usize) -> Result<Piece<'a>, TemplateProblem> {
        self.0 = "";
        Err(TemplateProblem::UnmatchedBrace { offset })
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, TemplateProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.1;
        Some(match self.0.find(['{', '}']) {
            None if self.0.is_empty() => return None,
            None => Ok(Piece::Text(self.take(self.0.len()))),
            Some(0) if self.0.starts_with('{') => match self.0[1..].find(['{', '}']) {
                Some(end) if self.0[1 + end..].starts_with('}') => {
                    let placeholder = self.take(end + 2);
                    match &placeholder[1..=end] {
                        "label" => Ok(Piece::Label),
                        "a label" => Ok(Piece::LabelWithArticle),
                        "domain" => Ok(Piece::Domain),
                        "a domain" => Ok(Piece::DomainWithArticle),
                        "caption" => Ok(Piece::Caption),
                        found => Err(TemplateProblem::UnknownPlaceholder {
                            found: found.to_owned(),
                        }),
                    }
                }
                _ => self.stop(start),
            },
            Some(0) => self.stop(start),
            Some(at) => Ok(Piece::Text(self.take(at))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(positive: &str, negative: &str) -> TemplateProblem {
        match Template::new(positive, negative) {
            Err(Error::Template { problem, .. }) => problem,
            other => panic!("{positive}: {other:?}"),
        }
    }

    #[test]
    fn fills_in_one_pass() {
        let template = Template::new("{a label} in {domain}: {caption}", "not {domain}").unwrap();
        let text = template.render("axe", Some("{label}"), Some("{caption} } {"));
        assert_eq!(text.positive, "an axe in {label}: {caption} } {");
        assert_eq!(text.negative, "not {label}");
        assert_eq!(
            template.render("clock", None, None).positive,
            "a clock in : "
        );
    }

    #[test]
    fn underscores_are_spaces_except_in_captions() {
        let template =
            Template::new("{a domain} of {a label}, {label}, {domain}: {caption}", "").unwrap();
        let text = template.render("ice_cream", Some("oil_painting"), Some("file_name"));
        assert_eq!(
            text.positive,
            "an oil painting of an ice cream, ice cream, oil painting: file_name"
        );
        let odd = template.render("_tv__set_", Some("_"), None);
        assert_eq!(odd.positive, "a _ of a tv set, tv set, _: ");
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(
            problem("{label} {x}", ""),
            TemplateProblem::UnknownPlaceholder { found: "x".into() }
        );
        assert_eq!(
            problem("{label} }", ""),
            TemplateProblem::UnmatchedBrace { offset: 8 }
        );
        assert_eq!(
            problem("é {label", ""),
            TemplateProblem::UnmatchedBrace { offset: 3 }
        );
        assert_eq!(
            problem("{lab{label}", ""),
            TemplateProblem::UnmatchedBrace { offset: 0 }
        );
        assert_eq!(problem("a photo", ""), TemplateProblem::NoLabel);
        assert_eq!(
            problem("{label}", "{label}"),
            TemplateProblem::LabelInNegative
        );
        assert!(matches!(
            Template::new("{label}\u{7}", ""),
            Err(Error::Text { .. })
        ));
        assert!(matches!(
            Template::new("{label}".repeat(99), ""),
            Err(Error::Text { .. })
        ));
    }
}
