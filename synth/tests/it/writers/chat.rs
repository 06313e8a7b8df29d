//! A language model behind an address: a server that answers well, and servers that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use promptfed_synth::service::{ApiKey, Limits, Retry, Service};
use promptfed_synth::writers::chat::Chat;
use promptfed_synth::writers::check::Reason;
use promptfed_synth::writers::gguf::Sampling;
use promptfed_synth::writers::{Writer, WritingSpec, write};
use promptfed_synth::{Error, Reproducible, Result};
use serde_json::{Value, json};

use super::{NEVER, ask, dogs, pets};
use crate::http_server::{Reply, Server};

fn limits() -> Limits {
    Limits {
        retry: Retry {
            attempts: 2,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(5),
        },
        answer_bytes: 1 << 20,
        whole: Duration::from_secs(20),
        ..Limits::default()
    }
}

fn chat(server: &Server, model: Option<&str>, key: Option<ApiKey>) -> Result<Chat> {
    let service = Service::new(&format!("{}/v1", server.url()), key, limits())?;
    Chat::new(service, model, Sampling::default(), &NEVER)
}

fn answer(text: &str) -> Reply {
    let message = json!({ "role": "assistant", "content": text });
    Reply::json(
        &json!({ "id": "x", "object": "chat.completion", "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] }),
    )
}

/// What a server that always answers `text` has written.
fn said(text: impl Into<String>) -> Result<Vec<String>> {
    let text = text.into();
    let server = Server::start(move |_| answer(&text));
    chat(&server, Some("m"), None)?.write(&ask(&dogs(), 0, 4))
}

#[test]
fn the_question_says_everything_and_the_seed_goes_with_it() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/v1/models" => Reply::json(&json!({ "object": "list", "data": [{ "id": "smol" }] })),
        _ => answer(r#"["a photo of a dog, in the snow", "a photo of a dog, on a hill"]"#),
    });
    let mut chat = chat(&server, None, None).unwrap();
    let info = chat.describe().clone();
    assert_eq!(
        (info.name.as_str(), info.reproducible),
        ("chat", Reproducible::Seeded)
    );
    assert_eq!(info.settings["model"], "smol");
    let (topic, good, bad) = (
        dogs(),
        ["a photo of a dog, red".to_owned()],
        ["dog!!".to_owned()],
    );
    let asked = super::Ask {
        good: &good,
        bad: &bad,
        others: &["horse".to_owned()],
        ..ask(&topic, 0, 2)
    };
    assert_eq!(chat.write(&asked).unwrap().len(), 2);
    chat.write(&super::Ask { first: 2, ..asked }).unwrap();
    let requests = server.asked();
    assert_eq!(
        (requests[1].method.as_str(), requests[1].path.as_str()),
        ("POST", "/v1/chat/completions")
    );
    let [first, second] = [1, 2].map(|at| requests[at].json());
    assert_eq!(first["model"], "smol");
    assert_eq!(first["stream"], false);
    assert!(first["temperature"].is_number() && first["max_tokens"].as_u64().unwrap() > 50);
    assert!(first["seed"].as_u64().unwrap() < 1 << 31);
    assert_ne!(first["seed"], second["seed"]);
    let told = first["messages"][1]["content"].as_str().unwrap();
    for part in [
        "a photo of a dog",
        "horse",
        "- a photo of a dog, red",
        "- dog!!",
        "JSON list",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn what_a_model_says_is_checked_like_anything_else() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        answer(&format!(
            "[\"a photo of a dog, view {n}\", \"a photo of a dog and a horse\", \"a photo of a cat\", \"a sketch of a dog, a photo of a horse, {n}\"]"
        ))
    });
    let mut chat = chat(&server, Some("m"), None).unwrap();
    let spec = WritingSpec {
        per_prompt: 2,
        ..WritingSpec::new(pets())
    };
    let written = write(&mut chat, &[], &spec, None, &mut |_| {}, &NEVER).unwrap();
    for prompt in &written.prompts {
        let names_other = prompt.class == "dog" && prompt.prompt.contains("horse");
        assert!(
            prompt.prompt.contains(&prompt.class) && !names_other,
            "{prompt:?}"
        );
    }
    let refused = &written.record.refused;
    assert!(refused.count(Reason::OtherClass) > 0 && refused.count(Reason::ClassMissing) > 0);
    assert!(written.empty_classes().is_empty() || written.empty_classes() == ["horse"]);
}

