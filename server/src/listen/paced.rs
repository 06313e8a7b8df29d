//! A socket whose writes may not stand still.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::limits::Limits;

/// A socket that ends with an error where the peer reads too slowly.
pub(super) struct Paced {
    socket: TcpStream,
    time: Duration,
    /// Bytes that the peer has to take within `time`.
    least: u64,
    /// Runs while the peer has not taken all.
    window: Option<Window>,
}

struct Window {
    end: Pin<Box<Sleep>>,
    taken: u64,
}

impl Paced {
    pub(super) fn new(socket: TcpStream, limits: &Limits) -> Self {
        let least = limits.write.as_secs_f64() * limits.bytes_per_second as f64;
        Self {
            socket,
            time: limits.write,
            least: (least as u64).max(1),
            window: None,
        }
    }

    fn count(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                if let Some(window) = &mut self.window {
                    window.taken += *bytes as u64;
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => self.stand_still(cx),
        }
    }

    fn stand_still<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let time = self.time;
        let window = self.window.get_or_insert_with(|| Window {
            end: Box::pin(sleep(time)),
            taken: 0,
        });
        loop {
            ready!(window.end.as_mut().poll(cx));
            if window.taken < self.least {
                let message = "the answer was read too slowly";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
            }
            window.taken = 0;
            window.end.as_mut().reset(Instant::now() + time);
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.count(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.count(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Whoever flushes has nothing left that the system did not take.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.window = None;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
