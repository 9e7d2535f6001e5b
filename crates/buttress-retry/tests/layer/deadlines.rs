//! Timeouts of attempts, and deadlines of calls.

use std::time::Duration;

use buttress_http::LocalRefusal;
use buttress_retry::{Ended, RequestTimeout};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service};

use crate::support::{
    Frames, MS, NOW, S, Upstream, answer, call, ended, get, http, post, report, send, status,
    too_many, with,
};

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_repeated() {
    let upstream = Upstream::new().hangs();
    let layer = http().attempt_timeout(S).build().unwrap();
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(
        (status(&out), ended(&out)),
        (200, Some((Ended::Success, 2)))
    );
    assert_eq!(upstream.times(), [NOW, 1_100 * MS]);
}

/// It may have been done: only what is safe is repeated. And a timeout is the upstream's failure, not the caller's.
#[tokio::test(start_paused = true)]
async fn the_last_timeout_is_a_504() {
    let upstream = Upstream::new().hangs();
    let layer = http().attempt_timeout(S).build().unwrap();
    let out = send(&layer, &upstream, post("once")).await;
    assert_eq!(
        (status(&out), ended(&out)),
        (504, Some((Ended::NotSafe, 1)))
    );
    let response = out.unwrap();
    assert_eq!(LocalRefusal::of(&response), None);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(
        !response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );

    let mut head = get();
    *head.method_mut() = Method::HEAD;
    let layer = http().attempt_timeout(S).max_attempts(1).build().unwrap();
    let response = send(&layer, &Upstream::new().hangs(), head).await.unwrap();
    assert_ne!(response.headers()["content-length"], "0");
    assert!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
}

