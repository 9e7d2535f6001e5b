//! gRPC, as its proposal A6 has it.

use std::{convert::Infallible, time::Duration};

use buttress_http::{GrpcCode, GrpcRefusal};
use buttress_retry::{Budget, Ended, Http, Judgment, LayerFor, Report, RetryBuilder, RetryLayer};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt as _, Full, channel::Channel};
use tower::{Layer as _, ServiceExt as _};

use crate::support::{
    Frames, Inner, MS, NOW, S, Upstream, answer, call, ended, http, send, status, steady, with,
};
use buttress_core::{Clock as _, Tick, clock::TokioClock};

fn grpc() -> RetryBuilder<LayerFor<Http>> {
    steady(RetryLayer::grpc([
        GrpcCode::Unavailable,
        GrpcCode::ResourceExhausted,
    ]))
}

/// Trailers-Only: the status in the headers.
fn only(code: u32) -> Response<Frames> {
    let refusal = GrpcRefusal::new(GrpcCode::from_u32(code).unwrap(), "");
    refusal
        .into_response(&HeaderMap::new())
        .map(|()| Frames::default())
}

/// A normal response, with the status in its trailers.
fn trailing(status: &'static str) -> Response<Frames> {
    let frames = Frames::default()
        .data("message")
        .trailers(&[("grpc-status", status)]);
    with(answer(200), "content-type", "application/grpc").map(|_| frames)
}

