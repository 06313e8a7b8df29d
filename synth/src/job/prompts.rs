//! Where a job's prompts come from, one at a time.

use std::io::{BufRead, BufReader, Cursor};
use std::path::{Path, PathBuf};

use promptfed_files::{FileError, NotText};
use promptfed_prompts::{ClassIndex, ContentHash, Domain, LabelSpace, PromptSet, RenderedPrompt};
use serde::Deserialize;

use super::prompt_list::{self, ListFormat};
use crate::{Error, Result};

/// The longest line of a prompt file that is read, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 64 * 1024;

/// The longest prompt file in UTF-16 that is read, which is held in memory, in bytes.
const MAX_UTF16_BYTES: u64 = 256 << 20;

/// The prompts of a job, with the label space their classes belong to.
#[derive(Clone, Debug)]
pub enum PromptSource {
    /// The pooled prompts of a round.
    Set {
        /// The prompts, with the templates that render them.
        prompts: PromptSet,
        /// The label space of the prompts.
        label_space: LabelSpace,
    },
    /// One rendered prompt, of the label space's first class.
    One {
        /// The prompt.
        text: RenderedPrompt,
        /// The label space of its class.
        label_space: LabelSpace,
    },
    /// A file of rendered prompts, read line by line and never held in memory (unless it is UTF-16): one JSON object per line,
    /// `{"class": .., "domain": .., "prompt": .., "negative": .., "count": ..}`. `class` is a name or alias of the label space;
    /// `domain`, `negative` and `count` may be left out.
    JsonLines {
        /// The file.
        path: PathBuf,
        /// The label space of the classes.
        label_space: LabelSpace,
    },
    /// A plain list of rendered prompts, read like [`JsonLines`](PromptSource::JsonLines).
    List {
        /// The file.
        path: PathBuf,
        /// How it is written.
        format: ListFormat,
        /// The label space of its classes; without any, all prompts are of the first class.
        label_space: LabelSpace,
    },
}

/// One prompt as a job uses it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobPrompt {
    pub(crate) class: ClassIndex,
    pub(crate) domain: Option<Domain>,
    pub(crate) text: RenderedPrompt,
    /// Private images behind this prompt, where the clients released the number.
    pub(crate) count: Option<u32>,
}

impl PromptSource {
    /// The label space the prompts' classes belong to.
    pub fn label_space(&self) -> &LabelSpace {
        match self {
            PromptSource::Set { label_space, .. }
            | PromptSource::One { label_space, .. }
            | PromptSource::JsonLines { label_space, .. }
            | PromptSource::List { label_space, .. } => label_space,
        }
    }

