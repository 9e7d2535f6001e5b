//! Sending bodies again.

use std::convert::Infallible;

use buttress_retry::{Buffered, Replay, ReplayBody};
use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::{BodyExt as _, Empty, Full, channel::Channel};
use tower::{Layer as _, ServiceExt as _};

use crate::support::{Frames, Upstream, frames, http, put, send, status};

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
async fn a_body_that_broke_off_is_not_sent_again() {
    let body = Frames::default().data("half").breaks_off();
    let upstream = Upstream::new().fails();
    let layer = http().build().unwrap();
    let error = send(&layer, &upstream, frames(body)).await.unwrap_err();
    assert_eq!((error, upstream.calls()), ("broken pipe", 1));
    let heard = upstream.seen()[0].body.clone().unwrap_err();
    assert_eq!(heard, "the request's body failed: connection reset");
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
