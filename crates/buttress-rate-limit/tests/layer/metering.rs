//! What a response's body turns out to cost is settled at its end: whoever ends it.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
};

use buttress_rate_limit::{CountBytes, Meter, Policy, RateLimitLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{clock, from_peer, http};

/// Three frames and trailers; `stop` of them are read, and then the client leaves.
async fn stream(layer: &RateLimitLayer, stop: usize) -> (Vec<String>, bool) {
    let handler = service_fn(|_: Request<()>| {
        let trailers =
            http::HeaderMap::from_iter([("x-tokens".parse().unwrap(), "77".parse().unwrap())]);
        let data = ["one", "three", "fourteen"]
            .map(|text| Frame::data(Bytes::from_static(text.as_bytes())));
        let frames = data
            .into_iter()
            .chain([Frame::trailers(trailers)])
            .map(Ok::<_, Infallible>);
        let body = StreamBody::new(tokio_stream::iter(frames));
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let mut body = layer
        .layer(handler)
        .oneshot(from_peer(Ipv4Addr::LOCALHOST))
        .await
        .unwrap()
        .into_body();
    let mut seen = Vec::new();
    while seen.len() < stop {
        match body.frame().await {
            Some(frame) => seen.push(
                frame
                    .unwrap()
                    .into_data()
                    .map_or("trailers".to_owned(), |data| {
                        String::from_utf8(data.into()).unwrap()
                    }),
            ),
            None => return (seen, true),
        }
    }
    (seen, false)
}

/// Who boxes bodies takes out what is boxed already.
#[tokio::test]
async fn what_is_metered_does_not_come_out() {
    let handler =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new("a".to_owned())) });
    let body = async |layer: &RateLimitLayer| {
        let request = from_peer(Ipv4Addr::LOCALHOST);
        let response = layer.layer(handler).oneshot(request).await.unwrap();
        response.into_body().into_inner().unwrap()
    };
    let plain = http(Policy::new("bytes", "9/h")).build().unwrap();
    assert_eq!(body(&plain).await.into_inner().unwrap(), "a");
    let metered = http(Policy::new("bytes", "9/h"))
        .settle_by_body("bytes", |_| Some(CountBytes::default()))
        .build()
        .unwrap();
    let body = body(&metered).await.into_inner().unwrap_err();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "a");
}

async fn left(layer: &RateLimitLayer) -> String {
    let probe =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let answer = layer
        .layer(probe)
        .oneshot(from_peer(Ipv4Addr::LOCALHOST))
        .await
        .unwrap();
    answer.headers()["ratelimit"]
        .to_str()
        .unwrap()
        .split(";t=")
        .next()
        .unwrap()
        .to_owned()
}

fn metered<M: Meter + Default>() -> RateLimitLayer {
    let calls = AtomicU64::new(0);
    let cost = move |_: &buttress_http::Head| {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            10
        } else {
            0
        }
    };
    http(Policy::new("all", "1000/h").cost(cost))
        .settle_by_body("all", |_| Some(M::default()))
        .clock(clock())
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_body_says_at_its_end_what_it_cost() {
    let layer = metered::<CountBytes>();
    let (seen, ended) = stream(&layer, 9).await;
    assert_eq!(
        (seen, ended),
        (
            vec![
                "one".into(),
                "three".into(),
                "fourteen".into(),
                "trailers".into()
            ],
            true
        )
    );
    assert_eq!(left(&layer).await, r#""all";r=984"#);
}

#[tokio::test]
async fn a_client_that_leaves_pays_for_what_it_got() {
    for (stop, expected) in [
        (0, r#""all";r=1000"#),
        (1, r#""all";r=997"#),
        (2, r#""all";r=992"#),
    ] {
        let layer = metered::<CountBytes>();
        let (seen, ended) = stream(&layer, stop).await;
        assert_eq!((seen.len(), ended), (stop, false));
        assert_eq!(left(&layer).await, expected);
    }
}

/// A meter of somebody's own, who finds the cost in the trailers.
#[derive(Default)]
struct Tokens(u64);

impl Meter for Tokens {
    fn data(&mut self, _: &Bytes) {}

    fn trailers(&mut self, trailers: &http::HeaderMap) {
        self.0 = trailers["x-tokens"].to_str().unwrap().parse().unwrap();
    }

    fn cost(&self) -> u64 {
        self.0
    }
}

#[tokio::test]
async fn a_meter_sees_the_trailers_too() {
    let layer = metered::<Tokens>();
    stream(&layer, 9).await;
    assert_eq!(left(&layer).await, r#""all";r=923"#);
}

/// It need not be dropped for that: a server may keep what has ended, or broken off, for as long as it likes.
#[tokio::test]
async fn it_is_settled_at_the_end_and_not_when_the_body_is_dropped() {
    for breaks in [false, true] {
        let layer = metered::<CountBytes>();
        let handler = service_fn(move |_: Request<()>| async move {
            let data = Ok(Frame::data(Bytes::from_static(b"fourteen")));
            let end = breaks.then_some(Err("broken off"));
            let frames = [Some(data), end].into_iter().flatten();
            Ok::<_, Infallible>(Response::new(StreamBody::new(tokio_stream::iter(frames))))
        });
        let request = from_peer(Ipv4Addr::LOCALHOST);
        let answer = layer.layer(handler).oneshot(request).await.unwrap();
        let mut body = Pin::new(Box::new(answer.into_body()));
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(left(&layer).await, r#""all";r=990"#, "the estimate");
        match body.frame().await {
            None => assert!(!breaks),
            Some(broken) => assert!(breaks && broken.is_err()),
        }
        assert_eq!(left(&layer).await, r#""all";r=992"#);
        drop(body);
        assert_eq!(left(&layer).await, r#""all";r=992"#);
    }
}

/// Each policy by a meter of its own.
#[tokio::test]
async fn two_policies_have_two_meters() {
    let cost = |_: &buttress_http::Head| 10;
    let layer = http(Policy::new("bytes", "1000/h").cost(cost))
        .policy(Policy::new("tokens", "1000/h").cost(cost))
        .settle_by_body("bytes", |_| Some(CountBytes::default()))
        .settle_by_body("tokens", |_| Some(Tokens::default()))
        .clock(clock())
        .build()
        .unwrap();
    stream(&layer, 9).await;
    let probe =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let answer = layer.layer(probe).oneshot(Request::new(())).await.unwrap();
    let told = answer.headers()["ratelimit"].to_str().unwrap();
    // Ten of each are the probe's.
    assert!(
        told.contains(r#""bytes";r=974;"#) && told.contains(r#""tokens";r=913;"#),
        "{told}"
    );
}

/// What the body says of itself is what servers make `Content-Length` and the end of the stream of.
#[tokio::test]
async fn a_body_says_of_itself_what_it_did() {
    use http_body::Body as _;

    let layer = metered::<CountBytes>();
    for (text, ends) in [("", true), ("fourteen", false)] {
        let handler = service_fn(move |_: Request<()>| async move {
            Ok::<_, Infallible>(Response::new(text.to_owned()))
        });
        let answer = layer
            .layer(handler)
            .oneshot(Request::new(()))
            .await
            .unwrap();
        assert_eq!(answer.body().size_hint().exact(), Some(text.len() as u64));
        assert_eq!(answer.body().is_end_stream(), ends);
    }
}
