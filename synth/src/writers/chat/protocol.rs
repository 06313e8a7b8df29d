//! The messages of `chat/completions`, as far as they are used.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<&'a str>,
    pub(super) messages: [Turn<'a>; 2],
    pub(super) temperature: f32,
    pub(super) top_p: f32,
    pub(super) max_tokens: u32,
    pub(super) seed: u32,
    pub(super) stream: bool,
}

/// What one side says.
#[derive(Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> Turn<'a> {
    pub(super) fn system(content: &'a str) -> Self {
        Self {
            role: "system",
            content,
        }
    }

    pub(super) fn user(content: &'a str) -> Self {
        Self {
            role: "user",
            content,
        }
    }
}

/// The text of the first choice.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Document")]
pub(super) struct Answer(String);

impl Answer {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

#[derive(Deserialize)]
struct Document {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Value,
}

impl TryFrom<Document> for Answer {
    type Error = &'static str;

    fn try_from(document: Document) -> Result<Self, Self::Error> {
        let first = document
            .choices
            .into_iter()
            .next()
            .ok_or("its list of choices is empty")?;
        match first.message.content {
            Value::String(text) => Ok(Self(text)),
            // A model that used up its tokens before it said anything.
            Value::Null => Ok(Self(String::new())),
            Value::Array(parts) => {
                let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
                Ok(Self(texts.collect()))
            }
            _ => Err("its content is no text"),
        }
    }
}

/// The models of a service.
#[derive(Deserialize)]
pub(super) struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl Models {
    pub(super) fn names(self) -> Vec<String> {
        self.data.into_iter().map(|model| model.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_in_three_forms() {
        let read = |content: &str| {
            let json = format!(
                r#"{{"choices": [{{"message": {{"role": "assistant", "content": {content}}}, "finish_reason": "stop"}}], "x": 1}}"#
            );
            serde_json::from_str::<Answer>(&json)
        };
        assert_eq!(read("\"a\"").unwrap().text(), "a");
        assert_eq!(read("null").unwrap().text(), "");
        let parts = r#"[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]"#;
        assert_eq!(read(parts).unwrap().text(), "ab");
        assert!(read("3").is_err());
        for json in [
            "{}",
            r#"{"choices": []}"#,
            r#"{"error": {"message": "no"}}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<Answer>(json).is_err(), "{json}");
        }
    }
}
