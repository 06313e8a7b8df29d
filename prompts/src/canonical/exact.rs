//! Reading the exact form from top to bottom: the first entry that is not as it should be ends it, whatever follows. Few bytes of a compressed
//! stream can be millions of entries.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::{
    Agreed, Document, FORMAT, Head, PromptLine, Spelling, TemplateLine, Templates, check_same,
    line, read_template,
};
use crate::json_fault::parse;
use crate::prompt_set::check_label_space;
use crate::prompt_set_builder::Merged;
use crate::{
    ContentHash, Error, LabelSpace, Level, MAX_PROMPTS, Place, Prompt, PromptSet, Result,
    WIRE_VERSION,
};

/// Reads a document that must be what [`write`](super::write) makes of its content.
pub(crate) fn read(json: &str, label_space: &LabelSpace) -> Result<PromptSet> {
    let mut lines = Lines::of(json);
    let (level, found) = read_head(&mut lines, label_space)?;
    let templates = read_templates(&mut lines, level)?;
    let prompts = read_prompts(&mut lines, level, label_space, &templates)?;
    if &json[lines.next..] != "}\n" {
        parse::<Document>(json)?;
        return Err(lines.not_canonical(Place::single("document")));
    }
    let mut merged = Merged::new(prompts.first().is_some_and(|prompt| prompt.count.is_some()));
    for (index, prompt) in prompts.into_iter().enumerate() {
        merged.add(prompt, || Place::entry("prompts", index))?;
    }
    let (set, canonical) = PromptSet::assemble(level, found, templates, merged)?;
    check_same(json, &canonical)?;
    Ok(set)
}

/// A document's lines, and how far it is read.
struct Lines<'a> {
    json: &'a str,
    /// Where the next line begins.
    next: usize,
    /// Length of the line that was read last.
    length: usize,
    /// Its number, from 1.
    number: usize,
}

/// What a reader of JSON has to say is asked for only where that takes no longer than what was read so far.
const LONGEST_TOLD: usize = 64 << 10;

impl<'a> Lines<'a> {
    fn of(json: &'a str) -> Self {
        Self {
            json,
            next: 0,
            length: 0,
            number: 0,
        }
    }

    /// The next line without its end; empty behind the last one.
    fn read(&mut self) -> &'a str {
        let rest = &self.json[self.next..];
        let line = rest.split('\n').next().unwrap_or_default();
        self.next = (self.next + line.len() + 1).min(self.json.len());
        self.length = line.len();
        self.number += 1;
        line
    }

    fn not_canonical(&self, place: Place) -> Error {
        Error::NotCanonical {
            place,
            line: self.number,
        }
    }

    /// What is wrong with the line that was read last: what a reader of JSON says that reads up to there, else that it is not canonical.
    fn refusal(&self, place: Place) -> Error {
        let read = &self.json[..self.next];
        if self.length > LONGEST_TOLD {
            return self.not_canonical(place);
        }
        match serde_json::from_str::<Document>(read) {
            Err(error) if !error.is_eof() || self.next == self.json.len() => {
                match parse::<Document>(read) {
                    Err(told) => told,
                    Ok(_) => self.not_canonical(place),
                }
            }
            _ => self.not_canonical(place),
        }
    }
}

fn read_head(lines: &mut Lines<'_>, label_space: &LabelSpace) -> Result<(Level, ContentHash)> {
    let document = || Place::single("document");
    let head = [
        "{".to_owned(),
        format!("\"format\":\"{FORMAT}\","),
        format!("\"version\":{WIRE_VERSION},"),
    ];
    for expected in head {
        if lines.read() != expected {
            if lines.json.len() <= LONGEST_TOLD {
                parse::<Head>(lines.json)?.check()?;
            }
            return Err(lines.not_canonical(document()));
        }
    }
    let level = Level::ALL
        .into_iter()
        .find(|level| format!("\"level\":\"{level}\",") == peek(lines));
    lines.read();
    let level = level.ok_or_else(|| lines.refusal(document()))?;
    let hash = lines
        .read()
        .strip_prefix("\"label_space\":\"")
        .and_then(|rest| rest.strip_suffix("\","));
    let hash = hash.ok_or_else(|| lines.refusal(document()))?;
    let found = hash.parse()?;
    check_label_space(found, label_space)?;
    if lines.read() != "\"templates\":[" {
        return Err(lines.refusal(document()));
    }
    Ok((level, found))
}

