//! The bytes of a body that is read whole.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::Body;
use hyper::body::Body as _;

/// Why a body was not read whole.
#[derive(Debug)]
pub(crate) enum NotCollected {
    /// It is larger than it may be.
    TooLarge,
    /// It broke off.
    Broken(axum::Error),
}

/// Reads a body of at most `limit` bytes, whatever it announces.
pub(crate) async fn collected(mut body: Body, limit: usize) -> Result<Vec<u8>, NotCollected> {
    let announced = body.size_hint().lower().min(limit as u64);
    let mut all = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(NotCollected::Broken)?.into_data() else {
            continue;
        };
        if data.len() > limit - all.len() {
            return Err(NotCollected::TooLarge);
        }
        if all.is_empty() {
            all.reserve_exact(announced as usize);
        }
        // A frame that is kept would keep the buffer that it lies in, however short it is.
        all.extend_from_slice(&data);
    }
    Ok(all)
}
