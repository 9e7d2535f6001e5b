//! Sending bodies again.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use buttress_retry::{Buffered, Cloned, Ended, Replay, ReplayBody, ReplayError};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, channel::Channel};
use tokio_stream::StreamExt as _;
use tower::{Layer as _, ServiceExt as _};

use crate::support::{
    Frames, MS, Upstream, answer, ended, get, http, put, report, send, status, with,
};

fn frames(frames: Frames) -> Request<Frames> {
    put("").map(|_| frames)
}

#[tokio::test(start_paused = true)]
async fn a_body_is_sent_again_with_its_length() {
    let upstream = Upstream::new().says(503).fails();
    let out = send(&http().build().unwrap(), &upstream, put("a thing")).await;
    assert_eq!(status(&out), 200);
    for seen in upstream.seen() {
        assert_eq!(
            (seen.body.unwrap(), seen.length),
            ("a thing".into(), Some(7))
        );
    }
    assert_eq!(upstream.calls(), 3);
}

/// T10 of the traps.
#[tokio::test(start_paused = true)]
async fn trailers_are_sent_again() {
    let body = Frames::default()
        .data("a ")
        .data("thing")
        .trailers(&[("x-sum", "7")]);
    let upstream = Upstream::new().says(503);
    send(&http().build().unwrap(), &upstream, frames(body))
        .await
        .unwrap();
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!(seen.body.unwrap(), "a thing");
        assert_eq!(seen.trailers.unwrap()["x-sum"], "7");
    }
}

/// What was remembered as it passed has passed.
#[tokio::test]
async fn trailers_pass_once() {
    let body = Frames::default().trailers(&[("x-sum", "7")]);
    let (mut body, _kept) = Buffered::default().keep(body);
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    assert!(body.frame().await.is_none());
}