fn peek<'a>(lines: &Lines<'a>) -> &'a str {
    Lines { ..*lines }.read()
}

/// The entries of a list to the line `end`: each is handed over with its index and its text.
fn entries<'a>(
    lines: &mut Lines<'a>,
    list: &'static str,
    end: &str,
    mut entry: impl FnMut(&Lines<'a>, usize, &'a str) -> Result<()>,
) -> Result<()> {
    for index in 0.. {
        if index == MAX_PROMPTS {
            return Err(Error::TooManyPrompts { max: MAX_PROMPTS });
        }
        let text = lines.read();
        let bare = text.strip_suffix(',');
        entry(lines, index, bare.unwrap_or(text))?;
        let is_last = peek(lines) == end;
        if is_last {
            lines.read();
        }
        if is_last == bare.is_some() {
            return Err(lines.refusal(Place::entry(list, index)));
        }
        if is_last {
            break;
        }
    }
    Ok(())
}

/// An entry that stands on one line alone.
fn parsed<T: DeserializeOwned>(lines: &Lines<'_>, text: &str, place: &Place) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(&mut reader).map_err(|_| lines.refusal(place.clone()))?;
    reader
        .end()
        .map_err(|_| lines.not_canonical(place.clone()))?;
    Ok(value)
}

fn read_templates(lines: &mut Lines<'_>, level: Level) -> Result<Templates> {
    let mut templates = BTreeMap::new();
    let mut before: Option<(String, String, bool)> = None;
    entries(lines, "templates", "],", |lines, index, text| {
        let place = Place::entry("templates", index);
        let read: TemplateLine = parsed(lines, text, &place)?;
        let key = (
            read.positive.clone(),
            read.negative.clone(),
            read.domains.is_some(),
        );
        let ascend = read.domains.as_ref().is_none_or(|domains| {
            !domains.is_empty() && domains.is_sorted_by(|one, other| one < other)
        });
        let is_canonical =
            ascend && line(&read) == text && before.as_ref().is_none_or(|before| *before < key);
        read_template(read, &place, level, Spelling::Exact, &mut templates)?;
        before = Some(key);
        if is_canonical {
            Ok(())
        } else {
            Err(lines.not_canonical(place))
        }
    })?;
    if lines.read() != "\"prompts\":[" {
        return Err(lines.refusal(Place::single("document")));
    }
    Ok(templates)
}

fn read_prompts(
    lines: &mut Lines<'_>,
    level: Level,
    label_space: &LabelSpace,
    templates: &Templates,
) -> Result<Vec<Prompt>> {
    let mut prompts: Vec<Prompt> = Vec::new();
    entries(lines, "prompts", "]", |lines, index, text| {
        let place = || Place::entry("prompts", index);
        let read: PromptLine = parsed(lines, text, &place())?;
        let agreed = Agreed {
            level,
            label_space,
            templates,
            counts: match prompts.first() {
                Some(first) => first.count.is_some(),
                None => read.count.is_some(),
            },
            spelling: Spelling::Exact,
        };
        let prompt = agreed.read(read, place)?;
        let key = |prompt: &Prompt| (prompt.class, prompt.domain.clone(), prompt.caption.clone());
        let (class, domain, caption) = (prompt.class, &prompt.domain, &prompt.caption);
        let follows = prompts.last().is_none_or(|last| {
            (last.class, &last.domain, &last.caption) < (class, domain, caption)
        });
        if !follows {
            // The first entry that would stand elsewhere.
            let at = prompts.partition_point(|before| key(before) < key(&prompt));
            let is_repeated = prompts
                .get(at)
                .is_some_and(|there| key(there) == key(&prompt));
            let at = if is_repeated { index } else { at };
            return Err(Error::NotCanonical {
                place: Place::entry("prompts", at),
                line: lines.number - index + at,
            });
        }
        if line(&prompt) != text {
            return Err(lines.not_canonical(place()));
        }
        prompts.push(prompt);
        Ok(())
    })?;
    Ok(prompts)
}
