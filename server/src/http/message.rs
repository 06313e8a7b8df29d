//! Bodies: JSON messages and raw bytes, bounded in size.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use promptfed_prompts::protocol::MAX_MESSAGE_BYTES;
use serde::de::DeserializeOwned;

use super::problem::{Answer, Refusal};
use crate::state::AppState;

/// A JSON message.
pub(super) struct Message<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Message<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &AppState) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts.headers, "application/json")?;
        let bytes = read(&parts.headers, body, MAX_MESSAGE_BYTES).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let remedy = "write the message as GET /openapi.json describes it";
            Refusal::malformed(format!("the JSON message cannot be read: {error}"), remedy)
        })
    }
}

/// Refuses a body of another content type; parameters such as a character set are ignored.
pub(super) fn check_media_type(headers: &HeaderMap, expected: &str) -> Answer<()> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = given
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case(expected) => Ok(()),
        _ => Err(Refusal::media_type(expected)),
    }
}

/// Reads a body of at most `limit` bytes; one that announces more is refused before it is read.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Answer<Vec<u8>> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limit as u64) {
        return Err(Refusal::too_large(limit));
    }
    match to_bytes(body, limit).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) if is_length_limit(&error) => Err(Refusal::too_large(limit)),
        Err(error) => {
            let message = format!("the body broke off: {error}");
            Err(Refusal::malformed(message, "send the request again"))
        }
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| source.to_string() == "length limit exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_without_announced_length_is_cut_at_the_limit() {
        let headers = HeaderMap::new();
        assert_eq!(
            read(&headers, Body::from(vec![0; 5]), 5)
                .await
                .unwrap()
                .len(),
            5
        );
        let refusal = read(&headers, Body::from(vec![0; 6]), 5).await.unwrap_err();
        assert_eq!(refusal.status(), 413);
    }
}
