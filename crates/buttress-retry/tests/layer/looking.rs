//! Answers that are looked into: for a word of when to come back, and for the connection that they came by.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use buttress_core::{Clock as _, Tick, clock::TokioClock};
use buttress_http::RateLimitInfo;
use buttress_retry::Ended;
use bytes::Bytes;
use http::Response;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full, channel::Channel};
use tower::{Layer as _, ServiceExt as _};

use crate::support::{
    Frames, Inner, MS, NOW, S, Upstream, answer, ended, get, http, send, status, with,
};

fn json(body: &'static str) -> Response<Frames> {
    let response = with(answer(429), "content-type", "application/json");
    response.map(|_| Frames::default().data(body))
}

#[tokio::test(start_paused = true)]
async fn where_the_head_is_silent_the_body_tells() {
    let google = r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"30s"}]}}"#;
    let upstream = Upstream::new().answers(json(google));
    assert_eq!(
        status(&send(&http().build().unwrap(), &upstream, get()).await),
        200
    );
    assert_eq!(upstream.times(), [NOW, 30 * S]);
}

/// Waiting does not refill a billing quota; and the body is handed on as it came.
#[tokio::test(start_paused = true)]
async fn a_body_that_was_looked_at_is_intact() {
    let quota = r#"{"error":{"code":"insufficient_quota"}}"#;
    let refusal = json("").map(|_| {
        let frames = Frames::default()
            .data(&quota.as_bytes()[..10])
            .data(&quota.as_bytes()[10..]);
        frames.trailers(&[("x-end", "1")])
    });
    let upstream = Upstream::new().answers(refusal);
    let out = send(&http().build().unwrap(), &upstream, get()).await;
    assert_eq!(ended(&out), Some((Ended::GaveUp, 1)));
    let response = out.unwrap();
    assert!(response.extensions().get::<RateLimitInfo>().is_some());
    let body = response.into_body();
    assert!(!body.is_end_stream());
    assert_eq!(body.size_hint().lower(), quota.len() as u64);
    let body = body.collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-end"], "1");
    assert_eq!(body.to_bytes(), quota);
}

/// A request that is larger than its limit is refused with a 429 as well: sent again it would be refused again, and whoever
/// shares its upstream is not to be held back for it.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_large_is_its_own_matter() {
    let too_large = r#"{"error":{"message":"Request too large for gpt-x on tokens per min (TPM): Limit 30000, Requested 31538.","code":"rate_limit_exceeded"}}"#;
    let upstream = Upstream::new().answers(json(too_large));
    let layer = http().build().unwrap();
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(ended(&out), Some((Ended::GaveUp, 1)));
    assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
    assert_eq!(upstream.times(), [NOW, NOW]);
}

/// Of a body that is longer, or breaks off, or does not come, what there is is handed on.
#[tokio::test(start_paused = true)]
async fn looking_is_bounded() {
    let layer = http().max_attempts(1).max_parks(0).build().unwrap();
    let long = "x".repeat(3_000);
    let upstream = Upstream::new()
        .answers(json("").map(|_| {
            Frames::default()
                .data(long.clone())
                .data(long.clone())
                .data(long.clone())
        }))
        .answers(json("").map(|_| Frames::default().data("half").breaks_off()))
        .answers(json("").map(|_| Frames::default().data("half").hangs()));
    let body = send(&layer, &upstream, get()).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 9_000);

    let mut body = send(&layer, &upstream, get()).await.unwrap().into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "half"
    );
    assert_eq!(body.frame().await.unwrap().unwrap_err(), "connection reset");
    assert!(body.frame().await.is_none());

    let clock = TokioClock::starting_now();
    let mut body = send(&layer, &upstream, get()).await.unwrap().into_body();
    assert_eq!(
        clock.now().saturating_duration_since(Tick::ZERO),
        S,
        "no longer than that for a look"
    );
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "half"
    );
}

/// What its head told counts from the head, for who was told and for who is held back, however long its body took to tell no more.
#[tokio::test(start_paused = true)]
async fn a_wait_is_reckoned_from_the_answer() {
    for (told, at) in [("5", 5 * S), ("1", S)] {
        let refusal = with(json(""), "retry-after", told);
        let refusal = refusal.map(|_| Frames::default().data("{").hangs());
        let upstream = Upstream::new().answers(refusal);
        let layer = http().build().unwrap();
        let late = async {
            tokio::time::sleep(S + MS).await;
            send(&layer, &upstream, get()).await
        };
        let (out, late) = tokio::join!(send(&layer, &upstream, get()), late);
        assert_eq!((status(&out), status(&late)), (200, 200));
        // Looking takes a second, and letting go of what hangs 50 ms.
        let (again, late) = (at.max(1_050 * MS), at.max(1_001 * MS));
        let mut times = upstream.times();
        times.sort();
        assert_eq!(times, [NOW, again.min(late), again.max(late)]);
    }
}

/// What only the body tells was not told before: here its head came half a second earlier.
#[tokio::test(start_paused = true)]
async fn a_wait_in_the_body_is_reckoned_from_the_body() {
    let upstream = Upstream::new().says(429);
    let slow = tower::service_fn(|request: Inner<Full<Bytes>>| {
        let answer = upstream.clone().oneshot(request);
        async {
            let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
            tokio::spawn(async move {
                tokio::time::sleep(500 * MS).await;
                let told = r#"{"retry_after":5}"#;
                let _ = sender.send_data(told.into()).await;
            });
            Ok::<_, &'static str>(answer.await?.map(|_| body))
        }
    });
    let out = http().build().unwrap().layer(slow).oneshot(get()).await;
    assert_eq!(out.unwrap().status(), 200);
    assert_eq!(upstream.times(), [NOW, 5_500 * MS]);
}

/// As there may be a million of them.
#[tokio::test(start_paused = true)]
async fn small_frames_are_not_looked_at_for_nothing() {
    let layer = http().max_attempts(1).build().unwrap();
    let drops = (0..200).fold(Frames::default(), |frames, _| frames.data("x"));
    let upstream = Upstream::new().answers(json("").map(|_| drops.hangs()));
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(
        crate::support::report(&out).unwrap().elapsed(),
        NOW,
        "it waits for more of them"
    );
}

/// T5 of the traps: what is kept while sleeping pins its connection.
#[tokio::test(start_paused = true)]
async fn a_rejected_response_is_read_or_dropped_before_the_wait() {
    let small = Frames::default().data("sorry").data("really");
    let large = Frames::default()
        .data("x".repeat(10_000))
        .data("x".repeat(10_000))
        .data("more");
    let hanging = Frames::default().data("sorry").hangs();
    for (frames, left, after) in [(small, 0, NOW), (large, 1, NOW), (hanging, 0, 50 * MS)] {
        let dropped = Arc::new(Mutex::new(None));
        let refusal = with(answer(503), "retry-after", "5").map(|_| frames.tells(&dropped));
        // Nothing of it is left to look for.
        let refusal = with(refusal, "content-encoding", "gzip");
        let upstream = Upstream::new().answers(refusal);
        let layer = http().build().unwrap();
        let sending = tokio::spawn({
            let upstream = upstream.clone();
            async move { send(&layer, &upstream, get()).await }
        });
        tokio::time::sleep(after + MS).await;
        assert_eq!(*dropped.lock().unwrap(), Some(left));
        assert_eq!(upstream.calls(), 1);
        // The wait is reckoned from the answer, however long that took.
        assert_eq!(status(&sending.await.unwrap()), 200);
        assert_eq!(upstream.times(), [NOW, 5 * S]);
    }
}
