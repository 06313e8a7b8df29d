//! What a check has found.

use serde::Serialize;
use serde_json::{Map, Value};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    check: &'static str,
    pub(super) state: State,
    /// What was found, in one sentence.
    text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// What was found, for programs.
    #[serde(skip_serializing_if = "Map::is_empty")]
    values: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    /// It works, but not as it should.
    Warning,
    /// It does not work.
    Fault,
}

impl Finding {
    pub(super) fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            text: text.into(),
            remedy: None,
            values: Map::new(),
        }
    }

    pub(super) fn warning(
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Warning,
            remedy: Some(remedy.into()),
            ..Self::ok(check, text)
        }
    }

    pub(super) fn fault(
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Fault,
            remedy: Some(remedy.into()),
            ..Self::ok(check, text)
        }
    }

    /// Of an error, whose message says itself what to do.
    pub(super) fn error(check: &'static str, error: &dyn std::fmt::Display) -> Self {
        Self {
            state: State::Fault,
            ..Self::ok(check, error.to_string())
        }
    }

    /// Adds a value for programs.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// A line for people, and one with the remedy.
    pub(super) fn lines(&self) -> String {
        let state = match self.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Fault => "fault",
        };
        let Self { check, text, .. } = self;
        let remedy = self.remedy.as_deref();
        let remedy = remedy.map_or(String::new(), |remedy| format!("\n         {remedy}"));
        format!("{state:<8} {check}: {text}{remedy}")
    }
}
