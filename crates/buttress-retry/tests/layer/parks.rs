//! T8 of the traps: one 429 parks the upstream for everybody.

use buttress_core::key_from;
use buttress_http::{Head, LocalRefusal, RetryInfo, keys::Authority};
use buttress_retry::{Ended, UpstreamAndCredential};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _};

use crate::support::{
    Inner, MS, NOW, S, TOO_MANY, Upstream, answer, call, ended, get, http, local, post, send,
    status, to, too_many, with,
};

#[tokio::test(start_paused = true)]
async fn who_comes_meanwhile_waits() {
    let layer = http().build().unwrap();
    let upstream = Upstream::new().answers(too_many("5"));
    // A POST, which is not repeated; its 429 counts nonetheless.
    assert_eq!(status(&send(&layer, &upstream, post("")).await), 429);
    tokio::time::sleep(S).await;
    let out = send(&layer, &upstream, get()).await;
    assert_eq!((status(&out), upstream.times()), (200, vec![NOW, 5 * S]));
    // Nobody is parked any more.
    let request = get();
    assert_eq!(layer.parked((&request).into()), None);
    assert_eq!(status(&send(&layer, &upstream, request).await), 200);
    assert_eq!(upstream.times(), [NOW, 5 * S, 5 * S]);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_wait_is_told_for_how_long() {
    let layer = http().max_wait(10 * S).build().unwrap();
    let upstream = Upstream::new().answers(too_many("30")).says(200);
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(ended(&out), Some((Ended::GaveUp, 1)));
    tokio::time::sleep(1_500 * MS).await;

    let out = send(&layer, &upstream, get()).await;
    assert_eq!((status(&out), ended(&out)), (429, Some((Ended::Parked, 0))));
    assert_eq!(local(&out), Some(LocalRefusal::new(Some(28_500 * MS))));
    let response = out.unwrap();
    assert_eq!(response.headers()["retry-after"], "29");
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
    assert_eq!(upstream.calls(), 1);

    let refused = send(&layer, &upstream, call("")).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["grpc-status"]),
        (200, &"8".parse().unwrap())
    );
    let told = RetryInfo::from_headers(refused.headers());
    assert_eq!(told, Some(RetryInfo::new(28_500 * MS)));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_does_not_wait() {
    let layer = http().total_timeout(3 * S).build().unwrap();
    let upstream = Upstream::new().answers(too_many("5"));
    assert_eq!(
        ended(&send(&layer, &upstream, get()).await),
        Some((Ended::Deadline, 1))
    );
    let out = send(&layer, &upstream, get()).await;
    assert_eq!((status(&out), ended(&out)), (429, Some((Ended::Parked, 0))));
    tokio::time::sleep(3 * S).await;
    assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
    assert_eq!(upstream.times(), [NOW, 5 * S]);
}

/// Whoever was told less is held back by whoever was told more.
#[tokio::test(start_paused = true)]
async fn the_later_word_counts() {
    let layer = http().build().unwrap();
    let upstream = Upstream::new()
        .answers(too_many("2"))
        .answers(too_many("6"));
    let slow = tower::service_fn(|request: Inner<Full<Bytes>>| {
        let answer = upstream.clone().oneshot(request);
        async {
            // So that both are asked before one is answered.
            tokio::task::yield_now().await;
            answer.await
        }
    });
    let send = || layer.layer(slow).oneshot(get());
    let (one, other) = tokio::join!(send(), send());
    assert_eq!((status(&one), status(&other)), (200, 200));
    assert_eq!(upstream.times(), [NOW, NOW, 6 * S, 6 * S]);
}

#[tokio::test(start_paused = true)]
async fn other_upstreams_and_credentials_go_on() {
    let layer = http().build().unwrap();
    let as_user = |uri: &str, name: &'static str, key: &str| {
        let mut request = to(uri);
        request.headers_mut().insert(name, key.parse().unwrap());
        request
    };
    let parked = || as_user("https://api.example/a", "authorization", "Bearer one");
    let upstream = Upstream::new().answers(too_many("600"));
    send(&layer, &upstream, parked()).await.unwrap();
    // In whichever field a credential comes.
    for name in ["x-api-key", "api-key", "x-goog-api-key"] {
        let throttled = Upstream::new().answers(too_many("600"));
        let mine = || as_user("https://keys.example/a", name, "mine");
        send(&layer, &throttled, mine()).await.unwrap();
        let theirs = as_user("https://keys.example/a", name, "theirs");
        assert_eq!(status(&send(&layer, &throttled, theirs).await), 200);
        assert!(layer.parked((&mine()).into()).is_some());
    }
    for request in [
        as_user("https://other.example/a", "authorization", "Bearer one"),
        as_user("https://api.example/a", "authorization", "Bearer two"),
        as_user("https://api.example/a", "x-api-key", "Bearer one"),
        get(),
    ] {
        assert_eq!(status(&send(&layer, &upstream, request).await), 200);
    }
    for request in [
        parked(),
        as_user("https://API.example/b", "authorization", "Bearer one"),
    ] {
        assert_eq!(
            send(&layer, &upstream, request).await.unwrap().status(),
            TOO_MANY
        );
    }
    assert_eq!(upstream.calls(), 5);
}

