//! What is told, inward, outward and to observers.

use std::sync::{Arc, Mutex};

use buttress_core::{DigestKey, View as _};
use buttress_http::Head;
use buttress_retry::{CallKind, Ended, Event, Happening, Judgment, UpstreamAndCredential};

use crate::support::{MS, S, Upstream, get, http, post, report, send, to, too_many};

#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_from_the_second_on() {
    let layer = http().build().unwrap();
    let upstream = Upstream::new().says(500).says(500);
    send(&layer, &upstream, get()).await.unwrap();
    let numbers: Vec<_> = upstream
        .seen()
        .iter()
        .map(|seen| seen.attempt.map(|n| n.number()))
        .collect();
    assert_eq!(numbers, [None, Some(2), Some(3)]);
    assert!(upstream.seen()[1].attempt.unwrap().is_retry());
}

#[tokio::test(start_paused = true)]
async fn everything_is_told_on_demand() {
    let layer = http().tell_always(true).build().unwrap();
    let upstream = Upstream::new();
    let out = send(&layer, &upstream, get()).await;
    let report = report(&out).unwrap();
    assert_eq!((report.attempts(), report.ended()), (1, Ended::Success));
    assert_eq!(upstream.seen()[0].attempt.unwrap().number(), 1);
    assert!(!upstream.seen()[0].attempt.unwrap().is_retry());
}

#[tokio::test(start_paused = true)]
async fn the_report_tells_the_time_spent() {
    let upstream = Upstream::new().answers(too_many("2")).says(500);
    let report = report(&send(&http().build().unwrap(), &upstream, get()).await).unwrap();
    assert_eq!(report.elapsed(), 2_200 * MS);
    assert_eq!(report.to_string(), "3 attempts in 2.2s: it worked");
}

#[tokio::test(start_paused = true)]
async fn an_observer_hears_of_everything() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let heard = Arc::clone(&heard);
        move |event: &Event<'_>| {
            assert_eq!(event.name, "billing");
            heard.lock().unwrap().push(event.happening);
        }
    };
    let layer = http().name("billing").observer(observer).build().unwrap();
    let upstream = Upstream::new().answers(too_many("2"));
    let send = || send(&layer, &upstream, get());
    let (one, other) = tokio::join!(send(), send());
    assert!(one.is_ok() && other.is_ok());
    send_post(&layer).await;
    let heard = heard.lock().unwrap();
    let [parked, retry, held, one, other, post] = heard[..] else {
        panic!("{heard:?}")
    };
    assert!(matches!(parked, Happening::Parked { span, .. } if span == 2 * S));
    let judgment = Judgment::Throttled {
        retry_after: Some(2 * S),
    };
    assert!(
        matches!(retry, Happening::Retry { attempt: 1, after, judgment: heard, .. }
        if after == 2 * S && heard == judgment)
    );
    assert!(matches!(held, Happening::Held { wait, .. } if wait == 2 * S));
    let mut kinds = [one, other, post].map(|happening| match happening {
        Happening::Call(report) => CallKind::of(report).as_str(),
        other => panic!("{other:?}"),
    });
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "failed_without_retry",
            "successful_with_retry",
            "successful_without_retry"
        ]
    );
}

/// Of several upstreams behind one policy it is told which one is left alone, and before which one somebody waits.
#[tokio::test(start_paused = true)]
async fn an_observer_hears_which_upstream_it_is() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let heard = Arc::clone(&heard);
        move |event: &Event<'_>| {
            let key = match event.happening {
                Happening::Parked { key, .. } | Happening::Held { key, .. } => key,
                _ => return,
            };
            heard.lock().unwrap().push(key);
        }
    };
    let secret = DigestKey::from_words(1, 2);
    let layer = http().digest_key(secret).observer(observer);
    let layer = layer.build().unwrap();
    let (one, other) = (to("https://one.example/"), to("https://other.example/"));
    let whose = |request| {
        let digest = secret.digest_from(&UpstreamAndCredential, Head::of(request));
        digest.unwrap()
    };
    let (one_is, other_is) = (whose(&one), whose(&other));
    let upstream = || Upstream::new().answers(too_many("2"));
    send(&layer, &upstream(), one).await.unwrap();
    let (told, held) = (upstream(), Upstream::new());
    let again = to("https://other.example/again");
    let (told, held) = tokio::join!(send(&layer, &told, other), send(&layer, &held, again));
    assert!(told.is_ok() && held.is_ok());
    assert_eq!(*heard.lock().unwrap(), [one_is, other_is, other_is]);
}

async fn send_post(layer: &buttress_retry::RetryLayer) {
    let upstream = Upstream::new().says(500);
    assert_eq!(
        send(layer, &upstream, post("")).await.unwrap().status(),
        500
    );
}
