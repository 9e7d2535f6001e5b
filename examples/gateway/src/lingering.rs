//! Clients that are still sending when their answer is complete.
//!
//! A request that is refused is answered before its body has come, and then its connection ends. A socket that is closed over what it has
//! not read resets the other end, which may lose the answer over it, or never look for it (RFC 9112 §9.6). So the sending half is
//! closed first, and what still comes is read and forgotten: until the client has read the answer and closes, and not for long.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::Version;
use http_body::{Body as _, Frame, SizeHint};
use hyper::{
    body::Incoming,
    rt::{Read, ReadBuf, ReadBufCursor, Write},
    upgrade::OnUpgrade,
};
use tokio::time::{self, Sleep};

/// For how long what comes is read, in all. Much of a body that nobody wants comes in that time.
const BOUND: Duration = Duration::from_secs(5);

/// A socket that is not closed over what is unread.
#[derive(Debug)]
pub(crate) struct Lingering<S> {
    socket: S,
    unread: Unread,
    /// Since its sending half is closed.
    rest: Option<Pin<Box<Sleep>>>,
}

/// Whether there may be more of the present request than was read. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Unread(Arc<AtomicBool>);

impl Unread {
    /// So it is before a request's head is read whole, which it may never be.
    pub(crate) fn head() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// A request whose head is read, and whose body is watched until it is read, too. What follows one that wants a tunnel is none
    /// of ours, and in HTTP/2 what is unread of a stream ends with it.
    pub(crate) fn watched(&self, request: http::Request<Incoming>) -> http::Request<Body> {
        let has_more = !request.body().is_end_stream()
            && request.version() <= Version::HTTP_11
            && request.extensions().get::<OnUpgrade>().is_none();
        self.0.store(has_more, Ordering::Relaxed);
        request.map(|body| match has_more {
            true => Body::new(Watched {
                body,
                unread: self.clone(),
            }),
            false => Body::new(body),
        })
    }
}

/// A request's body, which tells when it is read.
#[derive(Debug)]
struct Watched {
    body: Incoming,
    unread: Unread,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        // Whoever reads may stop where the body says that it is at its end.
        if frame.is_none() || self.body.is_end_stream() {
            self.unread.0.store(false, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<S> Lingering<S> {
    pub(crate) const fn of(socket: S, unread: Unread) -> Self {
        Self {
            socket,
            unread,
            rest: None,
        }
    }
}

impl<S: Read + Unpin> Read for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: Read + Write + Unpin> Write for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self {
            socket,
            unread,
            rest,
        } = &mut *self;
        let rest = match rest {
            Some(rest) => rest,
            none => {
                ready!(Pin::new(&mut *socket).poll_shutdown(cx))?;
                if !unread.0.load(Ordering::Relaxed) {
                    return Poll::Ready(Ok(()));
                }
                none.insert(Box::pin(time::sleep(BOUND)))
            }
        };
        // First, for a client that sends as fast as is read would never let its turn come.
        if rest.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; 8_192];
        loop {
            let mut came = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut *socket).poll_read(cx, came.unfilled()));
            if read.is_err() || came.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, buffers)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_still_comes_is_read_until_the_client_closes_and_not_for_long() {
        for leaves in [true, false] {
            let (near, mut far) = duplex(64);
            let mut socket = Lingering::of(TokioIo::new(near), Unread::head());
            let closed =
                tokio::spawn(
                    async move { poll_fn(|cx| Pin::new(&mut socket).poll_shutdown(cx)).await },
                );
            // More than there is room for.
            far.write_all(&[b'x'; 1_000]).await.unwrap();
            assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0, "it has closed");
            time::sleep(BOUND / 2).await;
            assert!(!closed.is_finished());
            let left = leaves.then(|| drop(far));
            let within = if left.is_some() { BOUND / 4 } else { BOUND };
            time::timeout(within, closed)
                .await
                .unwrap()
                .unwrap()
                .unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_is_read_nobody_is_waited_for() {
        let (near, _far) = duplex(64);
        let unread = Unread::head();
        unread.0.store(false, Ordering::Relaxed);
        let mut socket = Lingering::of(TokioIo::new(near), unread);
        let closed = poll_fn(|cx| Pin::new(&mut socket).poll_shutdown(cx));
        time::timeout(Duration::ZERO, closed)
            .await
            .unwrap()
            .unwrap();
    }
}