/// T6 of the traps: a body of unknown length is no reason for the first attempt to fail, nor to wait.
#[tokio::test(start_paused = true)]
async fn a_stream_goes_through_at_once() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
    let request = put("").map(|_| body);
    let layer = http().build().unwrap();
    let service = tower::service_fn(|request: Request<ReplayBody<Channel<Bytes>>>| async {
        let mut body = request.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "first");
        Ok::<_, Infallible>(http::Response::new(Full::new(first)))
    });
    sender.send_data("first".into()).await.unwrap();
    // It is answered while the sender has not ended.
    let response = layer.layer(service).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn what_outgrows_the_cap_goes_through_and_is_not_repeated() {
    for (cap, told) in [
        (4_000, (Ended::Success, 2)),
        (3_999, (Ended::NotReplayable, 1)),
    ] {
        let body = Frames::default()
            .data("x".repeat(2_000))
            .data("y".repeat(2_000));
        let upstream = Upstream::new().says(503);
        let layer = http().replay(Buffered::up_to(cap)).build().unwrap();
        let out = layer.layer(upstream.clone()).oneshot(frames(body)).await;
        assert_eq!(ended(&out), Some(told), "{cap}");
        assert!(
            upstream
                .seen()
                .iter()
                .all(|seen| seen.body.as_ref().unwrap().len() == 4_000)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_cap_is_64_kib_if_not_given() {
    for (length, told) in [
        (65_536, (Ended::Success, 2)),
        (65_537, (Ended::NotReplayable, 1)),
    ] {
        let body = Full::new(Bytes::from(vec![b'x'; length]));
        let upstream = Upstream::new().says(503);
        let layer = http().build().unwrap();
        let out = send(&layer, &upstream, put("").map(|_| body)).await;
        assert_eq!(ended(&out), Some(told), "{length}");
    }
}

/// Trailers are no way past the cap.
#[tokio::test(start_paused = true)]
async fn trailers_count_against_the_cap() {
    for (cap, told) in [
        (1_064 + 1_005, (Ended::Success, 2)),
        (1_064 + 1_004, (Ended::NotReplayable, 1)),
    ] {
        let sum: &'static str = "7".repeat(1_000).leak();
        let body = Frames::default()
            .data("x".repeat(1_064))
            .trailers(&[("x-sum", sum)]);
        let upstream = Upstream::new().says(503);
        let layer = http().replay(Buffered::up_to(cap)).build().unwrap();
        let out = layer.layer(upstream.clone()).oneshot(frames(body)).await;
        assert_eq!(ended(&out), Some(told), "{cap}");
        for seen in upstream.seen() {
            assert_eq!(seen.trailers.unwrap()["x-sum"].len(), 1_000);
        }
    }
}

/// It was known from the start, so nothing was remembered; and nothing had passed, so it can be sent.
#[tokio::test(start_paused = true)]
async fn a_long_body_that_was_not_read_is_sent_again() {
    let upstream = Upstream::new().hasty(answer(503));
    let layer = http().replay(Buffered::up_to(3)).build().unwrap();
    let out = layer
        .layer(upstream.clone())
        .oneshot(put("longer than three"))
        .await;
    assert_eq!(status(&out), 200);
    assert_eq!(
        upstream.seen()[1].body.as_ref().unwrap(),
        "longer than three"
    );
}

/// An upstream that answers in the middle of a request: what it had not read is read by the next attempt, and the
/// connection that still sends is told that it is over.
#[tokio::test(start_paused = true)]
async fn what_was_half_read_is_read_on() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
    sender.send_data("one ".into()).await.unwrap();
    let (first, mut kept) = {
        let (first, kept) = Buffered::default().keep(body);
        (first, kept)
    };
    let mut first = pin!(first);
    assert_eq!(
        first.frame().await.unwrap().unwrap().into_data().unwrap(),
        "one "
    );

    let replay = Buffered::default();
    assert!(replay.can_repeat(&kept));
    let second = replay.again(&mut kept).unwrap();
    assert!(matches!(
        first.frame().await,
        Some(Err(ReplayError::Superseded))
    ));
    assert!(!second.is_end_stream());
    sender.send_data("two".into()).await.unwrap();
    sender.send_trailers(HeaderMap::new()).await.unwrap();
    drop(sender);
    let second = second.collect().await.unwrap();
    assert!(second.trailers().is_some());
    assert_eq!(second.to_bytes(), "one two");

    let mut third = replay.again(&mut kept).unwrap();
    assert_eq!(third.size_hint().exact(), Some(7));
    for data in ["one ", "two"] {
        assert!(!third.is_end_stream());
        let frame = third.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), data);
    }
    assert!(!third.is_end_stream(), "hyper would send no trailers");
    let frame = third.frame().await.unwrap().unwrap();
    assert!(frame.is_trailers() && third.is_end_stream());
    assert!(third.frame().await.is_none());
}

/// An attempt that is dropped in the middle, as a timeout does, leaves the rest to the next one.
#[tokio::test(start_paused = true)]
async fn a_cancelled_attempt_leaves_the_rest() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
    let upstream = Upstream::new();
    let layer = http().attempt_timeout(50 * MS).build().unwrap();
    sender.send_data("one ".into()).await.unwrap();
    let sending = tokio::spawn({
        let upstream = upstream.clone();
        async move { send(&layer, &upstream, put("").map(|_| body)).await }
    });
    tokio::time::sleep(60 * MS).await;
    sender.send_data("two".into()).await.unwrap();
    drop(sender);
    let out = sending.await.unwrap();
    assert_eq!((status(&out), report(&out).unwrap().attempts()), (200, 2));
    assert_eq!(upstream.seen()[0].body.as_ref().unwrap(), "one two");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_broke_off_is_not_sent_again() {
    let body = Frames::default().data("half").breaks_off();
    let upstream = Upstream::new().fails();
    let layer = http().build().unwrap();
    let error = send(&layer, &upstream, frames(body)).await.unwrap_err();
    assert_eq!((error, upstream.calls()), ("broken pipe", 1));
    let heard = upstream.seen()[0].body.clone().unwrap_err();
    assert_eq!(heard, "the request's body failed: connection reset");
}

