//! A stream that gives up on a peer who takes nothing, or next to nothing, of what is written.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream whose writes fail when the peer takes too little of what waits for it.
///
/// Once a write has to wait, a window begins. When it ends and a write still waits, the peer must have taken its
/// minimum in it: one byte now and then is no progress.
pub(crate) struct Impatient<T> {
    stream: T,
    patience: Duration,
    /// Bytes to be taken in a window.
    wanted: u64,
    window: Option<Window>,
}

struct Window {
    end: Pin<Box<Sleep>>,
    taken: u64,
}

impl<T> Impatient<T> {
    /// Gives the peer so many bytes a second to take, in the mean of `patience`.
    pub(crate) fn new(stream: T, patience: Duration, bytes_a_second_min: u64) -> Self {
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let wanted = (bytes_a_second_min.saturating_mul(patience_ms) / 1_000).max(1);
        Self { stream, patience, wanted, window: None }
    }

    /// Judges a write by what the peer took.
    fn judge(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written
            && let Some(window) = &mut self.window
        {
            window.taken = window.taken.saturating_add(u64::try_from(*bytes).unwrap_or(u64::MAX));
        }
        if written.is_pending() { self.wait(cx) } else { written }
    }

    /// Waits for the peer, until the end of a window in which it took too little.
    fn wait<R>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        loop {
            let until = Instant::now() + self.patience;
            let window =
                self.window.get_or_insert_with(|| Window { end: Box::pin(tokio::time::sleep_until(until)), taken: 0 });
            match window.end.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if window.taken < self.wanted => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Ready(()) => self.window = None,
            }
        }
    }

    /// Ends the window when everything was handed over: then nobody waits for the peer.
    fn flushed(&mut self, cx: &mut Context<'_>, flushed: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if flushed.is_ready() {
            self.window = None;
            return flushed;
        }
        self.wait(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Impatient<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Impatient<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(cx);
        self.flushed(cx, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.flushed(cx, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (near, mut far) = tokio::io::duplex(8);
        let mut stream = Impatient::new(near, Duration::from_millis(20), 0);
        stream.write_all(b"12345678").await.unwrap();
        let stalled = stream.write_all(b"9").await.unwrap_err();
        assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
        let mut taken = [0; 8];
        far.read_exact(&mut taken).await.unwrap();
        stream.write_all(b"9").await.unwrap();
        far.write_all(b"ab").await.unwrap();
        let mut heard = [0; 2];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ab");
    }

    #[tokio::test(start_paused = true)]
    async fn one_byte_a_second_is_no_progress_and_a_slow_peer_that_keeps_its_pace_is_served() {
        for (bytes_at_a_time, served) in [(1, false), (100, true)] {
            let (near, mut far) = tokio::io::duplex(1_000);
            let mut stream = Impatient::new(near, Duration::from_secs(30), 50);
            let taking = tokio::spawn(async move {
                let mut piece = vec![0; bytes_at_a_time];
                while far.read_exact(&mut piece).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            let written = stream.write_all(&[7; 10_000]).await;
            assert_eq!(written.is_ok(), served, "{bytes_at_a_time} bytes a second");
            drop(stream);
            taking.await.unwrap();
        }
    }
}