#[test]
fn hostile_answers_are_bounded_or_named() {
    // Prose, markup and lists of anything are texts that the checks refuse; never more than asked for.
    for text in [
        "",
        "I cannot help with that.",
        "<html><body>Log in</body></html>",
        "[[[[[",
        "[1, 2, {\"a\": 3}]",
    ] {
        assert!(said(text).unwrap().len() <= 4, "{text}");
    }
    let many: Vec<String> = (0..9000).map(|n| format!("a photo of a dog {n}")).collect();
    assert_eq!(said(json!(many).to_string()).unwrap().len(), 4);
    assert_eq!(said("x".repeat(900_000)).unwrap().len(), 1);

    for (reply, part) in [
        (r#"{"choices": []}"#, "choices"),
        (
            r#"{"error": {"message": "model is loading"}}"#,
            "model is loading",
        ),
        ("<html>Log in</html>", "HTML"),
        (r#"{"choices": [{"message""#, "EOF"),
        ("", "empty"),
        (r#"{"choices": [{"message": {"content": 5}}]}"#, "no text"),
    ] {
        let server = Server::start(move |_| Reply::status(200, reply));
        let error = chat(&server, Some("m"), None)
            .unwrap()
            .write(&ask(&dogs(), 0, 2))
            .unwrap_err();
        assert!(matches!(error, Error::Service(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let huge = Server::start(|_| Reply::status(200, vec![b' '; 2 << 20]));
    let endless = Server::start(|_| Reply::Endless);
    for server in [huge, endless] {
        let error = chat(&server, Some("m"), None)
            .unwrap()
            .write(&ask(&dogs(), 0, 2))
            .unwrap_err();
        assert!(error.to_string().contains("larger than"), "{error}");
    }
}

#[test]
fn a_service_that_has_several_models_wants_one_named() {
    let server = Server::start(|_| Reply::json(&json!({ "data": [{ "id": "a" }, { "id": "b" }] })));
    let told = chat(&server, None, None).err().unwrap().to_string();
    assert!(
        told.contains("#MODEL") && told.contains("\"a\", \"b\""),
        "{told}"
    );
    // One that lists none is asked without a name.
    let server = Server::start(|asked| match asked.path.as_str() {
        "/v1/models" => Reply::status(404, "no"),
        _ => answer("a photo of a dog, red"),
    });
    chat(&server, None, None)
        .unwrap()
        .write(&ask(&dogs(), 0, 1))
        .unwrap();
    assert_eq!(server.asked()[1].json().get("model"), None::<&Value>);
}

#[test]
fn the_key_is_sent_and_never_told() {
    const KEY: &str = "sk-very-secret-0123456789";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    let server = Server::start(|asked| {
        let heard = asked.authorization.clone().unwrap_or_default();
        Reply::status(401, format!("{{\"error\": \"bad key {heard}\"}}"))
    });
    let key = ApiKey::from_file(&file).unwrap();
    let mut chat = chat(&server, Some("m"), Some(key)).unwrap();
    let error = chat.write(&ask(&dogs(), 0, 1)).unwrap_err();
    assert_eq!(
        server.asked()[0].authorization.as_deref(),
        Some(format!("Bearer {KEY}").as_str())
    );
    let shown = format!(
        "{error} {error:?} {:?} {}",
        chat.describe(),
        serde_json::to_string(chat.describe()).unwrap()
    );
    assert!(
        shown.contains("401") && !shown.contains("secret"),
        "{shown}"
    );
}
