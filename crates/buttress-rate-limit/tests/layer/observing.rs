use std::sync::{Arc, Mutex};

use buttress_http::ClientIp;
use buttress_rate_limit::{Event, Policy, RateLimiter};
use http::Request;

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
            Event::MissingKey { limit, why } => format!("{limit} needs a key: {why}"),
            _ => "something new".to_owned(),
        };
        log.lock().unwrap().push(line);
    }
}

#[tokio::test]
async fn every_decision_of_a_layer_is_heard_of() {
    let (log, handler) = (Log::default(), Handler::default());
    let layer = http(Policy::new("all", "9/h"))
        .policy(Policy::new("per-ip", "1/s").key(ClientIp::peer()))
        .clock(clock())
        .observer(observer(&log))
        .build()
        .unwrap();
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

#[test]
fn every_decision_of_a_handle_is_heard_of() {
    let log = Log::default();
    let limiter = RateLimiter::per_key("1/s")
        .name("logins")
        .clock(clock())
        .observer(observer(&log))
        .build()
        .unwrap();
    assert!(limiter.check("alice").is_ok());
    assert!(limiter.check("alice").is_err());
    assert_eq!(
        *log.lock().unwrap(),
        ["logins admitted, 0 left", "logins refused for Some(1s)"]
    );
}
