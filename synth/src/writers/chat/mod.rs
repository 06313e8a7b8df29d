//! Prompts from a language model behind an address that speaks OpenAI's `chat/completions`: llama.cpp's server, vLLM, Ollama,
//! hosted ones.

mod candidates;
mod protocol;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use self::candidates::candidates;
use self::protocol::{Answer, Models, Question, Turn};
use super::gguf::Sampling;
use super::{Ask, Writer, WriterInfo, instruction};
use crate::service::{Fault, Service};
use crate::{Error, Reproducible, Result};

/// What is asked for beside the prompts' own tokens: brackets, quotes, a number for each.
const TOKENS_AROUND: u32 = 8;

/// A language model of a service.
///
/// It is asked for several prompts at a time, as a JSON list; lists, objects and plain lines are understood. What it writes
/// is as reproducible as the service is: it is sent a seed for every request.
pub struct Chat {
    service: Service,
    model: Option<String>,
    sampling: Sampling,
    info: WriterInfo,
}

impl Chat {
    /// Prepares to ask `model` of a service, whose address ends where `chat/completions` would follow
    /// (`http://127.0.0.1:8080/v1`). Without a name, the service is asked for the models that it has.
    ///
    /// # Errors
    /// A service that cannot be reached or refuses, or has several models of which none was named.
    pub fn new(
        service: Service,
        model: Option<&str>,
        sampling: Sampling,
        cancel: &AtomicBool,
    ) -> Result<Self> {
        if let Some(reason) = sampling.fault() {
            return Err(Error::WriterSetting(reason));
        }
        let model = match model {
            Some(model) => Some(model.to_owned()),
            None => only_model(&service, cancel)?,
        };
        let mut settings = BTreeMap::from([
            ("address".to_owned(), service.address().to_string()),
            ("temperature".to_owned(), sampling.temperature.to_string()),
            ("top_p".to_owned(), sampling.top_p.to_string()),
            ("max_tokens".to_owned(), sampling.max_tokens.to_string()),
        ]);
        settings.extend(model.clone().map(|model| ("model".to_owned(), model)));
        let info = WriterInfo {
            name: "chat".to_owned(),
            version: "1".to_owned(),
            reproducible: Reproducible::Seeded,
            hash: None,
            settings,
        };
        Ok(Self {
            service,
            model,
            sampling,
            info,
        })
    }
}

/// The only model of a service; none where it does not list them.
fn only_model(service: &Service, cancel: &AtomicBool) -> Result<Option<String>> {
    let models: Models = match service.get("models", cancel) {
        Ok(models) => models,
        Err(error) => {
            return match error.fault {
                Fault::Status {
                    status: 404 | 405 | 501,
                    ..
                } => Ok(None),
                _ => Err(error.into()),
            };
        }
    };
    let names = models.names();
    match names.as_slice() {
        [] => Ok(None),
        [model] => Ok(Some(model.clone())),
        several => {
            let shown: Vec<String> = several
                .iter()
                .take(10)
                .map(|name| format!("{name:?}"))
                .collect();
            Err(Error::WriterSetting(format!(
                "the writer chat: {} has {} models; name one behind the address, as in chat:URL#MODEL: {}",
                service.address(),
                several.len(),
                shown.join(", ")
            )))
        }
    }
}

impl Writer for Chat {
    fn describe(&self) -> &WriterInfo {
        &self.info
    }

    fn write(&mut self, ask: &Ask<'_>) -> Result<Vec<String>> {
        let task = format!(
            "{}Answer with a JSON list of strings and nothing else.",
            instruction::task(ask)
        );
        let each = self.sampling.max_tokens + TOKENS_AROUND;
        let question = Question {
            model: self.model.as_deref(),
            messages: [Turn::system(instruction::SYSTEM), Turn::user(&task)],
            temperature: self.sampling.temperature,
            top_p: self.sampling.top_p,
            max_tokens: each.saturating_mul(u32::try_from(ask.wanted).unwrap_or(u32::MAX)),
            seed: ask.seed_of(ask.first).number(),
            stream: false,
        };
        let answer: Answer = self
            .service
            .post("chat/completions", &question, ask.cancel)?;
        Ok(candidates(answer.text(), ask.wanted))
    }
}