/// AWS has each request signed: its `Authorization` comes once only, and whose it is comes again.
#[tokio::test(start_paused = true)]
async fn who_signs_each_request_is_one_caller() {
    let signed = |by: &str, signature: u32| {
        let mut request = get();
        let credentials = format!(
            "AWS4-HMAC-SHA256 Credential={by}/20261123/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature={signature:x}"
        );
        let headers = request.headers_mut();
        headers.insert("authorization", credentials.parse().unwrap());
        request
    };
    let layer = http().build().unwrap();
    let upstream = Upstream::new().answers(too_many("600"));
    send(&layer, &upstream, signed("AKID1", 1)).await.unwrap();
    let same = send(&layer, &upstream, signed("AKID1", 2)).await;
    let other = send(&layer, &upstream, signed("AKID2", 3)).await;
    assert_eq!((status(&same), status(&other)), (429, 200));
}

#[tokio::test(start_paused = true)]
async fn whom_it_is_about_can_be_said() {
    let by_path = |head: &Head, key: &mut buttress_core::KeyWriter<'_>| {
        key.text(head.uri().path());
        Ok::<(), buttress_core::MissingKey>(())
    };
    let layer = http().park_by((Authority, by_path)).build().unwrap();
    let upstream = Upstream::new().answers(too_many("600"));
    send(&layer, &upstream, to("https://api.example/a"))
        .await
        .unwrap();
    let other = send(&layer, &upstream, to("https://api.example/b")).await;
    let same = send(&layer, &upstream, to("https://api.example/a")).await;
    assert_eq!((status(&other), status(&same)), (200, 429));
}

/// A part that is absent is one like any other, and the rest of the key counts.
#[tokio::test(start_paused = true)]
async fn what_some_have_not_is_a_part_of_the_key() {
    let channel = |head: &Head| Some(head.uri().path().split('/').nth(4).map(str::to_owned));
    let layer = http()
        .park_by((UpstreamAndCredential, key_from(channel)))
        .build()
        .unwrap();
    let upstream = Upstream::new().answers(too_many("600"));
    let send = async |uri| status(&send(&layer, &upstream, to(uri)).await);
    send("https://api.example/api/v10/gateway").await;
    assert_eq!(send("https://api.example/api/v10/users").await, 429);
    assert_eq!(send("https://api.example/api/v10/channels/7").await, 200);
    assert_eq!(send("https://other.example/api/v10/gateway").await, 200);
}

#[tokio::test(start_paused = true)]
async fn those_without_a_key_share_one() {
    let by_tenant = |head: &Head, key: &mut buttress_core::KeyWriter<'_>| {
        let tenant = head.headers().get("x-tenant");
        let tenant = tenant.ok_or(buttress_core::MissingKey::new("no tenant"))?;
        key.secret(tenant.as_bytes());
        Ok(())
    };
    let layer = http().park_by(by_tenant).build().unwrap();
    let upstream = Upstream::new().answers(too_many("600"));
    send(&layer, &upstream, get()).await.unwrap();
    let other = send(&layer, &upstream, to("https://other.example/")).await;
    let mut tenants = get();
    let one = "one".parse().unwrap();
    tenants.headers_mut().insert("x-tenant", one);
    let tenants = send(&layer, &upstream, tenants).await;
    assert_eq!((status(&other), status(&tenants)), (429, 200));
}

#[tokio::test(start_paused = true)]
async fn a_hand_lifts_it() {
    let layer = http().build().unwrap();
    let upstream = Upstream::new()
        .answers(too_many("600"))
        .answers(too_many("600"));
    let (request, other) = (get(), to("https://other.example/"));
    send(&layer, &upstream, request.clone()).await.unwrap();
    send(&layer, &upstream, other.clone()).await.unwrap();
    // For as long as one holds others back, not for as long as was said.
    assert_eq!(layer.parked((&request).into()), Some(300 * S));
    layer.unpark((&request).into());
    assert_eq!(layer.parked((&request).into()), None);
    assert_eq!(status(&send(&layer, &upstream, request).await), 200);
    assert!(layer.parked((&other).into()).is_some());
    layer.unpark_all();
    assert_eq!(status(&send(&layer, &upstream, other).await), 200);
}

