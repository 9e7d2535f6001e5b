//! Rule: a call made at once uses the service that was made ready, no clone is called unready (the origin
//! of these tests panics), and what is not called is given back.

use std::{convert::Infallible, time::Duration};

use buttress_cache::CacheLayer;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service as _, ServiceBuilder, ServiceExt as _};

fn request(path: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://example.com{path}");
    Request::get(uri).body(Full::default()).unwrap()
}

type Fresh = Result<Response<Full<Bytes>>, Infallible>;

async fn fresh(_: Request<Full<Bytes>>) -> Fresh {
    tokio::time::sleep(Duration::from_millis(5)).await;
    let response = Response::builder().header("cache-control", "max-age=60");
    Ok(response.body(Full::from("body")).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_hit_gives_back_the_permit_that_it_does_not_use() {
    let cache = CacheLayer::shared().build().unwrap();
    let service = ServiceBuilder::new()
        .layer(cache)
        .concurrency_limit(1)
        .service_fn(fresh);
    let mut first = service.clone();
    first
        .ready()
        .await
        .unwrap()
        .call(request("/a"))
        .await
        .unwrap();

    // An idle connection that made its service ready, and then was answered from the store.
    let mut idle = service.clone();
    let hit = idle
        .ready()
        .await
        .unwrap()
        .call(request("/a"))
        .await
        .unwrap();
    assert_eq!(hit.into_body().collect().await.unwrap().to_bytes(), "body");
    let other = tokio::time::timeout(Duration::from_secs(60), service.oneshot(request("/b")));
    assert!(other.await.is_ok(), "the permit is held by {idle:?}");
}

#[tokio::test(start_paused = true)]
async fn followers_over_a_limit_of_one_do_not_deadlock() {
    for cache_control in ["max-age=60", "private"] {
        let origin = move |_: Request<Full<Bytes>>| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let response = Response::builder().header("cache-control", cache_control);
            Ok::<_, Infallible>(response.body(Full::<Bytes>::from("body")).unwrap())
        };
        let cache = CacheLayer::shared().build().unwrap();
        let service = ServiceBuilder::new()
            .layer(cache)
            .concurrency_limit(1)
            .service_fn(origin);
        let asked: Vec<_> = (0..20)
            .map(|_| tokio::spawn(service.clone().oneshot(request("/a"))))
            .collect();
        for asked in asked {
            let answered = tokio::time::timeout(Duration::from_secs(60), asked).await;
            let response = answered.expect(cache_control).unwrap().unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "body");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_very_service_that_was_made_ready_is_called() {
    let (mock, mut handle) =
        tower_test::mock::pair::<Request<Full<Bytes>>, Response<Full<Bytes>>>();
    let mut service = CacheLayer::shared().build().unwrap().layer(mock);
    handle.allow(1);
    // There is one permit, and it is taken here: another clone could not be made ready.
    service.ready().await.unwrap();
    let answered = service.call(request("/a"));
    let (asked, respond) = handle.next_request().await.unwrap();
    assert_eq!(asked.uri().path(), "/a");
    let fresh = Response::builder().header("cache-control", "max-age=60");
    respond.send_response(fresh.body(Full::from("body")).unwrap());
    assert_eq!(answered.await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_inner_services_own_readiness_is_forwarded() {
    let (mock, mut handle) =
        tower_test::mock::pair::<Request<Full<Bytes>>, Response<Full<Bytes>>>();
    let mut service = CacheLayer::shared().build().unwrap().layer(mock);
    handle.allow(0);
    let ready = tokio::time::timeout(Duration::from_secs(1), service.ready()).await;
    assert!(ready.is_err());
    handle.send_error("closed");
    assert_eq!(service.ready().await.unwrap_err().to_string(), "closed");
}

/// What a call holds is given back with its answer, and not when the answer's body has been read.
#[tokio::test(start_paused = true)]
async fn a_call_that_has_answered_holds_nothing() {
    let origin = |_: Request<Full<Bytes>>| async {
        let (sender, body) = http_body_util::Channel::<Bytes, Infallible>::new(1);
        // Open for as long as anybody reads.
        tokio::spawn(async move {
            let _sender = sender;
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        });
        let response = Response::builder().header("cache-control", "max-age=60");
        Ok::<_, Infallible>(response.body(body).unwrap())
    };
    let cache = CacheLayer::shared().build().unwrap();
    let service = ServiceBuilder::new()
        .layer(cache)
        .concurrency_limit(1)
        .service_fn(origin);
    let _streaming = service.clone().oneshot(request("/a")).await.unwrap();
    let other = tokio::time::timeout(Duration::from_secs(60), service.oneshot(request("/b")));
    assert!(other.await.is_ok(), "the permit is held by the body");
}

#[tokio::test(start_paused = true)]
async fn a_follower_gives_back_the_permit_that_it_does_not_use() {
    let origin = |request: Request<Full<Bytes>>| async move {
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        fresh(request).await
    };
    let cache = CacheLayer::shared().build().unwrap();
    let service = ServiceBuilder::new()
        .layer(cache)
        .concurrency_limit(2)
        .service_fn(origin);
    let mut leading = service.clone();
    let leader = leading.ready().await.unwrap().call(request("/slow"));
    // Both permits are taken; the second one by who will only wait for the answer to the first.
    let mut following = service.clone();
    let follower = following.ready().await.unwrap().call(request("/slow"));
    let follower = tokio::spawn(follower);
    let other = tokio::time::timeout(Duration::from_secs(30), service.oneshot(request("/b")));
    assert!(other.await.is_ok(), "the permit is held by {following:?}");
    for answered in [leader.await, follower.await.unwrap()] {
        let body = answered.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "body");
    }
}
