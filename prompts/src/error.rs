//! What can be wrong with a prompt set, a label space or a template.

use std::fmt;
use std::num::NonZeroU32;

use crate::text::excerpt;
use crate::{ContentHash, Domain, Level, Template};

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong, where, and what to do about it.
///
/// All are errors of whoever made the input; none asks for a retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text breaks the rules for its field.
    #[error("{place}: {problem}")]
    Text {
        /// Which entry and field.
        place: Place,
        /// What is wrong with it.
        problem: TextProblem,
    },
    /// A class index outside the label space.
    #[error(
        "{place}: class {class} is not in label space `{label_space}`, whose classes are 0 to {}; \
         make the prompts with the round's own label space",
        .classes.saturating_sub(1)
    )]
    ClassOutOfRange {
        /// Which entry and field.
        place: Place,
        /// The index found.
        class: u32,
        /// Name of the label space.
        label_space: String,
        /// Number of its classes.
        classes: usize,
    },
    /// The prompts were made for other classes.
    #[error(
        "the prompts were made for the label space with hash {found}, but `{name}` here has hash \
         {expected}; take the classes, their order and their prompt names from the round"
    )]
    WrongLabelSpace {
        /// Hash in the prompt set.
        found: ContentHash,
        /// Hash of the label space given.
        expected: ContentHash,
        /// Name of the label space given.
        name: String,
    },
    /// A format version that this build does not read.
    #[error(
        "the prompts are in format version {found}, and this program reads version {supported}; \
         use the same release of promptfed on both sides"
    )]
    UnknownVersion {
        /// Version found.
        found: u64,
        /// The only version read.
        supported: u16,
    },
    /// The bytes are something else.
    #[error("not a prompt set: {reason}; expected what PromptSet::to_wire writes")]
    NotAPromptSet {
        /// What was seen instead.
        reason: String,
    },
    /// Compressed form over the limit.
    #[error("the prompt set has {bytes} bytes on the wire, above the limit of {max}; split it")]
    WireTooLarge {
        /// Size found.
        bytes: usize,
        /// [`MAX_WIRE_BYTES`](crate::MAX_WIRE_BYTES).
        max: usize,
    },
    /// Canonical form over the limit; on the wire this is found before anything is decompressed.
    #[error(
        "the prompt set has {bytes} bytes when decompressed, above the limit of {max}; split it"
    )]
    DecodedTooLarge {
        /// Size found or announced.
        bytes: u64,
        /// [`MAX_DECODED_BYTES`](crate::MAX_DECODED_BYTES).
        max: usize,
    },
    /// The compressed part is damaged.
    #[error("the compressed part of the prompt set is damaged ({reason}); send it again")]
    Compression {
        /// What the decompressor said.
        reason: String,
    },
    /// Something follows the compressed part.
    #[error("{bytes} bytes follow the end of the prompt set; send it alone")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// The decompressed bytes are not text.
    #[error("{place}: the bytes are not UTF-8 (offset {offset}); write the text as UTF-8")]
    NotUtf8 {
        /// Which entry.
        place: Place,
        /// Offset of the first wrong byte in the decompressed form.
        offset: usize,
    },
    /// Not JSON of the expected shape.
    #[error("line {line}, column {column}, in {path}: {reason}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The character of the line, from 1.
        column: usize,
        /// Which entry and field, as in `prompts[3].class`, counted from 0.
        path: String,
        /// What the JSON reader found and expected.
        reason: String,
    },
    /// Readable, but not in the one form that has this content's hash.
    #[error(
        "{place}: not in canonical form (line {line}); read it with PromptSet::from_json and write it again"
    )]
    NotCanonical {
        /// Which entry differs first.
        place: Place,
        /// Line of the first difference, from 1.
        line: usize,
    },
    /// A set without prompts.
    #[error("the prompt set is empty; it needs at least one prompt")]
    NoPrompts,
    /// Too many distinct prompts.
    #[error("the set has more than {max} distinct prompts; split it")]
    TooManyPrompts {
        /// [`MAX_PROMPTS`](crate::MAX_PROMPTS).
        max: usize,
    },
    /// An instance-level prompt without a caption.
    #[error(
        "{place}: an instance-level prompt needs a caption; choose a captioner or another level"
    )]
    MissingCaption {
        /// Which entry.
        place: Place,
    },
    /// A field that the level does not carry.
    #[error(
        "{place}: a prompt of level `{level}` does not carry this field; remove it or raise the level"
    )]
    FieldAboveLevel {
        /// Which entry and field.
        place: Place,
        /// The set's level.
        level: Level,
    },
    /// Counts on some prompts only, or a count of zero.
    #[error("{place}: counts must be on every prompt and at least 1, or on none")]
    Count {
        /// Which entry.
        place: Place,
    },
    /// Counts that add up to more than `u32::MAX`.
    #[error(
        "{place}: the counts of equal prompts add up to more than {}; split the set",
        u32::MAX
    )]
    CountOverflow {
        /// Which entry.
        place: Place,
    },
    /// No template fits.
    #[error(
        "template set `{set}` has no {level}-level template for {}; it has {level}-level templates for {}; \
         add one to the template file or choose another set",
        prompts_of(.domain.as_ref()),
        if .known.is_empty() { "nothing".to_owned() } else { .known.join(", ") }
    )]
    NoTemplate {
        /// Name of the template set.
        set: String,
        /// Level asked for.
        level: Level,
        /// Domain asked for.
        domain: Option<Domain>,
        /// What the set covers at this level.
        known: Vec<String>,
    },
    /// A prompt set does not contain the template of one of its prompts.
    #[error(
        "{place}: no template of the prompt set is for {what}; write a domain as the templates have it, or add a template",
        what = domain.as_ref().map_or_else(|| "prompts without a domain".to_owned(), |d| format!("domain `{}`", d.as_str()))
    )]
    TemplateMissing {
        /// Which entry.
        place: Place,
        /// The prompt's domain.
        domain: Option<Domain>,
    },
    /// A template that breaks the rules.
    #[error("{place}: {problem}")]
    Template {
        /// Which entry and field.
        place: Place,
        /// What is wrong with it.
        problem: TemplateProblem,
    },
    /// Prompts of another level than the round's.
    #[error(
        "the prompts are of level `{found}`, and the round's are of level `{agreed}`; extract them again for this round"
    )]
    LevelNotAgreed {
        /// The level of the prompts.
        found: Level,
        /// The round's.
        agreed: Level,
    },
    /// More prompts than the round takes of one client.
    #[error(
        "these are {found} prompts, and the round takes {agreed} of each client; extract again with --max-prompts {agreed}"
    )]
    QuotaExceeded {
        /// Distinct prompts of the set.
        found: usize,
        /// The round's quota.
        agreed: u32,
    },
    /// Prompts worded by another template than the round's.
    #[error(
        "the template for {} is {}, and the round's is {}; extract the prompts again for this round",
        prompts_of(.domain.as_ref()), quoted(.found), quoted(.agreed)
    )]
    TemplateNotAgreed {
        /// The prompts that it is for; none for those without a domain.
        domain: Option<Domain>,
        /// Theirs.
        found: Box<Template>,
        /// The round's.
        agreed: Box<Template>,
    },
    /// Sets that do not pool.
    #[error(
        "prompt set {index} cannot be pooled with the first: {what} differs; all clients of a round share it"
    )]
    MergeMismatch {
        /// Position of the set that differs, from 0.
        index: usize,
        /// What differs.
        what: String,
    },
    /// A label space that breaks the rules.
    #[error("label space `{name}`, {place}: {problem}")]
    LabelSpace {
        /// Name of the label space.
        name: Box<str>,
        /// Which entry and field.
        place: Place,
        /// What is wrong with it.
        problem: LabelSpaceProblem,
    },
    /// No built-in of this name.
    #[error("there is no built-in {kind} `{found}`; choose one of {known} or give a file")]
    UnknownBuiltin {
        /// `label space` or `template set`.
        kind: &'static str,
        /// Name asked for.
        found: String,
        /// The names there are.
        known: String,
    },
    /// A TOML file that cannot be read.
    #[error("line {line}, column {column}: not the TOML of a {kind}: {reason}")]
    Toml {
        /// `label space` or `template set`.
        kind: &'static str,
        /// The line, from 1.
        line: usize,
        /// The character of the line, from 1.
        column: usize,
        /// What the TOML reader said.
        reason: String,
    },
    /// Not a level.
    #[error("`{found}` is not a level; choose class, domain or instance")]
    UnknownLevel {
        /// Text found.
        found: String,
    },
    /// Not a round's key.
    #[error("`{found}` is not a round's key; expected 64 lower-case hexadecimal digits")]
    NotAKey {
        /// Text found.
        found: String,
    },
    /// Not a content hash.
    #[error("`{found}` is not a content hash; expected 64 lower-case hexadecimal digits")]
    NotAHash {
        /// Text found.
        found: String,
    },
}

