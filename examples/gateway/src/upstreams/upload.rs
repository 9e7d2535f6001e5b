//! The request's body on its way up, watched: whose turn is it?
//!
//! The upstream's time to answer must not run while the client is the one that is waited for; a slow upload
//! is no slow upstream.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{sync::Notify, time};

/// The body as the client of hyper gets it: what it is made of, and a [`Watch`] on it.
#[derive(Debug)]
pub(super) struct Upload {
    body: Body,
    state: Arc<State>,
}

/// Sees where an [`Upload`] stands.
#[derive(Debug)]
pub(super) struct Watch {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    moved: Notify,
    waits_for_client: AtomicBool,
    broken: AtomicBool,
}

impl Upload {
    pub(super) fn watched(body: Body) -> (Self, Watch) {
        let state = Arc::<State>::default();
        let watch = Watch {
            state: Arc::clone(&state),
        };
        (Self { body, state }, watch)
    }
}

impl Watch {
    /// Is over when the upstream had its turn for all of `limit`, without taking more of the body.
    pub(super) async fn upstream_is_late(&self, limit: Duration) {
        loop {
            let clients_turn = self.state.waits_for_client.load(Ordering::Acquire);
            tokio::select! {
                biased;
                () = self.state.moved.notified() => {}
                () = time::sleep(limit), if !clients_turn => return,
            }
        }
    }

    /// Whether the body ended in an error: it is the client that failed.
    pub(super) fn client_broke_off(&self) -> bool {
        self.state.broken.load(Ordering::Acquire)
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(Some(Err(_)))) {
            self.state.broken.store(true, Ordering::Release);
        }
        self.state
            .waits_for_client
            .store(frame.is_pending(), Ordering::Release);
        self.state.moved.notify_one();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Channel};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    async fn is_late(watch: &Watch, within: Duration) -> bool {
        time::timeout(within, watch.upstream_is_late(LIMIT))
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn time_runs_only_in_the_upstreams_turn() {
        let (mut client, body) = Channel::<Bytes>::new(1);
        let (mut upload, watch) = Upload::watched(Body::new(body));
        assert!(is_late(&watch, LIMIT * 2).await, "never taken");

        let waits = time::timeout(Duration::from_millis(1), upload.frame()).await;
        assert!(waits.is_err());
        assert!(
            !is_late(&watch, LIMIT * 10).await,
            "the client is waited for"
        );

        client.send_data(Bytes::from_static(b"x")).await.unwrap();
        upload.frame().await.unwrap().unwrap();
        assert!(!is_late(&watch, LIMIT / 2).await);
        assert!(is_late(&watch, LIMIT * 2).await);
    }

    #[tokio::test]
    async fn a_broken_body_is_the_clients() {
        let (client, body) = Channel::<Bytes, std::io::Error>::new(1);
        let (mut upload, watch) = Upload::watched(Body::new(body));
        client.abort(std::io::ErrorKind::UnexpectedEof.into());
        assert!(!watch.client_broke_off());
        assert!(upload.frame().await.unwrap().is_err());
        assert!(watch.client_broke_off());
    }
}
