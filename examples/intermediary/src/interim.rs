//! Interim responses (1xx), such as 103 Early Hints, which a proxy must hand on (RFC 9110 §15.2).
//!
//! A service answers once, and hyper's server writes what it answers. So what comes before the answer is written by the
//! [`Wire`] between hyper and the socket: when hyper asks to flush, nothing of an earlier message is left in its buffer,
//! and the answer is held back until the interim responses are out.
//!
//! A connection has one [`Interim`], which its [`Wire`] and its requests share. Each request [begins](Interim::begin) to wait for
//! its answer; the [`Exchange`] that this gives travels with it to where interim responses [come](Exchange::send), and the
//! answer is held [back](Before) until they are written.
//!
//! This is for HTTP/1.1 on both sides. HTTP/1.0 knows no interim responses; in HTTP/2 hyper neither takes them from a service nor
//! tells of those that came. 100 is not handed on but said by hyper's server itself, when the body is read.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use http::{HeaderMap, StatusCode, Version};
use hyper::rt::{Read, ReadBufCursor, Write};
use pin_project_lite::pin_project;

use crate::hop_by_hop;

/// How many bytes may wait for a client that reads slowly. What is more is dropped: nothing depends on it.
const MOST: usize = 64 * 1024;

/// What a connection's [`Wire`] and its requests share.
#[derive(Clone, Debug, Default)]
pub struct Interim(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether there may be something to write: most flushes need not ask further.
    waits: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts requests, of which a connection answers one after another.
    exchange: u64,
    /// Whether the present one waits for its answer.
    open: bool,
    bytes: Vec<u8>,
    written: usize,
    /// Who polls the connection.
    connection: Option<Waker>,
}

impl Interim {
    /// A request begins to wait for its answer. `None` where its sender understands no interim responses, or cannot be
    /// sent any.
    #[must_use]
    pub fn begin(&self, version: Version) -> Option<Exchange> {
        if version != Version::HTTP_11 {
            return None;
        }
        let mut state = self.lock();
        state.exchange += 1;
        state.open = true;
        Some(Exchange {
            number: state.exchange,
            interim: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that may be sent interim responses until it is answered. It travels with the request.
#[derive(Clone, Debug)]
pub struct Exchange {
    interim: Interim,
    number: u64,
}

impl Exchange {
    /// Has an interim response written, if the request still waits for its answer; without the fields that are for one hop.
    /// For 100 this does nothing.
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) {
        if status == StatusCode::CONTINUE {
            return;
        }
        let message = write(status, headers);
        let mut state = self.interim.lock();
        let is_waiting = state.open && state.exchange == self.number;
        if is_waiting && state.bytes.len() + message.len() <= MOST {
            state.bytes.extend_from_slice(&message);
            self.interim.0.waits.store(true, Ordering::Release);
            if let Some(connection) = state.connection.take() {
                connection.wake();
            }
        }
    }
}

pin_project! {
    /// An answer, when all that was sent before it is written. It is kept once, however large it is, and not moved.
    #[derive(Debug)]
    #[must_use = "a future does nothing unless it is polled"]
    pub struct Before<F: Future> {
        exchange: Option<Exchange>,
        #[pin]
        answer: F,
        // What waits until the interim responses are written.
        output: Option<F::Output>,
    }
}

impl<F: Future> Before<F> {
    /// The answer to a request that may be sent interim responses, if there is an `exchange`.
    pub const fn of(exchange: Option<Exchange>, answer: F) -> Self {
        Self {
            exchange,
            answer,
            output: None,
        }
    }
}

impl<F: Future> Future for Before<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(exchange) = this.exchange else {
            return this.answer.poll(cx);
        };
        let output = match this.output.take() {
            Some(output) => output,
            None => match this.answer.poll(cx) {
                Poll::Ready(output) => output,
                Poll::Pending => {
                    // What is sent later must wake the connection; what was sent before this is written when hyper
                    // flushes, which it does next.
                    exchange.interim.lock().register(cx);
                    return Poll::Pending;
                }
            },
        };
        if exchange.interim.lock().poll_end(cx).is_pending() {
            *this.output = Some(output);
            return Poll::Pending;
        }
        Poll::Ready(output)
    }
}

impl State {
    fn register(&mut self, cx: &Context<'_>) {
        match &mut self.connection {
            Some(connection) => connection.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Ready when all that was sent is written; nothing is sent any more.
    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.open = false;
        if self.bytes.is_empty() {
            return Poll::Ready(());
        }
        self.register(cx);
        Poll::Pending
    }
}

fn write(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut headers = headers.clone();
    hop_by_hop::strip(&mut headers);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut message = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &headers {
        message.extend_from_slice(name.as_str().as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    message
}

/// A connection's socket, into which interim responses are written between hyper's own messages.
#[derive(Debug)]
pub struct Wire<S> {
    socket: S,
    interim: Interim,
}

impl<S> Wire<S> {
    /// The socket of the connection that `interim` is of.
    pub const fn of(socket: S, interim: Interim) -> Self {
        Self { socket, interim }
    }
}

impl<S: Read + Unpin> Read for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin> Write for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, interim } = &mut *self;
        if !interim.0.waits.load(Ordering::Acquire) {
            return Pin::new(socket).poll_flush(cx);
        }
        let mut state = interim.lock();
        while state.written < state.bytes.len() {
            let left = state.bytes.get(state.written..).unwrap_or_default();
            let written = ready!(Pin::new(&mut *socket).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.written += written;
        }
        (state.bytes, state.written) = (Vec::new(), 0);
        interim.0.waits.store(false, Ordering::Release);
        // The answer may have been held back for this.
        if let Some(connection) = state.connection.take() {
            connection.wake();
        }
        drop(state);
        Pin::new(socket).poll_flush(cx)
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
        Pin::new(&mut self.socket).poll_write_vectored(cx, buffers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that takes no more than so many bytes at once.
    #[derive(Debug, Default)]
    struct Narrow {
        takes: usize,
        asked: usize,
        has: Vec<u8>,
    }

    impl Write for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.asked += 1;
            assert!(self.asked < 100, "it is asked for ever");
            let taken = bytes.len().min(self.takes);
            self.has.extend(bytes.iter().take(taken));
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Flushes a socket after an interim response was sent.
    fn flushed(takes: usize) -> (io::Result<()>, Vec<u8>) {
        let interim = Interim::default();
        let exchange = interim.begin(Version::HTTP_11).unwrap();
        exchange.send(StatusCode::PROCESSING, &HeaderMap::new());
        let narrow = Narrow {
            takes,
            ..Narrow::default()
        };
        let mut wire = Wire::of(narrow, interim);
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut wire).poll_flush(&mut cx) {
            Poll::Ready(flushed) => (flushed, wire.socket.has),
            Poll::Pending => panic!("the socket is ready"),
        }
    }

    #[test]
    fn all_of_it_is_written_however_little_a_socket_takes() {
        for takes in [3, 1_000] {
            let (flushed, has) = flushed(takes);
            assert!(flushed.is_ok());
            assert_eq!(has, b"HTTP/1.1 102 Processing\r\n\r\n");
        }
    }

    #[test]
    fn a_socket_that_takes_nothing_is_broken() {
        let (flushed, _) = flushed(0);
        assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::WriteZero);
    }
}
