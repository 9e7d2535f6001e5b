use std::sync::{Arc, Mutex};

use ::http::Request;
use buttress_http::ClientIp;
use buttress_rate_limit::{
    Access, DirectRateLimiter, Event, Permit, Policy, RateLimiter, SlidingWindow,
};
use tower::{Layer as _, ServiceExt as _};

use crate::support::{Handler, clock, from_peer, http, send};

type Log = Arc<Mutex<Vec<String>>>;

fn observer(log: &Log) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    let log = Arc::clone(log);
    move |event: &Event<'_>| {
        let line = match event {
            Event::Admitted {
                limit, decision, ..
            } => format!("{limit} admitted, {} left", decision.remaining()),
            Event::Refused {
                limit, decision, ..
            } => format!("{limit} refused for {:?}", decision.retry_after()),
            Event::MissingKey { limit, why, .. } => format!("{limit} needs a key: {why}"),
            _ => "something new".to_owned(),
        };
        log.lock().unwrap().push(line);
    }
}

/// Also of one whose requests carry permits, which does not go the usual way.
#[tokio::test]
async fn every_decision_of_a_layer_is_heard_of() {
    for permits in [false, true] {
        let (log, handler) = (Log::default(), Handler::default());
        let mut layer = http(Policy::new("all", "9/h"))
            .policy(Policy::new("per-ip", "1/s").key(ClientIp::peer()))
            .clock(clock())
            .observer(observer(&log))
            .near_limit([]);
        if permits {
            layer = layer.permits();
        }
        let layer = layer.build().unwrap();
        for request in [
            from_peer([127, 0, 0, 1]),
            from_peer([127, 0, 0, 1]),
            Request::new(()),
        ] {
            send(&layer, &handler, request).await;
        }
        let log = log.lock().unwrap();
        assert_eq!(
            log[..3],
            [
                "all admitted, 8 left",
                "per-ip admitted, 0 left",
                "per-ip refused for Some(1s)"
            ]
        );
        assert!(log[3].starts_with("per-ip needs a key: "), "{log:?}");
        assert_eq!(
            log.len(),
            4,
            "a policy that was not charged has nothing to tell: {log:?}"
        );
    }
}

#[tokio::test]
async fn every_decision_of_a_layer_of_one_policy_is_heard_of_once() {
    for key in [true, false] {
        let (log, handler) = (Log::default(), Handler::default());
        let policy = Policy::new("all", "1/s");
        let policy = if key {
            policy.key(ClientIp::peer())
        } else {
            policy
        };
        let layer = http(policy)
            .clock(clock())
            .observer(observer(&log))
            .near_limit([])
            .build()
            .unwrap();
        for _ in 0..2 {
            send(&layer, &handler, from_peer([127, 0, 0, 1])).await;
        }
        assert_eq!(
            *log.lock().unwrap(),
            ["all admitted, 0 left", "all refused for Some(1s)"]
        );
    }
}

#[tokio::test]
async fn callers_who_come_near_their_limit_are_told_of() {
    let near = Arc::new(Mutex::new(Vec::new()));
    let observer = || {
        let near = Arc::clone(&near);
        move |event: &Event<'_>| {
            if let Event::NearLimit {
                limit,
                percent,
                decision,
                ..
            } = event
            {
                near.lock().unwrap().push(format!(
                    "{limit}: {percent} %, {} left",
                    decision.remaining()
                ));
            }
        }
    };
    let handler = Handler::default();
    let layer = http(Policy::new("per-ip", "10/h").key(ClientIp::peer()))
        .clock(clock())
        .observer(observer())
        .build()
        .unwrap();
    for last in [1, 2] {
        for _ in 0..7 {
            send(&layer, &handler, from_peer([192, 0, 2, last])).await;
        }
    }
    let limiter = RateLimiter::per_key("4/h")
        .clock(clock())
        .observer(observer())
        .near_limit([100])
        .build()
        .unwrap();
    for _ in 0..9 {
        let _ = limiter.check("alice");
    }
    assert_eq!(
        *near.lock().unwrap(),
        [
            "per-ip: 50 %, 5 left",
            "per-ip: 70 %, 3 left",
            "per-ip: 50 %, 5 left",
            "per-ip: 70 %, 3 left",
            "default: 100 %, 0 left",
        ]
    );
    let bad = RateLimiter::per_key("4/h")
        .observer(observer())
        .near_limit([0]);
    assert_eq!(bad.build().unwrap_err().field(), "near_limit");
}

