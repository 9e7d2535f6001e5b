//! Several policies with the same key: it is read of the request once, and each has a state of its own.

use std::{
    any::Any,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use buttress_core::{ExtractKey, KeyWriter, MissingKey};
use buttress_http::{ClientIp, Head, keys::Header};
use buttress_rate_limit::{FixedWindow, Policy, RateLimitLayer, SlidingWindow};
use http::Request;

use crate::support::{Handler, clock, from_peer, http, send};

/// A header's value, which counts how often it is asked; those of one number say that they are the same.
struct Counted {
    header: Header,
    number: Option<u8>,
    asked: Arc<AtomicUsize>,
}

impl ExtractKey<Head> for Counted {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.header.extract(from, key)
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        let other = other.downcast_ref::<Self>();
        other.is_some_and(|other| self.number.is_some() && self.number == other.number)
    }
}

fn of_tenant(tenant: &str) -> Request<()> {
    let mut request = from_peer(Ipv4Addr::LOCALHOST);
    request
        .headers_mut()
        .insert("x-tenant", tenant.parse().unwrap());
    request
}

#[tokio::test]
async fn extractors_that_are_the_same_are_asked_once() {
    for (numbers, times) in [
        ([Some(1), Some(1), Some(1)], 1),
        ([Some(1), Some(2), Some(1)], 2),
        ([Some(1), Some(2), Some(3)], 3),
        ([None, None, None], 3),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let [first, second, third] = numbers.map(|number| Counted {
            header: Header::named("x-tenant").unwrap(),
            number,
            asked: Arc::clone(&asked),
        });
        let layer = http(Policy::new("second", "9/s").key(first))
            .policy(Policy::new("minute", "9/min").key(second))
            .policy(Policy::new("hour", "2/h").key(third))
            .clock(clock())
            .build()
            .unwrap();
        let handler = Handler::default();
        // The first of a key, whose states have no slots yet, and one that is known.
        for _ in 0..2 {
            asked.store(0, Ordering::SeqCst);
            assert_eq!(send(&layer, &handler, of_tenant("acme")).await.status, 200);
            assert_eq!(asked.load(Ordering::SeqCst), times, "{numbers:?}");
        }
        assert_eq!(send(&layer, &handler, of_tenant("acme")).await.status, 429);
        assert_eq!(send(&layer, &handler, of_tenant("other")).await.status, 200);
    }
}

/// By address alone, and by nothing at all: each is charged for itself, all or none.
fn by_peer(quotas: [&str; 3]) -> RateLimitLayer {
    let [narrow, wide, all] = quotas;
    http(Policy::new("narrow", narrow).key(ClientIp::peer()))
        .policy(Policy::new("wide", wide).key(ClientIp::peer()))
        .policy(Policy::new("all", all))
        .clock(clock())
        .build()
        .unwrap()
}

async fn refused_by(layer: &RateLimitLayer, peer: impl Into<IpAddr>) -> Option<String> {
    let answer = send(layer, &Handler::default(), from_peer(peer)).await;
    if answer.status == 200 {
        return None;
    }
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    Some(problem["violated-policies"][0].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn policies_by_address_and_one_for_all() {
    let (alice, bob) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let layer = by_peer(["2/s", "3/h", "4/d"]);
    assert_eq!(refused_by(&layer, alice).await, None);
    assert_eq!(refused_by(&layer, alice).await, None);
    for _ in 0..5 {
        assert_eq!(refused_by(&layer, alice).await.as_deref(), Some("narrow"));
    }
    assert_eq!(refused_by(&layer, bob).await, None);
    assert_eq!(refused_by(&layer, bob).await, None);
    // Four of the day's four; what was refused was charged to nobody.
    let cara = Ipv4Addr::new(192, 0, 2, 3);
    assert_eq!(refused_by(&layer, cara).await.as_deref(), Some("all"));

    let layer = by_peer(["9/s", "2/h", "9/d"]);
    assert_eq!(refused_by(&layer, alice).await, None);
    assert_eq!(refused_by(&layer, alice).await, None);
    assert_eq!(refused_by(&layer, alice).await.as_deref(), Some("wide"));
    assert_eq!(refused_by(&layer, bob).await, None);
}

/// What is read of the request itself and what an extractor reads of its head are one key: a changed quota has the
/// latter asked, and the state is the one that the former found.
#[tokio::test]
async fn an_address_is_the_same_key_on_every_way() {
    let addresses: [(&str, &str); 4] = [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:db8::ffff"),
        ("64:ff9b::c000:201", "192.0.2.1"),
        ("::1", "::2"),
    ];
    for (one, other) in addresses {
        let (one, other): (IpAddr, IpAddr) = (one.parse().unwrap(), other.parse().unwrap());
        for policies in [1, 2] {
            let policy = |name: &str| Policy::new(name, "4/h").key(ClientIp::peer());
            let mut builder = http(policy("first"));
            if policies == 2 {
                builder = builder.policy(policy("second"));
            }
            let layer = builder.clock(clock()).build().unwrap();
            assert_eq!(refused_by(&layer, one).await, None);
            assert_eq!(refused_by(&layer, other).await, None);
            layer.limit("first").unwrap().set_quota("2/h").unwrap();
            let refused = refused_by(&layer, other).await;
            assert_eq!(refused, None, "half of four is used, and so half of two");
            let refused = refused_by(&layer, one).await;
            assert_eq!(refused.as_deref(), Some("first"), "{one} and {other}");
        }
    }
    let layer = by_peer(["9/s", "1/h", "9/d"]);
    assert_eq!(refused_by(&layer, Ipv6Addr::LOCALHOST).await, None);
    assert_eq!(refused_by(&layer, Ipv4Addr::LOCALHOST).await, None);
}

#[tokio::test]
async fn long_states_beside_short_ones() {
    let alice = Ipv4Addr::new(192, 0, 2, 1);
    let layer = http(Policy::new("short", "9/s").key(ClientIp::peer()))
        .policy(
            Policy::new("window", "3/h")
                .key(ClientIp::peer())
                .algorithm(FixedWindow),
        )
        .policy(
            Policy::new("long", "2/h")
                .key(ClientIp::peer())
                .algorithm(SlidingWindow::of_sub_windows(4)),
        )
        .clock(clock())
        .build()
        .unwrap();
    assert_eq!(refused_by(&layer, alice).await, None);
    assert_eq!(refused_by(&layer, alice).await, None);
    assert_eq!(refused_by(&layer, alice).await.as_deref(), Some("long"));
}

#[tokio::test]
async fn without_an_address_nobody_is_let_through() {
    let layer = by_peer(["9/s", "9/h", "9/d"]);
    let handler = Handler::default();
    let answer = send(&layer, &handler, Request::new(())).await;
    assert_eq!(answer.status, 400);
    assert_eq!(handler.calls(), 0);
}
