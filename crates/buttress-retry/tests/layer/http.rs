//! Which answers are repeated, when, and what becomes of them.

use std::time::Duration;

use buttress_core::{Random, clock::WallClock};
use buttress_http::LocalRefusal;
use buttress_retry::{Backoff, Ended, Judgment};
use http::Response;
use http_body_util::BodyExt as _;

use crate::support::{
    Frames, MS, NOW, S, Upstream, answer, ended, get, http, send, status, to, too_many, with,
};

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_repeated() {
    for code in [408, 425, 500, 502, 503, 504, 520] {
        let upstream = Upstream::new().says(code).says(code);
        let out = send(&http().build().unwrap(), &upstream, get()).await;
        assert_eq!(status(&out), 200, "{code}");
        assert_eq!(upstream.times(), [NOW, 100 * MS, 300 * MS], "{code}");
        assert_eq!(ended(&out), Some((Ended::Success, 3)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_be_the_same_is_not() {
    for code in [200, 204, 301, 400, 401, 403, 404, 409, 501, 505, 507] {
        let upstream = Upstream::new().says(code);
        let out = send(&http().build().unwrap(), &upstream, get()).await;
        assert_eq!((status(&out), upstream.calls()), (code, 1));
        assert_eq!(ended(&out), None, "nothing is remarkable about {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_repeated_and_passes_unchanged() {
    let upstream = Upstream::new().fails();
    let layer = http().max_attempts(2).build().unwrap();
    assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
    let upstream = Upstream::new().fails().fails();
    let error = send(&layer, &upstream, get()).await.unwrap_err();
    assert_eq!((error, upstream.calls()), ("broken pipe", 2));
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_handed_on() {
    let last = Response::new(Frames::default().data("sorry"));
    let (mut parts, body) = last.into_parts();
    parts.status = 503.try_into().unwrap();
    let upstream = Upstream::new()
        .says(500)
        .answers(Response::from_parts(parts, body));
    let layer = http().max_attempts(2).build().unwrap();
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(
        (status(&out), ended(&out)),
        (503, Some((Ended::Attempts, 2)))
    );
    assert_eq!(
        out.unwrap().into_body().collect().await.unwrap().to_bytes(),
        "sorry"
    );
}

#[derive(Debug)]
struct In1994;

impl WallClock for In1994 {
    fn now(&self) -> std::time::SystemTime {
        std::time::SystemTime::UNIX_EPOCH + 784_111_777 * S
    }
}

/// T4 of the traps: both forms, whatever the backoff would have been, and what the vendors made of it.
#[tokio::test(start_paused = true)]
async fn the_servers_word_comes_first() {
    let cases = [
        (too_many("7"), 7 * S),
        (too_many("Sun, 06 Nov 1994 08:50:00 GMT"), 23 * S),
        (with(answer(503), "retry-after", "7"), 7 * S),
        (with(too_many("7"), "retry-after-ms", "250"), 250 * MS),
        (with(answer(500), "retry-after", "7"), 7 * S),
        (
            with(
                with(answer(429), "x-ratelimit-remaining", "0"),
                "x-ratelimit-reset",
                "9",
            ),
            9 * S,
        ),
    ];
    for (refusal, wait) in cases {
        let said = format!("{refusal:?}");
        let upstream = Upstream::new().answers(refusal);
        let layer = http().wall_clock(In1994).build().unwrap();
        assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
        assert_eq!(upstream.times(), [NOW, wait], "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_wants_no_retry_gets_none() {
    for refusal in [
        with(too_many("1"), "x-should-retry", "false"),
        with(answer(500), "stripe-should-retry", "false"),
    ] {
        let code = refusal.status().as_u16();
        let upstream = Upstream::new().answers(refusal);
        let out = send(&http().build().unwrap(), &upstream, get()).await;
        assert_eq!(
            (status(&out), ended(&out)),
            (code, Some((Ended::GaveUp, 1)))
        );
    }
    let upstream = Upstream::new().answers(with(answer(409), "x-should-retry", "true"));
    assert_eq!(
        status(&send(&http().build().unwrap(), &upstream, get()).await),
        200
    );
}

/// T4 of the traps: 561,635 s were once slept. Nor is it shortened.
#[tokio::test(start_paused = true)]
async fn a_word_beyond_the_longest_wait_is_handed_on_at_once() {
    let upstream = Upstream::new().answers(too_many("561635"));
    let out = send(&http().build().unwrap(), &upstream, get()).await;
    assert_eq!((status(&out), ended(&out)), (429, Some((Ended::GaveUp, 1))));
    assert_eq!(upstream.times(), [NOW]);
    let report = crate::support::report(&out).unwrap();
    assert_eq!(report.elapsed(), NOW);
}

/// No number tells how long: a second at least, and the backoff if that is longer.
#[tokio::test(start_paused = true)]
async fn a_silent_429_waits() {
    let upstream = Upstream::new().says(429).says(429);
    let layer = http().backoff(|n: u32| 600 * MS * n).build().unwrap();
    assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
    assert_eq!(upstream.times(), [NOW, S, 2_200 * MS]);
}

/// D7 of the traps: refused on this side, by pacing or an open circuit, so nothing was processed, and the time is right.
#[tokio::test(start_paused = true)]
async fn a_local_refusal_is_repeated_when_its_time_is_over() {
    let refused = |code, wait| {
        let mut response = answer(code);
        LocalRefusal::new(wait).mark(&mut response);
        response
    };
    let upstream = Upstream::new().answers(refused(503, Some(3 * S)));
    let layer = http().build().unwrap();
    let out = send(&layer, &upstream, crate::support::post("")).await;
    assert_eq!((status(&out), upstream.times()), (200, vec![NOW, 3 * S]));

    // Opened by hand: nobody knows for how long.
    let upstream = Upstream::new().answers(refused(503, None));
    assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
    assert_eq!(upstream.times(), [NOW, 100 * MS]);

    // Somebody refuses by sending callers elsewhere.
    let upstream = Upstream::new().answers(refused(307, Some(3 * S)));
    assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
    assert_eq!(upstream.times(), [NOW, 3 * S]);

    // Somebody has an answer in its place.
    let upstream = Upstream::new().answers(refused(203, Some(3 * S)));
    assert_eq!(status(&send(&layer, &upstream, get()).await), 203);
    assert_eq!(upstream.times(), [NOW]);

    // Denied.
    let upstream = Upstream::new().answers(refused(403, None));
    assert_eq!(status(&send(&layer, &upstream, get()).await), 403);
}

#[tokio::test(start_paused = true)]
async fn who_knows_better_is_asked_first() {
    let layer = http()
        .classify(|status, headers| match status.as_u16() {
            200 if headers.contains_key("x-busy") => Some(Judgment::TRANSIENT),
            500 => Some(Judgment::NotRetryable),
            _ => None,
        })
        .build()
        .unwrap();
    let upstream = Upstream::new()
        .answers(with(answer(200), "x-busy", "1"))
        .says(503);
    assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
    assert_eq!(upstream.calls(), 3);
    let upstream = Upstream::new().says(500);
    assert_eq!(ended(&send(&layer, &upstream, to("/")).await), None);
    assert_eq!(upstream.calls(), 1);
}

/// It knows the upstream, of which a refusal of this side says nothing.
#[tokio::test(start_paused = true)]
async fn who_knows_better_is_not_asked_about_refusals_of_this_side() {
    let layer = http().classify(|_, _| Some(Judgment::NotRetryable));
    let mut refused = answer(503);
    LocalRefusal::new(Some(3 * S)).mark(&mut refused);
    let upstream = Upstream::new().answers(refused);
    send(&layer.build().unwrap(), &upstream, get())
        .await
        .unwrap();
    assert_eq!(upstream.times(), [NOW, 3 * S]);
}

/// A closure that has a wait for each retry is asked for no other.
#[tokio::test(start_paused = true)]
async fn the_backoff_is_asked_for_retries_only() {
    let waits = [100 * MS, 200 * MS];
    let layer = http()
        .backoff(move |retry: u32| waits[retry as usize - 1])
        .build()
        .unwrap();
    let upstream = Upstream::new().says(503).says(503).says(503);
    assert_eq!(
        ended(&send(&layer, &upstream, get()).await),
        Some((Ended::Attempts, 3))
    );
}

/// A vendor's row that the user has silenced says nothing, of a 503 neither.
#[tokio::test(start_paused = true)]
async fn a_hint_that_is_silenced_says_nothing() {
    let hints = buttress_http::BodyHints::builder()
        .phrase("too many requests", buttress_http::Cause::Unknown)
        .build()
        .unwrap();
    let layer = http().body_hints(hints, S).build().unwrap();
    let page = || Frames::default().data("Too many requests");
    let refusal = with(answer(503), "content-type", "text/plain").map(|_| page());
    let upstream = Upstream::new().answers(refusal);
    send(&layer, &upstream, get()).await.unwrap();
    assert_eq!(upstream.times(), [NOW, 100 * MS], "the backoff's wait");
}

/// Servers that cut fractions of a second off say zero for every wait below one: it is no invitation to spin.
#[tokio::test(start_paused = true)]
async fn a_wait_of_zero_says_nothing() {
    let unavailable = || with(answer(503), "retry-after", "0");
    for (refusal, times) in [
        (too_many("0"), [NOW, S]),
        (unavailable(), [NOW, S]),
        (with(answer(500), "retry-after", "0"), [NOW, 100 * MS]),
    ] {
        let upstream = Upstream::new().answers(refusal);
        send(&http().build().unwrap(), &upstream, get())
            .await
            .unwrap();
        assert_eq!(upstream.times(), times);
    }
}

/// So whatever else tells of a wait is heard.
#[tokio::test(start_paused = true)]
async fn a_wait_of_zero_hides_nothing() {
    for (name, value, wait) in [
        ("x-ms-retry-after-ms", "2500", 2_500 * MS),
        ("ratelimit", "\"burst\";r=0;t=30", 30 * S),
    ] {
        let refusal = with(too_many("0"), name, value);
        let upstream = Upstream::new().answers(with(refusal, "retry-after-ms", "0"));
        send(&http().build().unwrap(), &upstream, get())
            .await
            .unwrap();
        assert_eq!(upstream.times(), [NOW, wait], "{name}");
    }
}

/// Each delay is that of before, and a tenth of a second more: what decorrelated jitter goes by.
struct Longer;

impl Backoff for Longer {
    fn delay(&self, _: u32, previous: Option<Duration>, _: &Random) -> Duration {
        previous.unwrap_or_default() + 100 * MS
    }
}

#[tokio::test(start_paused = true)]
async fn the_backoff_hears_of_the_one_before() {
    let layer = http().max_attempts(4).backoff(Longer).build().unwrap();
    let upstream = Upstream::new().says(503).says(503).says(503);
    assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
    assert_eq!(upstream.times(), [NOW, 100 * MS, 300 * MS, 600 * MS]);
}
