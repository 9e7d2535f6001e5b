//! What is remembered of a body to be sent again, and how much of it.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use buttress_retry::{Buffered, Ended, Replay, ReplayBody};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, StreamBody};
use tower::{Layer as _, ServiceExt as _};

use crate::support::{Frames, Upstream, answer, ended, frames, http, put, send, status};

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

async fn next<B>(body: &mut ReplayBody<B>) -> Bytes
where
    B: Body<Data = Bytes, Error = &'static str>,
{
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

/// Three frames of a kilobyte each.
fn three() -> Frames {
    let chunk = || vec![b'x'; 1_000];
    Frames::default().data(chunk()).data(chunk()).data(chunk())
}

/// Memory is for what can be sent again.
#[tokio::test]
async fn what_will_not_be_sent_again_is_not_kept() {
    let replay = Buffered::up_to(2_999);
    let (mut body, _kept) = replay.keep(three());
    let (one, other) = (next(&mut body).await, next(&mut body).await);
    assert!(!one.is_unique() && !other.is_unique(), "it is remembered");
    let last = next(&mut body).await;
    for frame in [one, other, last] {
        assert!(frame.is_unique(), "it outgrew the cap");
    }

    // Known from the start, it is not remembered in the first place.
    let (mut body, _kept) = replay.keep(OfLength(3_000, three()));
    assert!(next(&mut body).await.is_unique());
}

/// Nor is it where the call is over and its body goes on.
#[tokio::test]
async fn what_passes_after_the_answer_is_not_kept() {
    let replay = Buffered::default();
    let (mut body, kept) = replay.keep(three());
    let one = next(&mut body).await;
    assert!(!one.is_unique(), "it is remembered");
    drop(kept);
    assert!(one.is_unique(), "there will be no other attempt");
    for _ in 0..2 {
        assert!(next(&mut body).await.is_unique());
    }
    assert!(body.is_end_stream());

    // What the attempt has not been given yet is still to be sent.
    let (mut body, mut kept) = replay.keep(three().trailers(&[("x-sum", "7")]));
    body.frame().await.unwrap().unwrap();
    (&mut body).collect().await.unwrap();
    let mut again = replay.again(&mut kept).unwrap();
    drop(body);
    assert!(!next(&mut again).await.is_unique());
    drop(kept);
    assert_eq!(again.size_hint().exact(), Some(2_000));
    for _ in 0..2 {
        assert!(next(&mut again).await.is_unique());
    }
    let trailers = again.frame().await.unwrap().unwrap().into_trailers();
    assert_eq!(trailers.unwrap()["x-sum"], "7");
    assert!(again.is_end_stream());
    assert!(again.frame().await.is_none());
}

/// Nor what the last attempt sends.
#[tokio::test]
async fn the_last_attempt_is_not_remembered() {
    let replay = Buffered::default();
    let (mut body, mut kept) = replay.keep(three());
    for _ in 0..2 {
        next(&mut body).await;
    }
    let mut last = replay.last(&mut kept).unwrap();
    // Two that the first attempt sent, and one that is new.
    for _ in 0..3 {
        assert!(next(&mut last).await.is_unique());
    }
    assert!(last.frame().await.is_none());
    assert!(!replay.can_repeat(&kept));
    assert!(replay.again(&mut kept).is_none());
}

/// A call in both directions is answered long before its body ends.
#[tokio::test(start_paused = true)]
async fn a_body_is_not_kept_beyond_its_answer() {
    let service = tower::service_fn(|request: Request<ReplayBody<Frames>>| async {
        let mut body = request.into_body();
        let first = next(&mut body).await;
        assert!(!first.is_unique(), "it can be sent again");
        Ok::<_, Infallible>(Response::new(Full::new(first)).map(|_| Open(body)))
    });
    let layer = http().build().unwrap();
    let request = put("").map(|_| three());
    let response = layer.layer(service).oneshot(request).await.unwrap();
    let Ok(Open(mut body)) = response.into_body().into_inner() else {
        panic!("it was not looked into")
    };
    assert!(next(&mut body).await.is_unique());
}

/// An answer that still reads its request.
struct Open(ReplayBody<Frames>);

impl Body for Open {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}