    /// Hash of the prompts: of the set's canonical form with its templates, of the one prompt's texts, or of the file's bytes.
    pub(crate) fn hash(&self) -> Result<ContentHash> {
        match self {
            PromptSource::Set { prompts, .. } => Ok(prompts.hash()),
            PromptSource::One { text, .. } => {
                let mut bytes = (text.positive.len() as u64).to_le_bytes().to_vec();
                bytes.extend_from_slice(text.positive.as_bytes());
                bytes.extend_from_slice(text.negative.as_bytes());
                Ok(ContentHash::of(&bytes))
            }
            PromptSource::JsonLines { path, .. } | PromptSource::List { path, .. } => {
                let mut hasher = blake3::Hasher::new();
                let mut file = promptfed_files::open_regular(path).map_err(|e| fault(path, e))?;
                std::io::copy(&mut file, &mut hasher)?;
                Ok(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
            }
        }
    }

    /// The text of every prompt of a file of rendered prompts, from the first to the last; none for a prompt set, which says
    /// itself what it holds.
    ///
    /// # Errors
    /// A file or a line of it that cannot be read.
    pub fn each_text(&self, mut look: impl FnMut(&RenderedPrompt)) -> Result<()> {
        if matches!(self, PromptSource::Set { .. }) {
            return Ok(());
        }
        for prompt in self.read()? {
            look(&prompt?.text);
        }
        Ok(())
    }

    /// Reads the prompts from the first to the last.
    pub(crate) fn read(&self) -> Result<Box<dyn Iterator<Item = Result<JobPrompt>> + '_>> {
        Ok(match self {
            PromptSource::Set {
                prompts,
                label_space,
            } => Box::new(prompts.prompts().iter().map(move |prompt| {
                Ok(JobPrompt {
                    class: prompt.class,
                    domain: prompt.domain.clone(),
                    text: prompts.render(prompt, label_space)?,
                    count: prompt.count,
                })
            })),
            PromptSource::One { text, .. } => Box::new(std::iter::once(Ok(JobPrompt {
                class: ClassIndex::new(0),
                domain: None,
                text: text.clone(),
                count: None,
            }))),
            PromptSource::JsonLines { path, label_space } => {
                Box::new(JsonLines::open(path, label_space)?)
            }
            PromptSource::List {
                path,
                format,
                label_space,
            } => prompt_list::read(path, *format, label_space)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `class` and `prompt`")]
struct Line {
    class: String,
    domain: Option<String>,
    prompt: String,
    #[serde(default)]
    negative: String,
    count: Option<u32>,
}

struct JsonLines<'a> {
    lines: Lines<'a>,
    label_space: &'a LabelSpace,
}

impl<'a> JsonLines<'a> {
    fn open(path: &'a Path, label_space: &'a LabelSpace) -> Result<Self> {
        Ok(Self {
            lines: Lines::open(path)?,
            label_space,
        })
    }

    fn fault(&self, reason: impl Into<String>) -> Error {
        self.lines.fault(reason)
    }

    fn parse(&self) -> Result<JobPrompt> {
        let line: Line = serde_json::from_str(self.lines.text()?).map_err(|e| {
            self.fault(format!(
                "{e}; a line is {{\"class\", \"domain\"?, \"prompt\", \"negative\"?, \"count\"?}}"
            ))
        })?;
        let class = self.label_space.index_of(&line.class).ok_or_else(|| {
            let space = self.label_space.name();
            self.fault(format!(
                "class {:?} is not in label space {space:?}; use one of its names or aliases",
                line.class
            ))
        })?;
        if line.prompt.trim().is_empty() {
            return Err(self.fault("the prompt is empty; write what the images show"));
        }
        let domain = match &line.domain {
            Some(text) => Some(
                Domain::try_from(text.as_str()).map_err(|e| self.fault(format!("domain: {e}")))?,
            ),
            None => None,
        };
        let text = RenderedPrompt {
            positive: line.prompt,
            negative: line.negative,
        };
        Ok(JobPrompt {
            class,
            domain,
            text,
            count: line.count,
        })
    }
}

/// The lines of a text file, one in memory at a time.
pub(super) struct Lines<'a> {
    path: &'a Path,
    reader: Box<dyn BufRead>,
    line: u64,
    buffer: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        Ok(Self {
            path,
            reader: lines_of(path)?,
            line: 0,
            buffer: Vec::new(),
        })
    }

    /// A fault of the line that was read last.
    pub(super) fn fault(&self, reason: impl Into<String>) -> Error {
        Error::PromptLine {
            file: self.path.to_owned(),
            line: self.line,
            reason: reason.into(),
        }
    }

    /// Goes to the next line that is not empty; `false` at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool> {
        while self.fill()? {
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The line.
    pub(super) fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.buffer).map_err(|e| {
            self.fault(format!(
                "byte {:#04x} is not UTF-8 (perhaps Windows-1252 or Latin-1); save the file as UTF-8",
                self.buffer[e.valid_up_to()]
            ))
        })
    }

    /// Reads one line into the buffer; `false` at the end of the file.
    fn fill(&mut self) -> Result<bool> {
        use std::io::Read;
        self.buffer.clear();
        self.line += 1;
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut self.buffer)?;
        if read > MAX_LINE_BYTES {
            return Err(self.fault(format!(
                "the line is longer than {MAX_LINE_BYTES} bytes; shorten its texts"
            )));
        }
        Ok(read > 0)
    }
}

/// A file that cannot be read, as a fault of the line where it begins.
fn fault(path: &Path, error: FileError) -> Error {
    let (line, reason) = match error {
        FileError::Io(error) => return Error::Io(error),
        FileError::NotFound { .. } => return error.into(),
        FileError::NotText { line, reason, .. } => (line as u64, reason),
        other => (1, other.to_string()),
    };
    Error::PromptLine {
        file: path.to_owned(),
        line,
        reason,
    }
}

/// A file's text in UTF-8 without a byte order mark.
pub(super) fn lines_of(path: &Path) -> Result<Box<dyn BufRead>> {
    let file = promptfed_files::open_regular(path).map_err(|e| fault(path, e))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let start = reader.fill_buf()?;
    if let Some(NotText { line, reason }) = promptfed_files::unmarked_utf16(start) {
        return Err(Error::PromptLine {
            file: path.to_owned(),
            line: line as u64,
            reason,
        });
    }
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        let text = promptfed_files::read_text(path, MAX_UTF16_BYTES).map_err(|e| fault(path, e))?;
        return Ok(Box::new(Cursor::new(text.into_bytes())));
    }
    if start.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    Ok(Box::new(reader))
}

impl Iterator for JsonLines<'_> {
    type Item = Result<JobPrompt>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.lines.advance() {
            Ok(false) => None,
            Ok(true) => Some(self.parse()),
            Err(error) => Some(Err(error)),
        }
    }
}
