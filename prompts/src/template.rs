//! One template: the text around class, domain and caption.

use crate::error::TemplateProblem;
use crate::text::{MAX_TEMPLATE_BYTES, check_spelling};
use crate::{Error, Level, Place, RenderedPrompt, Result};

/// Positive and negative text with placeholders.
///
/// `{label}` is the class's prompt name, `{a label}` the same with its indefinite article, `{domain}`
/// the domain, `{caption}` the caption. The negative text may use `{domain}` only. Spaces are kept as
/// they are, at the ends too.
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
                    Ok(Piece::Text(_) | Piece::Domain) => continue,
                    Ok(_) if field == "positive" => continue,
                    Ok(_) => TemplateProblem::LabelInNegative,
                    Err(problem) => problem,
                };
                return Err(Error::Template { place, problem });
            }
        }
        let template = Self { positive, negative };
        if template.uses(Piece::Label) || template.uses(Piece::LabelWithArticle) {
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
        let problem = if slot != Slot::NoDomain && !level.has_domain() {
            TemplateProblem::DomainAtClassLevel
        } else if slot == Slot::NoDomain && self.uses(Piece::Domain) {
            TemplateProblem::NoValue {
                placeholder: "domain",
                level,
            }
        } else if slot == Slot::AnyDomain && !self.uses(Piece::Domain) {
            TemplateProblem::NoDomain
        } else if self.uses(Piece::Caption) && !level.has_caption() {
            TemplateProblem::NoValue {
                placeholder: "caption",
                level,
            }
        } else if !self.uses(Piece::Caption) && level.has_caption() {
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
        let label = &label.replace('_', " ");
        let domain = domain.map(|domain| domain.replace('_', " "));
        let fill = |text: &str| {
            let mut filled = String::with_capacity(text.len() + label.len() + 32);
            for piece in Pieces(text, 0).flatten() {
                match piece {
                    Piece::Text(text) => filled.push_str(text),
                    Piece::Label => filled.push_str(label),
                    Piece::LabelWithArticle => {
                        filled.push_str(article(label));
                        filled.push(' ');
                        filled.push_str(label);
                    }
                    Piece::Domain => filled.push_str(domain.as_deref().unwrap_or_default()),
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

    fn uses(&self, piece: Piece<'_>) -> bool {
        [&self.positive, &self.negative]
            .into_iter()
            .any(|text| Pieces(text, 0).any(|found| found == Ok(piece)))
    }
}

/// `an` before a vowel letter, else `a`.
fn article(label: &str) -> &'static str {
    match label.chars().next() {
        Some('a' | 'e' | 'i' | 'o' | 'u' | 'A' | 'E' | 'I' | 'O' | 'U') => "an",
        _ => "a",
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
