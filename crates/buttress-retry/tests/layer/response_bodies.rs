//! The bodies of responses, which pass as they are.

use http_body::Body as _;
use http_body_util::BodyExt as _;

use crate::support::{Frames, Upstream, answer, get, http, send, with};

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

/// Who boxes bodies takes out what is boxed already.
#[tokio::test(start_paused = true)]
async fn what_was_looked_at_does_not_come_out() {
    let layer = http().max_attempts(1).build().unwrap();
    let body = async |answer| {
        let out = send(&layer, &Upstream::new().answers(answer), get()).await;
        out.unwrap().into_body().into_inner()
    };
    let untouched = answer(200).map(|_| Frames::default().data("a"));
    let untouched = body(untouched).await.unwrap();
    assert_eq!(untouched.collect().await.unwrap().to_bytes(), "a");

    let refusal = with(answer(429), "content-type", "application/json");
    let seen = body(refusal.map(|_| Frames::default().data("{}"))).await;
    let seen = seen.unwrap_err().collect().await.unwrap();
    assert_eq!(seen.to_bytes(), "{}");
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
