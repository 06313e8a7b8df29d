//! Prompts from a quantised language model in a GGUF file, on this machine.

mod header;
mod model;
mod sampling;
mod tokenizer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use rand_chacha::ChaCha20Rng;

pub use self::sampling::Sampling;

use self::model::Model;
use self::tokenizer::ChatTokenizer;
use super::{Ask, Writer, WriterInfo, instruction};
use crate::hash::hash_files;
use crate::{Error, Reproducible, Result};

/// A language model of Llama's architecture that was trained on ChatML, such as SmolLM2-135M-Instruct.
///
/// The model is told its task (with examples, if there are any), and its answer is begun with the topic's opening, so that it
/// goes on from there. Each candidate is drawn from its own seed. The same seed gives the same text on one machine.
pub struct Gguf {
    model: Model,
    tokenizer: ChatTokenizer,
    sampling: Sampling,
    info: WriterInfo,
}

impl Gguf {
    /// Loads a model. Its tokenizer is the `tokenizer.json` beside it, else that of the file, where it is SmolLM's.
    ///
    /// # Errors
    /// A file that is no GGUF file, is damaged, or holds another architecture or another chat format; the message says
    /// what would do.
    pub fn load(file: &Path, sampling: Sampling) -> Result<Self> {
        if let Some(reason) = sampling.fault() {
            return Err(Error::WriterSetting(reason));
        }
        let beside = file.with_file_name("tokenizer.json");
        let beside = beside.is_file().then_some(beside);
        let (content, mut reader) = header::open(file)?;
        let tokenizer = match &beside {
            Some(json) => ChatTokenizer::read(json)?,
            None => ChatTokenizer::of(file, &content)?,
        };
        let model = Model::load(file, content, &mut reader, tokenizer.size())?;
        let hash = hash_files(std::iter::once(file).chain(beside.as_deref()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let info = WriterInfo {
            name: "gguf".to_owned(),
            version: "1".to_owned(),
            reproducible: Reproducible::Exact,
            hash: Some(hash),
            settings: BTreeMap::from([
                ("model".to_owned(), name.into_owned()),
                ("temperature".to_owned(), sampling.temperature.to_string()),
                ("top_p".to_owned(), sampling.top_p.to_string()),
                ("max_tokens".to_owned(), sampling.max_tokens.to_string()),
            ]),
        };
        Ok(Self {
            model,
            tokenizer,
            sampling,
            info,
        })
    }

    /// The ids of a text in which no word is special.
    ///
    /// # Errors
    /// A text that the tokenizer does not take.
    pub fn token_ids(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.encode(text)
    }

    /// The ids of a conversation, with the answer begun: what the model reads before it writes.
    ///
    /// # Errors
    /// A text that the tokenizer does not take.
    pub fn conversation(&self, system: &str, user: &str, answer: &str) -> Result<Vec<u32>> {
        self.tokenizer.conversation(system, user, answer)
    }

    /// The logits of what follows `ids`, and of what follows each of `then` after them: one vector over all ids more than
    /// `then` is long.
    ///
    /// # Errors
    /// More ids than the model reads, or a computation that fails.
    pub fn logits_along(&self, ids: &[u32], then: &[u32]) -> Result<Vec<Vec<f32>>> {
        let mut started = self.start(ids, then.len() as u32)?;
        let mut all = vec![started.logits];
        for (place, id) in (ids.len()..).zip(then) {
            all.push(started.model.read(&[*id], place)?);
        }
        Ok(all)
    }

    /// Reads the ids that all candidates of a topic begin with.
    fn start(&self, ids: &[u32], tokens: u32) -> Result<Started> {
        let all = ids.len() + tokens as usize;
        if all > self.model.longest() {
            return Err(Error::WriterSetting(format!(
                "the writer {}: task, examples and answer take {all} tokens and the model reads {}; give fewer or shorter examples",
                self.info.name,
                self.model.longest()
            )));
        }
        let mut model = self.model.clone();
        let logits = model.read(ids, 0)?;
        Ok(Started {
            model,
            logits,
            ids: ids.len(),
        })
    }

    /// Draws what follows, up to an end, a new line, or the most tokens.
    fn go_on(
        &self,
        started: &Started,
        sampling: Sampling,
        stream: &mut ChaCha20Rng,
    ) -> Result<Continuation> {
        let mut model = started.model.clone();
        let mut logits = started.logits.clone();
        let mut ids: Vec<u32> = Vec::new();
        loop {
            let next = sampling.draw(&logits, stream);
            if self.tokenizer.is_end(next) {
                return Ok(Continuation {
                    ids,
                    is_whole: true,
                });
            }
            ids.push(next);
            if self.tokenizer.decode(&ids)?.contains('\n') {
                return Ok(Continuation {
                    ids,
                    is_whole: true,
                });
            }
            if ids.len() >= sampling.max_tokens as usize {
                return Ok(Continuation {
                    ids,
                    is_whole: false,
                });
            }
            logits = model.read(&[next], started.ids + ids.len() - 1)?;
        }
    }
}

/// A model that has read what all candidates of a topic begin with.
struct Started {
    model: Model,
    /// For what comes next.
    logits: Vec<f32>,
    /// Ids read.
    ids: usize,
}

struct Continuation {
    ids: Vec<u32>,
    /// Whether the model came to an end by itself.
    is_whole: bool,
}

impl Writer for Gguf {
    fn describe(&self) -> &WriterInfo {
        &self.info
    }

    fn write(&mut self, ask: &Ask<'_>) -> Result<Vec<String>> {
        // The task is the same however many are asked for. A small model that is told what not to name, names it.
        let task = instruction::task(&Ask {
            wanted: 1,
            others: &[],
            ..*ask
        });
        let opening = &ask.topic.opening;
        let ids = self.conversation(instruction::SYSTEM, &task, &format!("{opening},"))?;
        let started = self.start(&ids, self.sampling.max_tokens)?;
        let mut texts = Vec::with_capacity(ask.wanted);
        for number in ask.first..ask.first + ask.wanted as u64 {
            if ask.cancel.load(Ordering::Relaxed) {
                break;
            }
            let mut stream = ask.seed_of(number).stream();
            let Continuation { ids, is_whole } =
                self.go_on(&started, self.sampling, &mut stream)?;
            let continuation = self.tokenizer.decode(&ids)?;
            texts.push(format!("{opening}, {}", one_line(&continuation, is_whole)));
        }
        Ok(texts)
    }
}

/// The first line; where the model was cut off, up to its last comma or full stop, else its last whole word.
fn one_line(text: &str, is_whole: bool) -> &str {
    let line = text.split('\n').next().unwrap_or_default();
    let line = if is_whole {
        line
    } else {
        let end = line.rfind([',', '.', ';']).or_else(|| line.rfind(' '));
        end.map_or("", |end| &line[..end])
    };
    line.trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | ',' | ';' | '"'))
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn lines_end_where_something_ends() {
        for (text, is_whole, line) in [
            (" in the snow.", true, "in the snow"),
            (" in the snow\nThe next", true, "in the snow"),
            (" in the snow, under a tr", false, "in the snow"),
            (" in the sn", false, "in the"),
            ("\n", true, ""),
            ("snow", false, ""),
        ] {
            assert_eq!(one_line(text, is_whole), line);
        }
    }
}
