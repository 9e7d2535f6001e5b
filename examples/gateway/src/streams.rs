//! Streams of HTTP/2 whose clients do not take what they asked for.
//!
//! The socket tells nothing of them: of all streams of a connection one stands still where its client opens no window for it,
//! while the others go on. So each is watched by itself, in the task that hyper spawns for it. One that is given up is reset.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;

use crate::{idle::IdleTimer, reload::InForce};

tokio::task_local! {
    static STREAM: Arc<Stream>;
}

/// As much as is handed to hyper at once: one that is being taken, however slowly, is to be seen moving.
const PORTION: usize = 16_384;

/// Runs the streams of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Streams(pub(crate) InForce);

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(Watched {
            future,
            stream: Arc::default(),
            seen: 0,
            idle: IdleTimer::default(),
            in_force: self.0.clone(),
        });
    }
}

/// What hyper has asked of a stream's body.
#[derive(Debug, Default)]
struct Stream {
    asked: AtomicU64,
    /// Whether it was given a portion, and has asked for no further one.
    is_sending: AtomicBool,
}

pin_project! {
    struct Watched<F> {
        #[pin]
        future: F,
        stream: Arc<Stream>,
        seen: u64,
        idle: IdleTimer,
        in_force: InForce,
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let poll = STREAM.sync_scope(Arc::clone(this.stream), || this.future.poll(cx));
        if poll.is_ready() {
            return Poll::Ready(());
        }
        let asked = this.stream.asked.load(Ordering::Relaxed);
        if *this.seen != asked {
            *this.seen = asked;
            this.idle.moved();
        }
        if !this.stream.is_sending.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let bound = this.in_force.stack().config().timeouts.client_idle.bound();
        this.idle.poll_over(bound, cx)
    }
}

/// The body of an answer, which hyper takes in portions where it is a stream's.
#[derive(Debug)]
pub(crate) struct Portions {
    body: Body,
    rest: Bytes,
    stream: Option<Arc<Stream>>,
}

impl Portions {
    /// Of the stream that the present task is of, if it is of one.
    pub(crate) fn of(body: Body) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            stream: STREAM.try_with(Arc::clone).ok(),
        }
    }
}

impl http_body::Body for Portions {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(stream) = &this.stream else {
            return Pin::new(&mut this.body).poll_frame(cx);
        };
        stream.is_sending.store(false, Ordering::Relaxed);
        stream.asked.fetch_add(1, Ordering::Relaxed);
        let frame = if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                ended => return Poll::Ready(ended),
            }
        } else {
            Frame::data(std::mem::take(&mut this.rest))
        };
        stream.is_sending.store(true, Ordering::Relaxed);
        let frame = frame.map_data(|mut data| {
            this.rest = data.split_off(data.len().min(PORTION));
            data
        });
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_streams_body_comes_in_portions_and_whole() {
        let whole: Vec<u8> = (0..PORTION * 2 + 7).map(|at| at as u8).collect();
        let stream = Arc::<Stream>::default();
        STREAM
            .scope(Arc::clone(&stream), async {
                let mut body = Portions::of(Body::from(whole.clone()));
                let mut came = Vec::new();
                for left in [PORTION + 7, 7, 0] {
                    let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
                    came.extend_from_slice(&data);
                    assert_eq!(body.size_hint().exact(), Some(left as u64));
                    assert_eq!(body.is_end_stream(), left == 0);
                    assert!(stream.is_sending.load(Ordering::Relaxed));
                }
                assert_eq!(came, whole);
                assert!(body.frame().await.is_none());
                assert!(!stream.is_sending.load(Ordering::Relaxed));
            })
            .await;
        let mut other = Portions::of(Body::from(whole.clone()));
        let data = other.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, whole, "of no stream");
    }
}