impl Error {
    /// The entry at fault, where there is one.
    pub(crate) fn place_mut(&mut self) -> Option<&mut Place> {
        match self {
            Self::Text { place, .. }
            | Self::ClassOutOfRange { place, .. }
            | Self::MissingCaption { place }
            | Self::FieldAboveLevel { place, .. }
            | Self::Count { place }
            | Self::CountOverflow { place }
            | Self::TemplateMissing { place, .. }
            | Self::Template { place, .. } => Some(place),
            _ => None,
        }
    }
}

/// The prompts of a domain, in a message.
fn prompts_of(domain: Option<&Domain>) -> String {
    domain.map_or_else(
        || "prompts without a domain".to_owned(),
        |domain| format!("domain `{domain}`"),
    )
}

/// A template in a message.
fn quoted(template: &Template) -> String {
    match template.negative() {
        "" => format!("`{}`", template.positive()),
        negative => format!("`{}` without `{negative}`", template.positive()),
    }
}

/// What a TOML reader says of `text`, in one line.
pub(crate) fn toml_error(kind: &'static str, text: &str, error: &toml::de::Error) -> Error {
    let at = error.span().map_or(0, |span| span.start);
    let (line, column) = line_and_column(text, at);
    Error::Toml {
        kind,
        line,
        column,
        reason: excerpt(&in_plain_words(&error.message().replace('\n', " "))),
    }
}

