//! An answer's body on its way down, which may not stand still for too long.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::upload::{Watch, without_unfit_trailers};
use crate::idle::IdleTimer;

/// The body of an upstream's answer. Where the upstream says nothing for too long while it is waited for, it is given up, and the
/// body ends in an error. A client that takes its time is not waited for here.
#[derive(Debug)]
pub(super) struct Download<B> {
    body: B,
    upstream: Arc<str>,
    bound: Option<Duration>,
    idle: IdleTimer,
    /// On the request that is answered: its own body is the client's affair while the answer comes.
    request: Watch,
}

impl<B> Download<B> {
    pub(super) fn of(
        body: B,
        upstream: &Arc<str>,
        bound: Option<Duration>,
        request: Watch,
    ) -> Self {
        request.answer_begins();
        Self {
            body,
            upstream: Arc::clone(upstream),
            bound,
            idle: IdleTimer::default(),
            request,
        }
    }
}

impl<B> Body for Download<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.idle.moved();
                Poll::Ready(frame.map(|frame| {
                    let frame = frame.map_err(Into::into)?;
                    Ok(without_unfit_trailers(frame))
                }))
            }
            Poll::Pending => this.idle.poll_over(this.bound, cx).map(|()| {
                let upstream = &*this.upstream;
                tracing::warn!(upstream, "{Silent}");
                Some(Err(Silent.into()))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Download<B> {
    fn drop(&mut self) {
        self.request.answer_is_over();
    }
}

/// Why such a body ended.
#[derive(Clone, Copy, Debug)]
struct Silent;

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upstream fell silent in the middle of its answer")
    }
}

impl Error for Silent {}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Channel};
    use tokio::time;

    use super::*;
    use crate::upstreams::upload::Upload;

    const BOUND: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn an_upstream_may_pause_and_not_fall_silent() {
        let (mut upstream, body) = Channel::<Bytes>::new(1);
        let (_upload, watch) = Upload::watched(axum::body::Body::empty(), None, None, false);
        let mut download = Download::of(body, &"a".into(), Some(BOUND), watch);
        for _ in 0..3 {
            let waits = time::timeout(BOUND * 2 / 3, download.frame()).await;
            assert!(waits.is_err(), "a pause");
            upstream.send_data(Bytes::from_static(b"x")).await.unwrap();
            download.frame().await.unwrap().unwrap();
            // The client takes its time.
            time::sleep(BOUND * 3).await;
        }
        let frame = time::timeout(BOUND * 2, download.frame()).await.unwrap();
        assert!(frame.unwrap().unwrap_err().is::<Silent>());
    }
}
