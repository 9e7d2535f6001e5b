//! The request's body on its way up, watched: whose turn is it?
//!
//! 1. The upstream's time to answer must not run while the client is the one that is waited for; a slow upload is no slow
//!    upstream.
//!    Nor does such an upload make the call a slow one to the circuit.
//! 2. The client has a time of its own, for each pause in its body.
//! 3. While an answer comes no client is hurried: a stream of both directions may have nothing to say in one of them. How
//!    long the other may be silent is bounded where the answer is read.

use std::{
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
use http_body::{Body as _, Frame, SizeHint};
use intermediary::hop_by_hop;
use tokio::{sync::Notify, time};

use super::{
    expect::{Expectation, Held, Verdict},
    waited::Waited,
};
use crate::{failure::Failure, idle::IdleTimer};

/// The body as the client of hyper gets it: what it is made of, and a [`Watch`] on it.
#[derive(Debug)]
pub(super) struct Upload {
    body: Body,
    held: Option<Held>,
    /// How long the client may pause.
    bound: Option<Duration>,
    idle: IdleTimer,
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
    answering: AtomicBool,
    broken: AtomicBool,
    late: AtomicBool,
    expectation: Option<Expectation>,
    waited: Option<Waited>,
}

impl Upload {
    /// Of a client that may pause for so long, and may have asked whether its body is wanted. For how long it is waited for is
    /// known where it is `timed`.
    pub(super) fn watched(
        body: Body,
        bound: Option<Duration>,
        expectation: Option<Expectation>,
        timed: bool,
    ) -> (Self, Watch) {
        let timed = timed && !body.is_end_stream();
        let state = Arc::new(State {
            expectation: expectation.clone(),
            waited: timed.then(Waited::not_yet),
            ..State::default()
        });
        let watch = Watch {
            state: Arc::clone(&state),
        };
        let upload = Self {
            body,
            held: expectation.map(Held::until),
            bound,
            idle: IdleTimer::default(),
            state,
        };
        (upload, watch)
    }

    fn fails(&self, why: io::ErrorKind) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.state.broken.store(true, Ordering::Release);
        let error = io::Error::from(why);
        Poll::Ready(Some(Err(axum::Error::new(error))))
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

    /// Where the body ended in an error it is the client that failed, and this is how.
    pub(super) fn clients_failure(&self) -> Option<Failure> {
        if self.state.late.load(Ordering::Acquire) {
            Some(Failure::ClientLate)
        } else if self.state.broken.load(Ordering::Acquire) {
            Some(Failure::BadBody)
        } else {
            None
        }
    }

    /// For how long the client was waited for until now, if that was timed.
    pub(super) fn waited(&self) -> Option<Duration> {
        self.state.waited.as_ref().map(Waited::until_now)
    }

    /// The answer's head is there.
    pub(super) fn answer_begins(&self) {
        self.state.answering.store(true, Ordering::Release);
        if let Some(expectation) = &self.state.expectation {
            expectation.is_answered();
        }
    }

    /// All of the answer is there, or nobody reads it any more.
    pub(super) fn answer_is_over(&self) {
        self.state.answering.store(false, Ordering::Release);
        if let Some(expectation) = &self.state.expectation {
            expectation.is_over();
        }
    }
}

/// A frame that may go to the other side.
pub(super) fn without_unfit_trailers(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        hop_by_hop::strip_trailers(trailers);
    }
    frame
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Some(held) = &mut this.held {
            // It is the upstream that is waited for.
            match ready!(held.poll(cx)) {
                Verdict::Wanted => this.held = None,
                Verdict::Unwanted => return this.fails(io::ErrorKind::ConnectionAborted),
            }
        }
        let frame = Pin::new(&mut this.body)
            .poll_frame(cx)
            .map_ok(without_unfit_trailers);
        if matches!(frame, Poll::Ready(Some(Err(_)))) {
            this.state.broken.store(true, Ordering::Release);
        }
        this.state
            .waits_for_client
            .store(frame.is_pending(), Ordering::Release);
        if let Some(waited) = &this.state.waited {
            waited.is(frame.is_pending());
        }
        this.state.moved.notify_one();
        if frame.is_ready() {
            this.idle.moved();
            return frame;
        }
        while this.idle.poll_over(this.bound, cx).is_ready() {
            if !this.state.answering.load(Ordering::Acquire) {
                this.state.late.store(true, Ordering::Release);
                return this.fails(io::ErrorKind::TimedOut);
            }
            // Once more: when the answer is over, nobody else looks after who never ends.
            this.idle.moved();
        }
        Poll::Pending
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
        let (mut upload, watch) = Upload::watched(Body::new(body), None, None, false);
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
        let (mut upload, watch) = Upload::watched(Body::new(body), None, None, false);
        client.abort(std::io::ErrorKind::UnexpectedEof.into());
        assert_eq!(watch.clients_failure(), None);
        assert!(upload.frame().await.unwrap().is_err());
        assert_eq!(watch.clients_failure(), Some(Failure::BadBody));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_pause_and_not_leave_off() {
        let (mut client, body) = Channel::<Bytes>::new(1);
        let (mut upload, watch) = Upload::watched(Body::new(body), Some(LIMIT), None, false);
        for _ in 0..3 {
            let waits = time::timeout(LIMIT * 2 / 3, upload.frame()).await;
            assert!(waits.is_err(), "a pause");
            client.send_data(Bytes::from_static(b"x")).await.unwrap();
            upload.frame().await.unwrap().unwrap();
        }
        assert_eq!(watch.clients_failure(), None);
        let frame = time::timeout(LIMIT * 2, upload.frame()).await.unwrap();
        assert!(frame.unwrap().is_err());
        assert_eq!(watch.clients_failure(), Some(Failure::ClientLate));
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_is_answered_a_client_may_pause_for_as_long_as_it_likes() {
        let (_client, body) = Channel::<Bytes>::new(1);
        let (mut upload, watch) = Upload::watched(Body::new(body), Some(LIMIT), None, false);
        watch.answer_begins();
        let waits = time::timeout(LIMIT * 100, upload.frame()).await;
        assert!(waits.is_err());
        watch.answer_is_over();
        let frame = time::timeout(LIMIT * 2, upload.frame()).await.unwrap();
        assert!(frame.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_the_client_was_waited_for_is_known() {
        let (mut client, body) = Channel::<Bytes>::new(1);
        let (mut upload, watch) = Upload::watched(Body::new(body), None, None, true);
        time::sleep(LIMIT).await;
        assert_eq!(watch.waited(), Some(Duration::ZERO), "nobody asks it");
        for round in 1..=2 {
            assert!(time::timeout(LIMIT, upload.frame()).await.is_err());
            assert_eq!(watch.waited(), Some(LIMIT * round));
            client.send_data(Bytes::from_static(b"x")).await.unwrap();
            upload.frame().await.unwrap().unwrap();
            time::sleep(LIMIT).await;
            assert_eq!(watch.waited(), Some(LIMIT * round), "the upstream's turn");
        }
        let (_, watch) = Upload::watched(Body::empty(), None, None, true);
        assert_eq!(watch.waited(), None);
    }
}