/// A million empty frames are not remembered, and end the remembering nonetheless if there are more than data.
#[tokio::test(start_paused = true)]
async fn small_frames_are_not_free() {
    let tiny = (0..2_000).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))));
    let (first, kept) = Buffered::default().keep(StreamBody::new(tokio_stream::iter(tiny)));
    assert_eq!(first.collect().await.unwrap().to_bytes().len(), 2_000);
    assert!(
        !Buffered::default().can_repeat(&kept),
        "2,000 × 64 bytes are more than 64 KiB"
    );

    let empty = (0..2_000).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::new())));
    let (first, kept) = Buffered::default().keep(StreamBody::new(tokio_stream::iter(empty)));
    first.collect().await.unwrap();
    assert!(Buffered::default().can_repeat(&kept));
}

/// A body that says how long it is.
struct OfLength(u64, Frames);

impl Body for OfLength {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Pin::new(&mut self.1).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// All attempts send the very bytes that the caller has.
#[tokio::test]
async fn what_is_in_memory_is_not_copied() {
    let data = Bytes::from(vec![b'x'; 2_000]);
    let replay = Buffered::default();
    let (first, mut kept) = replay.keep(Full::new(data.clone()));
    let mut bodies = vec![first];
    for _ in 0..3 {
        let mut body = bodies.pop().unwrap();
        let sent = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((sent.as_ptr(), sent.len()), (data.as_ptr(), data.len()));
        bodies.extend(replay.again(&mut kept));
    }
}

/// Memory is for what can be sent again.
#[tokio::test]
async fn what_will_not_be_sent_again_is_not_kept() {
    async fn next<B>(body: &mut ReplayBody<B>) -> Bytes
    where
        B: Body<Data = Bytes, Error = &'static str>,
    {
        body.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    let replay = Buffered::up_to(3_000);
    let chunk = || vec![b'x'; 2_000];
    let long = || Frames::default().data(chunk()).data(chunk());
    let (mut body, _kept) = replay.keep(long());
    let one = next(&mut body).await;
    assert!(!one.is_unique(), "it is remembered");
    let other = next(&mut body).await;
    assert!(one.is_unique() && other.is_unique(), "it outgrew the cap");

    // Known from the start, it is not remembered in the first place.
    let (mut body, _kept) = replay.keep(OfLength(4_000, long()));
    assert!(next(&mut body).await.is_unique());
}

#[tokio::test(start_paused = true)]
async fn with_cloned_the_service_takes_the_same_request() {
    let calls = std::sync::atomic::AtomicU32::new(0);
    let service = tower::service_fn(|request: Request<Full<Bytes>>| {
        let first = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        async move {
            let body = request.into_body();
            assert_eq!(body.size_hint().exact(), Some(7));
            let status = if first { 503 } else { 200 };
            Ok::<_, Infallible>(http::Response::builder().status(status).body(body).unwrap())
        }
    });
    let layer = http().replay(Cloned).build().unwrap();
    let response = layer.layer(service).oneshot(put("a thing")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "a thing"
    );
}

/// A body that counts its clones.
#[derive(Debug, Default)]
struct Counted(Arc<AtomicU32>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(&self.0))
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

/// It is kept for the attempts that there may be, and sent itself with the last one.
#[tokio::test(start_paused = true)]
async fn with_cloned_the_last_attempt_costs_no_clone() {
    let body = Counted::default();
    let clones = Arc::clone(&body.0);
    let upstream = Upstream::new().says(503).says(503).says(503);
    let layer = http().replay(Cloned).build().unwrap();
    let request = put("").map(|_| body);
    let out = layer.layer(upstream).oneshot(request).await;
    assert_eq!(ended(&out), Some((Ended::Attempts, 3)));
    assert_eq!(clones.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_empty_body_is_empty_each_time() {
    let (first, mut kept) = Buffered::default().keep(Empty::<Bytes>::new());
    let again = Buffered::default().again(&mut kept).unwrap();
    for mut body in [first, again, ReplayBody::default()] {
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.frame().await.is_none());
    }
}

/// hyper-util asks for that.
#[test]
fn it_is_unpin_and_can_be_sent() {
    fn is<T: Unpin + Send + Sync>() {}
    is::<ReplayBody<Full<Bytes>>>();
    fn always<B: Send>() {
        fn is<T: Unpin + Send>() {}
        is::<ReplayBody<B>>();
    }
    always::<std::marker::PhantomPinned>();
}

#[tokio::test(start_paused = true)]
async fn the_response_passes_untouched() {
    let frames = Frames::default()
        .data("a")
        .data("b")
        .trailers(&[("x-end", "1")]);
    let upstream = Upstream::new().answers(answer(200).map(|_| frames));
    let body = send(&http().build().unwrap(), &upstream, get())
        .await
        .unwrap()
        .into_body();
    let body = body.collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-end"], "1");
    assert_eq!(body.to_bytes(), "ab");
}

/// A server that hands it on says as the length what it is told, and what came would look like the whole.
#[tokio::test(start_paused = true)]
async fn what_broke_off_while_it_was_looked_at_has_no_length() {
    let refusal = with(answer(429), "content-type", "application/json");
    let refusal = refusal.map(|_| Frames::default().data("half").breaks_off());
    let layer = http().max_attempts(1).build().unwrap();
    let out = send(&layer, &Upstream::new().answers(refusal), get()).await;
    let mut body = out.unwrap().into_body();
    let hint = body.size_hint();
    assert_eq!((hint.lower(), hint.upper()), (4, None));
    let half = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(half, "half");
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
}

/// A connection that still sends an earlier attempt waits for the source; nothing else tells it that it is over.
#[tokio::test]
async fn who_is_superseded_is_woken() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
    let replay = Buffered::default();
    let (mut first, mut kept) = replay.keep(body);
    let mut first = tokio_test::task::spawn(first.frame());
    tokio_test::assert_pending!(first.poll());
    let mut second = replay.again(&mut kept).unwrap();
    assert!(first.is_woken());
    assert!(matches!(
        tokio_test::assert_ready!(first.poll()),
        Some(Err(ReplayError::Superseded))
    ));
    // The source's word goes to the one who reads now.
    let mut second = tokio_test::task::spawn(second.frame());
    tokio_test::assert_pending!(second.poll());
    sender.send_data("one".into()).await.unwrap();
    assert!(second.is_woken());
}

/// Whichever task it was that asked last.
#[tokio::test]
async fn who_is_superseded_is_woken_where_it_asked_last() {
    let (_sender, body) = Channel::<Bytes, Infallible>::new(4);
    let replay = Buffered::default();
    let (mut first, mut kept) = replay.keep(body);
    {
        let mut elsewhere = tokio_test::task::spawn(first.frame());
        tokio_test::assert_pending!(elsewhere.poll());
    }
    let mut here = tokio_test::task::spawn(first.frame());
    tokio_test::assert_pending!(here.poll());
    let _second = replay.again(&mut kept).unwrap();
    assert!(here.is_woken());
}

/// Were it empty, a request that is sent too late would be a whole one, without its body.
#[tokio::test]
async fn what_is_superseded_does_not_look_empty() {
    let replay = Buffered::default();
    let (first, mut kept) = replay.keep(Full::new(Bytes::from_static(b"a thing")));
    let _second = replay.again(&mut kept).unwrap();
    assert!(!first.is_end_stream());
    assert_eq!(first.size_hint().exact(), None);
}

/// Who knows what a source gives that has panicked.
#[tokio::test]
async fn a_source_that_panicked_is_not_read_on() {
    let frames = [1, 0].map(|divisor: u32| move || 1 / divisor);
    let frames = tokio_stream::iter(frames.map(|divide| divide)).map(|divide| {
        let n = divide();
        Ok::<_, Infallible>(Frame::data(Bytes::from(n.to_string())))
    });
    let replay = Buffered::default();
    let (mut first, kept) = replay.keep(StreamBody::new(frames));
    first.frame().await.unwrap().unwrap();
    let broken = tokio::spawn(async move { first.frame().await.is_some() });
    assert!(broken.await.unwrap_err().is_panic());
    assert!(!replay.can_repeat(&kept));
}
