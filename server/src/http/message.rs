//! Bodies: JSON messages and raw bytes, bounded in size.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use hyper::body::Body as _;
use promptfed_prompts::protocol::MAX_MESSAGE_BYTES;
use serde::de::DeserializeOwned;

use super::arrival::ArrivalError;
use super::problem::{Answer, Refusal};
use crate::listen::{NotCollected, collected};
use crate::state::AppState;

/// A JSON message of at most `MOST` bytes.
pub(super) struct Message<T, const MOST: usize = MAX_MESSAGE_BYTES>(pub(super) T);

impl<T: DeserializeOwned, const MOST: usize> FromRequest<AppState> for Message<T, MOST> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &AppState) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts.headers, "application/json")?;
        let bytes = read(body, MOST).await?;
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
pub(super) async fn read(body: Body, limit: usize) -> Answer<Vec<u8>> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::too_large(limit));
    }
    collected(body, limit).await.map_err(|why| match why {
        NotCollected::TooLarge => Refusal::too_large(limit),
        NotCollected::Broken(error) => broken_off(error),
    })
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
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::{Bytes, Frame};

    use super::*;

    /// So many bytes, none of them announced.
    struct OneByOne(usize);

    impl hyper::body::Body for OneByOne {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let left = self.0.checked_sub(1);
            Poll::Ready(left.map(|left| {
                self.0 = left;
                Ok(Frame::data(Bytes::from_static(b"0")))
            }))
        }
    }

    #[tokio::test]
    async fn a_body_without_announced_length_is_cut_at_the_limit() {
        let of = |bytes| Body::new(OneByOne(bytes));
        assert_eq!(read(of(5), 5).await.unwrap().len(), 5);
        let refusal = read(of(6), 5).await.unwrap_err();
        assert_eq!(refusal.status(), 413);
        let refusal = read(Body::from(vec![0; 6]), 5).await.unwrap_err();
        assert_eq!(refusal.status(), 413);
    }
}
