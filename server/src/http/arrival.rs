//! A request's body on its way in: at a least pace, with room for what has come, and a turn to work once all of it has.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::sync::Notify;

use super::load::{Overload, Place, Turn};
use super::pace::Pace;

/// Why a body did not come in.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArrivalError {
    #[error("the body came too slowly")]
    Slow,
    #[error(transparent)]
    Overload(#[from] Overload),
    #[error("the body broke off: {0}")]
    Broken(axum::Error),
}

/// A request's turn to work, once it has come.
#[derive(Default)]
pub(super) struct Granted {
    turn: OnceLock<Turn>,
    given: Notify,
}

impl Granted {
    pub(super) fn give(&self, turn: Turn) {
        // There is one turn for one request.
        let _ = self.turn.set(turn);
        self.given.notify_one();
    }

    /// Ends when the turn has come.
    pub(super) async fn came(&self) {
        self.given.notified().await;
    }
}

/// A body whose end is seen once it is the request's turn to work.
pub(super) struct Arriving {
    body: Body,
    place: Arc<Place>,
    /// Runs from the first look at the body.
    pace: Option<Pace>,
    /// Whether the room that the body was announced to need has been taken.
    is_held: bool,
    granted: Arc<Granted>,
    state: State,
}

enum State {
    Arriving,
    Waiting(Pin<Box<dyn Future<Output = Result<Turn, Overload>> + Send>>),
    Ended,
}

impl Arriving {
    pub(super) fn new(body: Body, place: Arc<Place>, granted: Arc<Granted>) -> Self {
        Self {
            body,
            place,
            pace: None,
            is_held: false,
            granted,
            state: State::Arriving,
        }
    }

    fn poll_arrival(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ArrivalError>>> {
        let limits = self.place.limits();
        // The first look has the client told to send what it announced: there has to be room for it.
        if self.pace.is_none()
            && let Some(bytes) = self.body.size_hint().exact()
        {
            if let Err(overload) = self.place.hold(bytes) {
                return Poll::Ready(Some(Err(overload.into())));
            }
            self.is_held = true;
        }
        let pace = self.pace.get_or_insert_with(|| Pace::new(limits));
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                pace.came(bytes);
                let held = match self.is_held {
                    true => Ok(()),
                    false => self.place.hold(bytes),
                };
                Poll::Ready(Some(held.map(|()| frame).map_err(ArrivalError::from)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(ArrivalError::Broken(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(pace.poll_too_slow(cx));
                Poll::Ready(Some(Err(ArrivalError::Slow)))
            }
        }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = ArrivalError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ArrivalError>>> {
        loop {
            match &mut self.state {
                State::Arriving => {
                    let Some(frame) = ready!(self.poll_arrival(cx)) else {
                        let turn = Arc::clone(&self.place).turn();
                        self.state = State::Waiting(Box::pin(turn));
                        continue;
                    };
                    if frame.is_err() {
                        self.state = State::Ended;
                    }
                    return Poll::Ready(Some(frame));
                }
                State::Waiting(turn) => {
                    let turn = ready!(turn.as_mut().poll(cx));
                    self.state = State::Ended;
                    match turn {
                        Ok(turn) => self.granted.give(turn),
                        Err(overload) => return Poll::Ready(Some(Err(overload.into()))),
                    }
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