/// Rule 9 of the house: also what is refused whatever the limits say.
#[tokio::test]
async fn who_is_denied_is_heard_of() {
    let denied = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&denied);
    let layer = http(Policy::new("all", "9/h"))
        .access(|_| Access::Deny)
        .observer(move |event: &Event<'_>| heard.lock().unwrap().push(format!("{event:?}")))
        .build()
        .unwrap();
    let answer = send(&layer, &Handler::default(), Request::new(())).await;
    assert_eq!(answer.status, 403);
    assert_eq!(*denied.lock().unwrap(), ["Denied"]);
    assert_eq!(Event::Denied.limit(), "", "it is about none");
}

#[test]
fn every_decision_of_a_handle_without_keys_is_heard_of() {
    let log = Log::default();
    let limiter = DirectRateLimiter::builder("1/s")
        .name("mails")
        .clock(clock())
        .observer(observer(&log))
        .near_limit([])
        .build()
        .unwrap();
    assert!(limiter.check().is_ok() && limiter.check().is_err());
    limiter.set_quota("2/s").unwrap();
    assert!(limiter.check().is_err());
    let heard = [
        "mails admitted, 0 left",
        "mails refused for Some(1s)",
        "mails refused for Some(500ms)",
    ];
    assert_eq!(*log.lock().unwrap(), heard);
}

/// Also of those that no lock is taken for.
#[test]
fn every_decision_on_a_sliding_window_is_heard_of() {
    let log = Log::default();
    let limiter = DirectRateLimiter::builder("6/s")
        .name("mails")
        .algorithm(SlidingWindow::of_sub_windows(10))
        .clock(clock())
        .observer(observer(&log))
        .near_limit([])
        .build()
        .unwrap();
    let heard: Vec<_> = (0..6)
        .rev()
        .map(|left| {
            assert!(limiter.check().is_ok());
            format!("mails admitted, {left} left")
        })
        .collect();
    assert_eq!(*log.lock().unwrap(), heard);
}

/// What was settled afterwards is nobody's crossing: who is over the limit by that is refused, and heard of so.
#[tokio::test]
async fn who_is_refused_does_not_come_near() {
    let near = Arc::new(Mutex::new(0));
    let heard = Arc::clone(&near);
    let layer = http(Policy::new("all", "10/h"))
        .permits()
        .clock(clock())
        .observer(move |event: &Event<'_>| {
            *heard.lock().unwrap() += u32::from(matches!(event, Event::NearLimit { .. }));
        })
        .build()
        .unwrap();
    let overrun = tower::service_fn(|request: Request<()>| async move {
        request.extensions().get::<Permit>().unwrap().settle(30);
        Ok::<_, std::convert::Infallible>(::http::Response::new(String::new()))
    });
    for expected in [200, 429] {
        let answer = layer
            .layer(overrun)
            .oneshot(Request::new(()))
            .await
            .unwrap();
        assert_eq!(answer.status(), expected);
    }
    assert_eq!(*near.lock().unwrap(), 0);
}

#[test]
fn every_decision_of_a_handle_is_heard_of() {
    let log = Log::default();
    let limiter = RateLimiter::per_key("1/s")
        .name("logins")
        .clock(clock())
        .observer(observer(&log))
        .near_limit([])
        .build()
        .unwrap();
    assert!(limiter.check("alice").is_ok());
    assert!(limiter.check("alice").is_err());
    assert_eq!(
        *log.lock().unwrap(),
        ["logins admitted, 0 left", "logins refused for Some(1s)"]
    );
}
