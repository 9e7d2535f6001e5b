//! One circuit for each upstream, as the request names it.

use buttress_circuit_breaker::{CircuitBreakerLayer, State, Trip};
use buttress_core::{KeyWriter, MissingKey, clock::ManualClock};
use buttress_http::keys::{Authority, Header};
use http::Request;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Upstream, send, touchy};

fn to(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

#[tokio::test]
async fn by_authority_each_upstream_has_its_own() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).key(Authority).build().unwrap();
    upstream.will_say(500);
    send(&layer, &upstream, to("http://a.example:8080/x"))
        .await
        .unwrap();
    for (uri, status) in [
        ("http://a.example:8080/y", 503),
        ("http://A.EXAMPLE:8080/y", 503),
        ("http://a.example:8081/x", 200),
        ("http://b.example:8080/x", 200),
        ("/x", 200),
    ] {
        assert_eq!(
            send(&layer, &upstream, to(uri)).await.unwrap().status,
            status,
            "{uri}"
        );
    }
    // In the origin form the Host says it.
    let mut origin_form = to("/z");
    origin_form
        .headers_mut()
        .insert("host", "a.example:8080".parse().unwrap());
    assert_eq!(
        send(&layer, &upstream, origin_form).await.unwrap().status,
        503
    );
    let circuits = layer.breakers();
    assert_eq!(circuits.state("a.example:8080"), Some(State::Open));
    assert!(circuits.close("a.example:8080"));
    let again = send(&layer, &upstream, to("http://a.example:8080/y"));
    assert_eq!(again.await.unwrap().status, 200);
}

#[tokio::test]
async fn who_has_no_key_shares_one() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock)
        .key(Header::named("x-shard").unwrap())
        .build()
        .unwrap();
    let shard = |shard: &'static str| Request::get("/").header("x-shard", shard).body(()).unwrap();
    upstream.will_say(500);
    send(&layer, &upstream, to("/")).await.unwrap();
    assert_eq!(send(&layer, &upstream, to("/")).await.unwrap().status, 503);
    upstream.will_say(500);
    send(&layer, &upstream, shard("1")).await.unwrap();
    assert_eq!(
        send(&layer, &upstream, shard("1")).await.unwrap().status,
        503
    );
    assert_eq!(
        send(&layer, &upstream, shard("2")).await.unwrap().status,
        200
    );
    assert_eq!(layer.breaker().state(), State::Open);
}

#[derive(Clone)]
struct Command {
    shard: u32,
}

#[tokio::test]
async fn by_a_closure_over_any_request() {
    let by_shard = |command: &Command, key: &mut KeyWriter<'_>| {
        key.unsigned(command.shard.into());
        Ok::<(), MissingKey>(())
    };
    let layer = CircuitBreakerLayer::typed::<Command>(Trip::consecutive_failures(1))
        .key(by_shard)
        .build()
        .unwrap();
    let service = layer.layer(service_fn(|command: Command| async move {
        if command.shard == 7 {
            Err("down")
        } else {
            Ok(())
        }
    }));
    let call = |shard| service.clone().oneshot(Command { shard });
    assert!(call(7).await.unwrap_err().retry_after().is_none());
    assert!(call(7).await.unwrap_err().retry_after().is_some());
    assert!(call(8).await.is_ok());
}

#[test]
fn room_for_no_key_is_an_error() {
    let clock = ManualClock::default();
    let error = touchy(&clock)
        .key(Authority)
        .max_keys(0)
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "max_keys: `0` given, expected 1 to 16,777,216"
    );
}
