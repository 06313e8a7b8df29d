//! Reading what a service answers: never more than a limit, never a text that is too long or dangerous to print.

use std::time::{Duration, SystemTime};

use reqwest::Response;
use reqwest::header::LOCATION;
use serde::de::DeserializeOwned;

use super::error::Fault;
use super::key::ApiKey;
use super::pause::asked_for;

/// The longest text of a service in a message, in characters.
const EXCERPT: usize = 200;

/// The longest answer that is looked at where only an excerpt is wanted, in bytes.
const OF_FAULT: u64 = 64 << 10;

/// What a service says when an account has no credit left: no waiting helps.
const SPENT: [&str; 2] = ["insufficient_quota", "billing_hard_limit_reached"];

/// The body of a good answer, or what is wrong.
pub(super) async fn read(
    response: Response,
    limit: u64,
    whole: Duration,
    key: Option<&ApiKey>,
) -> Result<Vec<u8>, Fault> {
    let status = response.status();
    if status.is_success() {
        return body(response, limit, whole).await;
    }
    if status.is_redirection() {
        let to = response.headers().get(LOCATION);
        let to = to.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        return Err(Fault::Redirected {
            status: status.as_u16(),
            to: excerpt(to.unwrap_or_default().as_bytes(), key),
        });
    }
    let retry_after = asked_for(response.headers(), SystemTime::now());
    // A fault's own body may be cut short without harm.
    let said = beginning(response).await;
    let text = String::from_utf8_lossy(&said);
    Err(Fault::Status {
        status: status.as_u16(),
        is_spent: SPENT.iter().any(|word| text.contains(word)),
        excerpt: excerpt(&said, key),
        retry_after,
    })
}

async fn body(mut response: Response, limit: u64, whole: Duration) -> Result<Vec<u8>, Fault> {
    if response
        .content_length()
        .is_some_and(|length| length > limit)
    {
        return Err(Fault::TooLarge { limit });
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|e| broken(&e, whole))? {
        if (body.len() + part.len()) as u64 > limit {
            return Err(Fault::TooLarge { limit });
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(part)) = response.chunk().await {
        body.extend_from_slice(&part);
        if body.len() as u64 > OF_FAULT {
            break;
        }
    }
    body
}

/// Reads an answer as JSON of a form.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8], key: Option<&ApiKey>) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        let start = body.trim_ascii_start();
        let reason = if start.starts_with(b"<") {
            "a page of HTML and not JSON".to_owned()
        } else if start.is_empty() {
            "it is empty".to_owned()
        } else {
            excerpt(error.to_string().as_bytes(), key)
        };
        Fault::Unexpected {
            reason,
            excerpt: excerpt(body, key),
        }
    })
}

/// The last cause of an error: a request's own message holds its address, which is told elsewhere.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// What TLS found wrong, however often it is wrapped.
fn tls_fault(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(tls) = cause.downcast_ref() {
            return Some(tls);
        }
        // An error of the system's kind hides the one that it wraps from its sources.
        let wrapped = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        cause = match wrapped {
            Some(wrapped) => wrapped,
            None => cause.source()?,
        };
    }
}

/// What went wrong with a request that had no whole answer.
pub(super) fn broken(error: &reqwest::Error, whole: Duration) -> Fault {
    if error.is_timeout() {
        return Fault::TimedOut { limit: whole };
    }
    let told = innermost(error);
    match tls_fault(error) {
        Some(rustls::Error::InvalidCertificate(_)) => Fault::Identity(told),
        Some(rustls::Error::InvalidMessage(_)) => Fault::NotTls(told),
        _ if error.is_connect() => Fault::Unreachable(told),
        _ => Fault::Broken(told),
    }
}

/// The beginning of a text as one line without control characters and without the key.
pub(super) fn excerpt(body: &[u8], key: Option<&ApiKey>) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(OF_FAULT as usize)]);
    let text = key.map_or_else(|| text.clone().into_owned(), |key| key.scrub(&text));
    let visible = |c: char| {
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if hidden { ' ' } else { c }
    };
    let line: String = text.chars().map(visible).collect();
    let words: Vec<&str> = line.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_lines() {
        assert_eq!(excerpt(b"", None), "");
        assert_eq!(excerpt(b" a\r\n\x1b[31mb\xff", None), "a [31mb\u{fffd}");
        let long = excerpt("\u{e9}".repeat(100_000).as_bytes(), None);
        assert_eq!(long.chars().count(), EXCERPT + 3);
    }

    #[test]
    fn what_is_not_json_says_what_it_is() {
        for (body, part) in [
            ("<html><title>Log in</title>", "HTML"),
            ("  ", "empty"),
            ("{\"data\": ", "EOF"),
        ] {
            let fault = parse::<serde_json::Value>(body.as_bytes(), None).unwrap_err();
            assert!(fault.to_string().contains(part), "{fault}");
            assert!(!fault.is_transient());
        }
    }
}
