//! A file as an answer's body, read in small pieces as they are sent.

use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes that are read at once; an answer holds few more.
const PIECE_BYTES: u64 = 64 << 10;

/// The next bytes of an open file, as many as it was made for.
pub(super) struct FileBody {
    left: u64,
    state: State,
}

enum State {
    Between(File),
    Reading(JoinHandle<io::Result<(File, Bytes)>>),
    Ended,
}

impl FileBody {
    pub(super) fn new(file: File, length: u64) -> Self {
        Self {
            left: length,
            state: State::Between(file),
        }
    }
}

fn piece(mut file: File, bytes: u64) -> io::Result<(File, Bytes)> {
    let mut piece = Vec::with_capacity(bytes as usize);
    file.by_ref().take(bytes).read_to_end(&mut piece)?;
    if piece.len() as u64 == bytes {
        Ok((file, piece.into()))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Between(_) if self.left == 0 => return Poll::Ready(None),
                State::Between(file) => {
                    let bytes = self.left.min(PIECE_BYTES);
                    self.state = State::Reading(spawn_blocking(move || piece(file, bytes)));
                }
                State::Reading(mut reading) => {
                    let Poll::Ready(read) = Pin::new(&mut reading).poll(cx) else {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    return Poll::Ready(Some(match read.map_err(io::Error::other).flatten() {
                        Ok((file, piece)) => {
                            self.left -= piece.len() as u64;
                            self.state = State::Between(file);
                            Ok(Frame::data(piece))
                        }
                        Err(error) => {
                            tracing::error!(%error, "a file could not be sent to its end");
                            Err(error)
                        }
                    }));
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::body::{Body, to_bytes};

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        file
    }

    #[tokio::test]
    async fn all_of_a_file_comes() {
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let body = Body::new(FileBody::new(file(&bytes), bytes.len() as u64));
        assert_eq!(to_bytes(body, usize::MAX).await.unwrap(), bytes);
        let empty = Body::new(FileBody::new(file(b""), 0));
        assert!(to_bytes(empty, usize::MAX).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_file_that_was_cut_off_ends_in_an_error() {
        let body = Body::new(FileBody::new(file(&[0; 70_000]), 80_000));
        assert!(to_bytes(body, usize::MAX).await.is_err());
    }
}