/// What a reader of documents says, without the words of its own trade.
pub(crate) fn in_plain_words(told: &str) -> String {
    told.replace("a sequence", "a list")
        .replace("invalid type: sequence", "invalid type: a list")
        .replace("invalid type: map", "invalid type: a table")
}

/// Line and character of the line, both from 1, of the byte `offset` of a text.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    (
        1 + before.matches('\n').count(),
        1 + before[line..].chars().count(),
    )
}

/// Which entry and field of a document, written `prompts[3].caption`, or `line 12, in prompts[3].caption`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The list (`prompts`, `templates`, `classes`), or the name of a single field.
    pub list: &'static str,
    /// Position in the list, from 0.
    pub index: Option<usize>,
    /// The field of the entry.
    pub field: Option<&'static str>,
    /// The line of the document where the entry begins, from 1, where it is known.
    pub line: Option<NonZeroU32>,
}

impl Place {
    /// A single value outside any list.
    pub const fn single(name: &'static str) -> Self {
        Self {
            list: name,
            index: None,
            field: None,
            line: None,
        }
    }

    /// An entry of a list.
    pub const fn entry(list: &'static str, index: usize) -> Self {
        Self {
            list,
            index: Some(index),
            field: None,
            line: None,
        }
    }

    /// The same place, at one of its fields.
    #[must_use]
    pub const fn field(self, field: &'static str) -> Self {
        Self {
            list: self.list,
            index: self.index,
            field: Some(field),
            line: self.line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, in ")?;
        }
        f.write_str(self.list)?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        match self.field {
            Some(field) => write!(f, ".{field}"),
            None => Ok(()),
        }
    }
}

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextProblem {
    /// Nothing but white space.
    #[error("the text is empty; write something or leave the field out")]
    Empty,
    /// Over the limit, counted in UTF-8 bytes after cleaning.
    #[error("the text has {bytes} bytes, above the limit of {max}; shorten it")]
    TooLong {
        /// Size found.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A control character.
    #[error("control character U+{code:04X} at byte {offset}; remove it")]
    Control {
        /// Its code point.
        code: u32,
        /// Where it stands.
        offset: usize,
    },
    /// A character that reorders or hides text.
    #[error("invisible or text-reordering character U+{code:04X} at byte {offset}; remove it")]
    Invisible {
        /// Its code point.
        code: u32,
        /// Where it stands.
        offset: usize,
    },
    /// Not normalised: accents not composed (NFC), or white space not single and trimmed.
    #[error("the text is not in Unicode form NFC with single spaces; normalise it")]
    NotNormalised,
}

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateProblem {
    /// A brace without its partner.
    #[error("unmatched brace at byte {offset}; braces only enclose placeholders")]
    UnmatchedBrace {
        /// Where it stands.
        offset: usize,
    },
    /// Not a placeholder.
    #[error(
        "unknown placeholder {{{found}}}; use {{label}}, {{a label}}, {{domain}}, {{a domain}} or {{caption}}"
    )]
    UnknownPlaceholder {
        /// What the braces enclose.
        found: String,
    },
    /// The class would be lost.
    #[error("the positive text names no class; use {{label}} or {{a label}}")]
    NoLabel,
    /// The caption would be lost.
    #[error("the positive text of an instance-level template names no caption; use {{caption}}")]
    NoCaption,
    /// A template for any domain that does not say which.
    #[error("the positive text of a template for any domain must use {{domain}} or {{a domain}}")]
    NoDomain,
    /// A placeholder that has no value here.
    #[error("{{{placeholder}}} has no value in this template (level `{level}`); remove it")]
    NoValue {
        /// The placeholder.
        placeholder: &'static str,
        /// The template's level.
        level: Level,
    },
    /// A negative text with the class in it.
    #[error("the negative text may only use {{domain}} and {{a domain}}")]
    LabelInNegative,
    /// Two templates for the same prompts.
    #[error("there is already a template of this level for {domain}")]
    Duplicate {
        /// For what.
        domain: String,
    },
    /// Both named domains and any domain, or an empty list of domains.
    #[error(
        "give either a list of domains, or any_domain = true, or neither, for prompts without a domain"
    )]
    Domains,
    /// A class-level template with domains.
    #[error("a class-level template cannot have domains")]
    DomainAtClassLevel,
}

/// Why a label space is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelSpaceProblem {
    /// A text that breaks the rules.
    #[error("{0}")]
    Text(TextProblem),
    /// A name or alias used twice.
    #[error(
        "`{name}` already means class {class}; make names and aliases distinct (case is ignored)"
    )]
    Duplicate {
        /// The name.
        name: String,
        /// The class that has it.
        class: usize,
    },
    /// Fewer than one class or more than the limit.
    #[error("{count} classes; a label space has 1 to {max}")]
    Size {
        /// Number of classes found.
        count: usize,
        /// [`MAX_CLASSES`](crate::MAX_CLASSES).
        max: usize,
    },
}
