//! A body whose attempt is over: the rest of the source is for the next one.

use std::{convert::Infallible, pin::pin};

use buttress_retry::{Buffered, Replay, ReplayError};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody, channel::Channel};
use tokio_stream::StreamExt as _;

use crate::support::{MS, Upstream, http, put, report, send, status};

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
