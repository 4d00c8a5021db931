//! A connection that can be made to end with a reset, or to move a byte at a time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How a connection behaves from now on.
#[derive(Debug, Default)]
pub(super) struct Manner {
    is_reset: AtomicBool,
    /// Milliseconds a byte; 0 is as fast as it goes.
    pace_ms: AtomicU64,
}

impl Manner {
    /// It will end with a reset instead of an orderly close.
    pub(super) fn reset(&self) {
        self.is_reset.store(true, Ordering::SeqCst);
    }

    /// One byte each way in this time.
    pub(super) fn trickle(&self, pace: Duration) {
        let pace = u64::try_from(pace.as_millis()).unwrap();
        self.pace_ms.store(pace, Ordering::SeqCst);
    }

    fn pace(&self) -> Option<Duration> {
        let pace = self.pace_ms.load(Ordering::SeqCst);
        (pace > 0).then(|| Duration::from_millis(pace))
    }
}

/// The connection itself.
pub(super) struct Wire {
    stream: TcpStream,
    manner: Arc<Manner>,
    next_read: Option<Pin<Box<Sleep>>>,
    next_write: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, manner: Arc<Manner>) -> Self {
        Self { stream, manner, next_read: None, next_write: None }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.manner.is_reset.load(Ordering::SeqCst) {
            // Closing with nothing to linger for sends a reset.
            drop(self.stream.set_zero_linger());
        }
    }
}

/// Waits until the next byte may move, and begins the wait for the one after it.
fn wait(slot: &mut Option<Pin<Box<Sleep>>>, pace: Duration, context: &mut Context<'_>) -> Poll<()> {
    let waiting = slot.get_or_insert_with(|| Box::pin(sleep(pace)));
    ready!(waiting.as_mut().poll(context));
    *slot = None;
    Poll::Ready(())
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(pace) = self.manner.pace() else {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        };
        ready!(wait(&mut self.next_read, pace, context));
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut one))?;
        buffer.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(pace) = self.manner.pace() else {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        };
        ready!(wait(&mut self.next_write, pace, context));
        Pin::new(&mut self.stream).poll_write(context, bytes.get(..1).unwrap_or(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
