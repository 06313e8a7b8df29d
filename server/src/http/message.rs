//! Bodies: JSON messages and raw bytes, bounded in size.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use hyper::body::Body as _;
use promptfed_prompts::protocol::MAX_MESSAGE_BYTES;
use serde::de::DeserializeOwned;

use super::arrival::ArrivalError;
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
pub(super) async fn read(headers: &HeaderMap, mut body: Body, limit: usize) -> Answer<Vec<u8>> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limit as u64) {
        return Err(Refusal::too_large(limit));
    }
    let mut all = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(broken_off)?.into_data() else {
            continue;
        };
        if data.len() > limit - all.len() {
            return Err(Refusal::too_large(limit));
        }
        if all.is_empty() {
            // It is at most the limit.
            all.reserve_exact(announced.map_or(0, |bytes| bytes as usize));
        }
        // A frame that is kept would keep the buffer that it lies in, however short it is.
        all.extend_from_slice(&data);
    }
    Ok(all)
}

fn broken_off(error: axum::Error) -> Refusal {
    match arrival_error(&error) {
        Some(arrival) => arrival.into(),
        None => {
            let message = format!("the body broke off: {error}");
            Refusal::malformed(message, "send the request again")
        }
    }
}

/// Why a body did not come in, below what only passes that on.
fn arrival_error(error: &axum::Error) -> Option<&ArrivalError> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source()).find_map(|e| e.downcast_ref())
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