/// D7 of the traps.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_this_side_and_a_failure_park_nobody() {
    let mut refused = too_many("600");
    LocalRefusal::new(Some(600 * S)).mark(&mut refused);
    for refusal in [refused, with(answer(500), "retry-after", "600")] {
        let layer = http().build().unwrap();
        let upstream = Upstream::new().answers(refusal);
        send(&layer, &upstream, get()).await.unwrap();
        assert_eq!(layer.parked((&get()).into()), None);
        assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn without_parks_everybody_finds_out_alone() {
    let layer = http().max_parks(0).build().unwrap();
    let upstream = Upstream::new().answers(too_many("600"));
    send(&layer, &upstream, get()).await.unwrap();
    assert_eq!(status(&send(&layer, &upstream, get()).await), 200);
}

/// Those who wait go on as well, whether they came later or were told so themselves; and nobody else.
#[tokio::test(start_paused = true)]
async fn a_hand_lets_those_go_on_who_wait() {
    let layer = http().build().unwrap();
    let upstream = Upstream::new().answers(too_many("30"));
    let elsewhere = Upstream::new().answers(too_many("30"));
    let other = to("https://other.example/");
    let lifted = async {
        tokio::time::sleep(2 * S).await;
        layer.unpark((&get()).into());
    };
    let late = async {
        tokio::time::sleep(S).await;
        send(&layer, &upstream, get()).await
    };
    let (told, late, _, ()) = tokio::join!(
        send(&layer, &upstream, get()),
        late,
        send(&layer, &elsewhere, other),
        lifted,
    );
    assert_eq!((status(&told), status(&late)), (200, 200));
    assert_eq!(upstream.times(), [NOW, 2 * S, 2 * S]);
    assert_eq!(elsewhere.times(), [NOW, 30 * S]);
}

/// A park that comes after it holds them again.
#[tokio::test(start_paused = true)]
async fn all_can_be_let_go_on() {
    let layer = http().build().unwrap();
    let upstream = Upstream::new()
        .answers(too_many("30"))
        .answers(too_many("10"));
    let lifted = async {
        tokio::time::sleep(2 * S).await;
        layer.unpark_all();
    };
    let (out, ()) = tokio::join!(send(&layer, &upstream, get()), lifted);
    assert_eq!(status(&out), 200);
    assert_eq!(upstream.times(), [NOW, 2 * S, 12 * S]);
}

/// How long one stands before a parked upstream counts from the last attempt, not from the first time that one stood there.
#[tokio::test(start_paused = true)]
async fn an_attempt_ends_the_time_before_a_parked_upstream() {
    let layer = http().max_wait(60 * S).build().unwrap();
    let slow = tower::service_fn(|_: Inner<Full<Bytes>>| async {
        tokio::time::sleep(65 * S).await;
        Ok::<_, &'static str>(too_many("20"))
    });
    let before = Upstream::new().answers(too_many("40"));
    let upstream = Upstream::new().answers(too_many("30"));
    let patient = async {
        send(&layer, &before, post("")).await.unwrap();
        send(&layer, &upstream, get()).await
    };
    let (_, out) = tokio::join!(layer.layer(slow).oneshot(post("")), patient);
    assert_eq!(status(&out), 200);
    // Held back for 40 s, refused for 30, and held back for 15 by what another call heard meanwhile.
    assert_eq!(upstream.times(), [40 * S, 85 * S]);
}

/// Those who stand in line for the service between two attempts passed before it was parked: they go back.
#[tokio::test(start_paused = true)]
async fn who_waits_for_the_service_hears_of_it_too() {
    for backoff in [NOW, 100 * MS] {
        let layer = http().backoff(backoff).build().unwrap();
        let permits = tower::limit::GlobalConcurrencyLimitLayer::new(1);
        let upstream = Upstream::new().says(503);
        let failing = tower::service_fn(|request: Inner<Full<Bytes>>| {
            let answer = upstream.clone().oneshot(request);
            async {
                tokio::time::sleep(50 * MS).await;
                answer.await
            }
        });
        let throttled = tower::service_fn(|_: Inner<Full<Bytes>>| async {
            tokio::time::sleep(950 * MS).await;
            Ok::<_, &'static str>(too_many("5"))
        });
        // It is in line while the first one is asked, and has its turn before the retry.
        let (out, _) = tokio::join!(
            layer.layer(permits.layer(failing)).oneshot(get()),
            layer.layer(permits.layer(throttled)).oneshot(post("")),
        );
        assert_eq!(status(&out), 200);
        assert_eq!(upstream.times(), [50 * MS, 6_050 * MS], "{backoff:?}");
    }
}

/// And whoever is held back then holds no permit.
#[tokio::test(start_paused = true)]
async fn who_is_held_back_in_line_makes_way() {
    let layer = http().build().unwrap();
    let permits = tower::limit::GlobalConcurrencyLimitLayer::new(1);
    let failing = layer.layer(permits.layer(Upstream::new().says(503)));
    let throttled = tower::service_fn(|_: Inner<Full<Bytes>>| async {
        tokio::time::sleep(S).await;
        Ok::<_, &'static str>(too_many("5"))
    });
    let throttled = layer.layer(permits.layer(throttled));
    let elsewhere = Upstream::new();
    let other = layer.layer(permits.layer(elsewhere.clone()));
    let meanwhile = async {
        tokio::time::sleep(50 * MS).await;
        throttled.oneshot(post("")).await.unwrap();
        other.oneshot(to("https://other.example/")).await
    };
    let (out, other) = tokio::join!(failing.oneshot(get()), meanwhile);
    assert_eq!((status(&out), status(&other)), (200, 200));
    assert_eq!(elsewhere.times(), [1_050 * MS]);
}
