//! Upstreams that answer before they have all of a request, and leave.
//!
//! An upstream that refuses a long body (413, 401, 404) may close its connection at once. Then the rest cannot be written, over
//! which hyper's client gives the connection up, although the answer is there to be read: to the caller it is a 502, and whoever
//! sends enough long bodies opens the circuit of an upstream that is well. So a failure to write is kept back until all that the
//! upstream has said is read.
//!
//! Not in HTTP/2, where one call's refusal leaves the connection to the others. Its client reads nothing while what it has to write
//! first cannot be written, nor after the end: it would be kept waiting for what nobody reads, with all that is asked over it.
//! Nor in tunnels, of which the upstream may have ended its half long before.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::time::{self, Sleep};

/// How long the rest of an answer may take to be read. It is there, but its client may be slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that is read to its end before it is given up for what cannot be written.
#[derive(Debug)]
pub(super) struct LastWords<S> {
    socket: S,
    are_heard: bool,
    unheard: Option<Unheard>,
}

/// Why nothing more can be written. Whoever wants to waits for the end of what there is to read.
#[derive(Debug)]
struct Unheard {
    kind: io::ErrorKind,
    patience: Pin<Box<Sleep>>,
    writer: Option<Waker>,
    is_over: bool,
}

impl<S> LastWords<S> {
    /// Of a connection that calls of HTTP/1.1 go over, one after another.
    pub(super) const fn heard(socket: S) -> Self {
        Self {
            socket,
            are_heard: true,
            unheard: None,
        }
    }

    /// Of any other, which fails when nothing can be written.
    pub(super) const fn unheard(socket: S) -> Self {
        Self {
            socket,
            are_heard: false,
            unheard: None,
        }
    }

    /// What a write came to.
    fn written<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error)) if self.are_heard && is_gone(error.kind()) => {
                let unheard = self.unheard.insert(Unheard {
                    kind: error.kind(),
                    patience: Box::pin(time::sleep(PATIENCE)),
                    writer: None,
                    is_over: false,
                });
                unheard.poll_over(cx).map(Err)
            }
            written => written,
        }
    }
}

/// What a write meets where the other end has left.
fn is_gone(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};

    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset)
}

impl Unheard {
    /// The failure, when there is nothing left to read.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if !self.is_over && self.patience.as_mut().poll(cx).is_pending() {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(self.kind.into())
    }

    fn is_read(&mut self) {
        self.is_over = true;
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

impl<S: Read + Unpin> Read for LastWords<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            socket, unheard, ..
        } = &mut *self;
        let Some(unheard) = unheard else {
            return Pin::new(socket).poll_read(cx, buffer);
        };
        // By way of a buffer of our own, since how much came is to be known.
        let mut bytes = [0; 4_096];
        let room = buffer.remaining().min(bytes.len());
        let mut came = ReadBuf::new(bytes.get_mut(..room).unwrap_or_default());
        let read = ready!(Pin::new(socket).poll_read(cx, came.unfilled()));
        if read.is_err() || (came.filled().is_empty() && room > 0) {
            unheard.is_read();
        }
        buffer.put_slice(came.filled());
        Poll::Ready(read)
    }
}

impl<S: Write + Unpin> Write for LastWords<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(unheard) = &mut self.unheard {
            return unheard.poll_over(cx).map(Err);
        }
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.written(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(unheard) = &mut self.unheard {
            return unheard.poll_over(cx).map(Err);
        }
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.written(flushed, cx)
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
        if let Some(unheard) = &mut self.unheard {
            return unheard.poll_over(cx).map(Err);
        }
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, buffers);
        self.written(written, cx)
    }
}

impl<S: Connection> Connection for LastWords<S> {
    fn connected(&self) -> Connected {
        self.socket.connected()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::Full;
    use hyper::client::conn::http2;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// One whose other end said something, and left.
    async fn left(said: &[u8]) -> LastWords<TokioIo<DuplexStream>> {
        let (near, mut far) = duplex(64);
        far.write_all(said).await.unwrap();
        LastWords::heard(TokioIo::new(near))
    }

    async fn write(
        socket: &mut LastWords<TokioIo<DuplexStream>>,
        within: Duration,
    ) -> Option<io::ErrorKind> {
        let written = poll_fn(|cx| Pin::new(&mut *socket).poll_write(cx, b"more"));
        let written = time::timeout(within, written).await.ok()?;
        Some(written.unwrap_err().kind())
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_is_read_before_nothing_can_be_written() {
        let mut socket = left(b"big").await;
        assert_eq!(write(&mut socket, PATIENCE / 2).await, None);
        let mut socket = TokioIo::new(socket);
        let mut said = String::new();
        socket.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "big");
        let gone = write(socket.inner_mut(), PATIENCE / 4).await;
        assert_eq!(gone, Some(io::ErrorKind::BrokenPipe));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_is_not_waited_for_without_an_end() {
        let mut socket = left(b"big").await;
        assert_eq!(write(&mut socket, PATIENCE / 2).await, None);
        let gone = write(&mut socket, PATIENCE).await;
        assert_eq!(gone, Some(io::ErrorKind::BrokenPipe));
    }

    /// The client of HTTP/2 must answer a ping before it reads on, and has no room for that behind a body that is not taken.
    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_before_it_has_written_is_not_kept_waiting() {
        let (near, mut far) = duplex(1_024);
        let socket = LastWords::unheard(TokioIo::new(near));
        let handshake = http2::handshake(TokioExecutor::new(), socket);
        let (mut sender, connection) = handshake.await.unwrap();
        let connection = tokio::spawn(connection);
        let body = Full::new(Bytes::from_static(&[0; 32_768]));
        let answer =
            tokio::spawn(sender.send_request(Request::post("http://a/").body(body).unwrap()));

        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        far.write_all(&settings).await.unwrap();
        // More than comes before the body.
        far.read_exact(&mut [0; 300]).await.unwrap();
        time::sleep(Duration::from_secs(1)).await;
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        far.write_all(&ping).await.unwrap();
        time::sleep(Duration::from_secs(1)).await;
        drop(far);

        let over = async {
            (
                answer.await.unwrap().is_err(),
                connection.await.unwrap().is_err(),
            )
        };
        assert_eq!(time::timeout(PATIENCE / 2, over).await, Ok((true, true)));
    }
}