/// T4 of the traps: fail now, and say so, rather than sleep into the deadline.
#[tokio::test(start_paused = true)]
async fn no_wait_goes_past_the_deadline() {
    let upstream = Upstream::new().answers(too_many("30"));
    let layer = http().total_timeout(20 * S).build().unwrap();
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(
        (status(&out), ended(&out)),
        (429, Some((Ended::Deadline, 1)))
    );
    assert_eq!(report(&out).unwrap().elapsed(), Duration::ZERO);

    // Nor does a backoff.
    let upstream = Upstream::new().says(503);
    let layer = http().backoff(S).total_timeout(S).build().unwrap();
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(
        (status(&out), ended(&out)),
        (503, Some((Ended::Deadline, 1)))
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_an_attempt() {
    let upstream = Upstream::new().says(503).hangs();
    let layer = http()
        .total_timeout(S)
        .attempt_timeout(10 * S)
        .build()
        .unwrap();
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(
        (status(&out), ended(&out)),
        (504, Some((Ended::Deadline, 2)))
    );
    assert_eq!(report(&out).unwrap().elapsed(), S);
}

#[tokio::test(start_paused = true)]
async fn a_request_says_itself_how_long_it_may_take() {
    let mut request = get();
    request.extensions_mut().insert(RequestTimeout(3 * S));
    let layer = http().total_timeout(20 * S).build().unwrap();
    let out = send(&layer, &Upstream::new().answers(too_many("5")), request).await;
    assert_eq!(ended(&out), Some((Ended::Deadline, 1)));
}

/// The timeout of gRPC is a deadline here, and each attempt is told what is left of it.
#[tokio::test(start_paused = true)]
async fn what_is_left_goes_along() {
    let unavailable = || crate::support::with(crate::support::answer(200), "grpc-status", "14");
    let mut request = call("");
    let timeout = "1500m".parse().unwrap();
    request.headers_mut().insert("grpc-timeout", timeout);
    let upstream = Upstream::new()
        .answers(unavailable())
        .answers(unavailable());
    let layer = http().repeatable(|_| true).build().unwrap();
    send(&layer, &upstream, request.clone()).await.unwrap();
    let told = |upstream: &Upstream| -> Vec<_> {
        let seen = upstream.seen();
        seen.iter()
            .map(|seen| seen.headers["grpc-timeout"].to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(told(&upstream), ["1500m", "1400000u", "1200000u"]);

    // The policy's, where that is less.
    let upstream = Upstream::new().answers(unavailable());
    let layer = http()
        .repeatable(|_| true)
        .total_timeout(S)
        .build()
        .unwrap();
    send(&layer, &upstream, request).await.unwrap();
    assert_eq!(told(&upstream), ["1000000u", "900000u"]);

    let upstream = Upstream::new().hangs();
    let out = send(&layer, &upstream, call("")).await.unwrap();
    assert_eq!(
        (out.status().as_u16(), &out.headers()["grpc-status"]),
        (200, &"4".parse().unwrap())
    );
}

/// A body that does not come is not looked for, and not read to its end, past the deadline.
#[tokio::test(start_paused = true)]
async fn nothing_is_read_past_the_deadline() {
    let hanging = || Frames::default().data("x").hangs();
    let layer = || http().total_timeout(400 * MS);
    // It is looked into for up to a second.
    let refusal = with(answer(429), "content-type", "application/json");
    let upstream = Upstream::new().answers(refusal.map(|_| hanging()));
    let out = send(&layer().build().unwrap(), &upstream, get()).await;
    assert_eq!(
        (status(&out), ended(&out)),
        (429, Some((Ended::Deadline, 1)))
    );
    assert_eq!(report(&out).unwrap().elapsed(), 400 * MS);

    // It is read to its end for up to a minute.
    let rejected = with(answer(500), "content-type", "image/png");
    let upstream = Upstream::new().answers(rejected.map(|_| hanging()));
    let layer = layer().drain(1_024, 60 * S).build().unwrap();
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(
        (status(&out), ended(&out)),
        (504, Some((Ended::Deadline, 1)))
    );
    assert_eq!(report(&out).unwrap().elapsed(), 400 * MS);
    assert_eq!(upstream.calls(), 1, "nobody would wait for the answer");
}

/// The first attempt is told, too, when somebody else than `grpc-timeout` sets the deadline.
#[tokio::test(start_paused = true)]
async fn the_first_attempt_is_told_an_attached_timeout() {
    let layer = http().build().unwrap();
    for (header, told) in [
        (None, "2000000u"),
        (Some("9S"), "2000000u"),
        (Some("1S"), "1S"),
    ] {
        let mut request = call("");
        request.extensions_mut().insert(RequestTimeout(2 * S));
        if let Some(header) = header {
            let header = header.parse().unwrap();
            request.headers_mut().insert("grpc-timeout", header);
        }
        let upstream = Upstream::new();
        send(&layer, &upstream, request).await.unwrap();
        let heard = upstream.seen()[0].headers.get("grpc-timeout").cloned();
        assert_eq!(heard.unwrap(), told, "{header:?}");
    }
}

/// Not that it may not be repeated, nor that there is no further attempt: there was no time.
#[tokio::test(start_paused = true)]
async fn what_the_deadline_ends_says_so() {
    let layer = || http().total_timeout(S);
    let out = send(
        &layer().build().unwrap(),
        &Upstream::new().hangs(),
        post(""),
    )
    .await;
    assert_eq!(
        (status(&out), ended(&out)),
        (504, Some((Ended::Deadline, 1)))
    );
    let layer = layer().max_attempts(1).build().unwrap();
    let out = send(&layer, &Upstream::new().hangs(), get()).await;
    assert_eq!(
        (status(&out), ended(&out)),
        (504, Some((Ended::Deadline, 1)))
    );
}

/// However late the future is first polled.
#[tokio::test(start_paused = true)]
async fn time_runs_from_the_call() {
    let builders = [http().attempt_timeout(S), http().total_timeout(S)];
    for builder in builders {
        let layer = builder.build().unwrap();
        let mut service = layer.layer(Upstream::new().hangs());
        let call = Service::<Request<Full<Bytes>>>::call(&mut service, post(""));
        let mut call = tokio_test::task::spawn(call);
        tokio::time::advance(5 * S).await;
        let out = tokio_test::assert_ready!(call.poll());
        assert_eq!(status(&out), 504);
    }

    let layer = http().build().unwrap();
    let upstream = Upstream::new().answers(too_many("5"));
    send(&layer, &upstream, post("")).await.unwrap();
    let mut service = layer.layer(upstream.clone());
    let waits = Service::<Request<Full<Bytes>>>::call(&mut service, get());
    tokio::time::advance(5 * S).await;
    assert_eq!(status(&waits.await), 200);
    assert_eq!(upstream.times(), [NOW, 5 * S]);
}
