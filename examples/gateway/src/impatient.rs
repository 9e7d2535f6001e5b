//! Clients that do not take what they asked for.
//!
//! A socket that takes nothing is one whose client does not read, or is gone without having said so: it would keep its
//! connection, and that of the upstream which answers it, for ever. An answer in which there is nothing to take at present, as
//! in a quiet stream of events, keeps nobody waiting and is not meant.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::idle::IdleTimer;

/// A socket that is broken where the other end takes nothing for too long.
#[derive(Debug)]
pub(crate) struct Impatient<S, L> {
    socket: S,
    /// For how long it may, if there is a bound. It is asked when something waits, so a reload holds for connections that are
    /// there.
    bound: L,
    idle: IdleTimer,
}

impl<S, L: Fn() -> Option<Duration>> Impatient<S, L> {
    pub(crate) fn of(socket: S, bound: L) -> Self {
        Self {
            socket,
            bound,
            idle: IdleTimer::default(),
        }
    }

    fn watched<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.idle.moved();
            return written;
        }
        let bound = (self.bound)();
        let over = self.idle.poll_over(bound, cx);
        over.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: Read + Unpin, L: Unpin> Read for Impatient<S, L> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin, L: Fn() -> Option<Duration> + Unpin> Write for Impatient<S, L> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.watched(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, buffers);
        self.watched(written, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncReadExt as _, duplex},
        time,
    };

    use super::*;

    const BOUND: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_for_too_long_is_given_up() {
        let (near, mut far) = duplex(4);
        let mut socket = Impatient::of(TokioIo::new(near), || Some(BOUND));
        let mut write = async |within: Duration| {
            let written = poll_fn(|cx| Pin::new(&mut socket).poll_write(cx, b"four"));
            time::timeout(within, written).await
        };
        assert_eq!(write(BOUND).await.unwrap().unwrap(), 4);
        for _ in 0..3 {
            assert!(write(BOUND / 2).await.is_err(), "there is time");
            far.read_exact(&mut [0; 4]).await.unwrap();
            assert_eq!(write(BOUND).await.unwrap().unwrap(), 4);
            // Nothing is there to be taken, and that is nobody's fault.
            time::sleep(BOUND * 5).await;
        }
        let error = write(BOUND * 2).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