/// T9 of the traps: an HTTP 200 is no success.
#[tokio::test(start_paused = true)]
async fn trailers_only_is_read() {
    for code in 0..=16 {
        let upstream = Upstream::new().answers(only(code));
        let out = send(&grpc().build().unwrap(), &upstream, call("ping")).await;
        let repeated = matches!(code, 8 | 14);
        assert_eq!(upstream.calls() == 2, repeated, "{code}: {out:?}");
        assert!(
            upstream
                .seen()
                .iter()
                .all(|seen| seen.body.as_ref().unwrap() == "ping")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_for_the_server() {
    let upstream = Upstream::new().answers(only(14)).answers(only(14));
    send(&grpc().build().unwrap(), &upstream, call(""))
        .await
        .unwrap();
    let seen = upstream.seen();
    let counted: Vec<_> = seen
        .iter()
        .map(|seen| {
            seen.headers
                .get("grpc-previous-rpc-attempts")
                .map(|n| n.to_str().unwrap())
        })
        .collect();
    assert_eq!(counted, [None, Some("1"), Some("2")]);
}

#[tokio::test(start_paused = true)]
async fn retry_info_and_pushback_are_waited_for() {
    let wait = 1_500 * MS;
    let info = GrpcRefusal::resource_exhausted("slow down").retry_after(wait);
    let info = info
        .into_response(&HeaderMap::new())
        .map(|()| Frames::default());
    let pushback = with(only(14), "grpc-retry-pushback-ms", "1500");
    for refusal in [info, pushback] {
        let upstream = Upstream::new().answers(refusal);
        send(&grpc().build().unwrap(), &upstream, call(""))
            .await
            .unwrap();
        assert_eq!(upstream.times(), [Duration::ZERO, wait]);
    }
}

#[tokio::test(start_paused = true)]
async fn pushback_may_forbid_it() {
    for pushback in ["-1", "soon", "2147483648"] {
        let upstream = Upstream::new().answers(with(only(14), "grpc-retry-pushback-ms", pushback));
        let out = send(&grpc().build().unwrap(), &upstream, call("")).await;
        assert_eq!(ended(&out), Some((Ended::GaveUp, 1)), "{pushback}");
    }
}

/// It counts as a failure, too, as proposal A6 has it.
#[tokio::test(start_paused = true)]
async fn a_pushback_that_forbids_it_counts_whatever_the_code_is() {
    let budget = Budget::throttling(2, 1.0).unwrap();
    let layer = grpc().budget(budget.clone()).build().unwrap();
    let upstream = Upstream::new().answers(with(only(13), "grpc-retry-pushback-ms", "-1"));
    let out = send(&layer, &upstream, call("")).await;
    assert_eq!(ended(&out), Some((Ended::GaveUp, 1)));
    assert!(
        !budget.try_retry(),
        "one of two tokens is not more than half"
    );
}

/// A bare answer of a proxy is understood as HTTP's.
#[tokio::test(start_paused = true)]
async fn a_proxys_answer_is_http() {
    let upstream = Upstream::new()
        .says(503)
        .answers(with(answer(429), "retry-after", "1"));
    let out = send(&grpc().build().unwrap(), &upstream, call("")).await;
    assert_eq!((status(&out), upstream.calls()), (200, 3));
}

/// Calls that come along with HTTP have no method that says that they are safe.
#[tokio::test(start_paused = true)]
async fn http_repeats_calls_only_on_ones_word() {
    let upstream = Upstream::new().answers(only(14));
    let out = send(&http().build().unwrap(), &upstream, call("")).await;
    assert_eq!(ended(&out), Some((Ended::NotSafe, 1)));
    let upstream = Upstream::new().answers(only(14));
    let layer = http()
        .repeatable(|head| head.uri().path() == "/")
        .build()
        .unwrap();
    assert_eq!(
        ended(&send(&layer, &upstream, call("")).await),
        Some((Ended::Success, 2))
    );
}

/// A word for some codes is none for others: what comes without one is repeated as what gRPC calls it.
#[tokio::test(start_paused = true)]
async fn what_has_no_code_is_repeated_by_that_which_grpc_has_for_it() {
    use GrpcCode::{Aborted, DeadlineExceeded, ResourceExhausted, Unavailable, Unknown};
    let breaks = || Upstream::new().fails();
    let hangs = || Upstream::new().hangs();
    let says = |status| Upstream::new().says(status);
    let tells = |status| Upstream::new().answers(with(answer(status), "retry-after", "1"));
    for (code, upstream, repeated) in [
        (Unavailable, breaks(), true),
        (ResourceExhausted, breaks(), false),
        (Unavailable, says(502), true),
        (Unavailable, says(503), true),
        (Unavailable, says(504), true),
        (ResourceExhausted, says(503), false),
        (ResourceExhausted, tells(503), false),
        (Unavailable, tells(503), true),
        (Unavailable, says(500), false),
        (Unknown, says(500), true),
        (Unavailable, says(429), true),
        (ResourceExhausted, says(429), true),
        (Aborted, says(429), false),
        (Unavailable, hangs(), true),
        (DeadlineExceeded, hangs(), true),
        (ResourceExhausted, hangs(), false),
    ] {
        let layer = steady(RetryLayer::grpc([code])).attempt_timeout(S);
        let out = send(&layer.build().unwrap(), &upstream, call("")).await;
        assert_eq!(upstream.calls() == 2, repeated, "{code}: {out:?}");
        if !repeated && let Ok(response) = &out {
            let report = response.extensions().get::<Report>().unwrap();
            assert_eq!(report.ended(), Ended::NotSafe, "{code}");
        }
    }

    // What was not processed is repeated whatever the codes are.
    let layer = steady(RetryLayer::grpc([Aborted]))
        .classify_error(|_: &&'static str| Judgment::UNPROCESSED)
        .build()
        .unwrap();
    let upstream = breaks();
    let service = layer.layer(upstream.clone());
    service.oneshot(call("")).await.unwrap();
    assert_eq!(upstream.calls(), 2);
}

/// Headers without a status commit the call, whatever the trailers will say.
#[tokio::test(start_paused = true)]
async fn headers_commit() {
    let upstream = Upstream::new().answers(trailing("14"));
    let response = send(&grpc().build().unwrap(), &upstream, call(""))
        .await
        .unwrap();
    assert_eq!(upstream.calls(), 1);
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "14");
}

#[tokio::test(start_paused = true)]
async fn trailers_are_awaited_on_demand() {
    let layer = grpc()
        .await_trailers(1_024, S, |head| head.uri().path() == "/")
        .build()
        .unwrap();
    let upstream = Upstream::new()
        .answers(trailing("14"))
        .answers(trailing("0"));
    let response = send(&layer, &upstream, call("")).await.unwrap();
    assert_eq!(upstream.calls(), 2);
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "message");

    let mut streaming = call("");
    *streaming.uri_mut() = "/stream".parse().unwrap();
    let upstream = Upstream::new().answers(trailing("14"));
    send(&layer, &upstream, streaming).await.unwrap();
    assert_eq!(upstream.calls(), 1);
}

/// What trailers tell counts from when they came, however long after the headers.
#[tokio::test(start_paused = true)]
async fn a_pushback_in_trailers_is_reckoned_from_the_trailers() {
    let layer = grpc().await_trailers(1_024, S, |_| true).build().unwrap();
    let upstream = Upstream::new();
    let slow = tower::service_fn(|request: Inner<Full<Bytes>>| {
        let status = if upstream.calls() == 0 { "14" } else { "0" };
        let answer = upstream.clone().oneshot(request);
        async move {
            let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
            tokio::spawn(async move {
                tokio::time::sleep(500 * MS).await;
                let fields = [("grpc-status", status), ("grpc-retry-pushback-ms", "700")];
                let fields = fields.map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                });
                let _ = sender.send_trailers(HeaderMap::from_iter(fields)).await;
            });
            Ok::<_, &'static str>(answer.await?.map(|_| body))
        }
    });
    layer.layer(slow).oneshot(call("")).await.unwrap();
    assert_eq!(upstream.times(), [NOW, 1_200 * MS]);
}

#[tokio::test(start_paused = true)]
async fn awaiting_is_bounded() {
    let layer = grpc().await_trailers(1_024, S, |_| true).build().unwrap();
    let long = Frames::default()
        .data("x".repeat(2_000))
        .trailers(&[("grpc-status", "14")]);
    let hanging = Frames::default().data("x").hangs();
    let broken = Frames::default().data("x").breaks_off();
    for (frames, length) in [(long, 2_000), (hanging, 1), (broken, 1)] {
        let upstream = Upstream::new().answers(answer(200).map(|_| frames));
        let clock = TokioClock::starting_now();
        let mut body = send(&layer, &upstream, call("")).await.unwrap().into_body();
        assert!(clock.now().saturating_duration_since(Tick::ZERO) <= S);
        assert_eq!(upstream.calls(), 1);
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), length);
    }
}
