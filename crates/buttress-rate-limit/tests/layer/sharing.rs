//! Rule 2 of the house: the state belongs to the layer's whole family. R6 of the traps.

use std::{net::Ipv4Addr, time::Duration};

use buttress_http::{ClientIp, Head};
use buttress_rate_limit::{AsResponse, Policy, RateLimit, RateLimitLayer};
use tower::{Layer as _, ServiceExt as _, util::BoxCloneSyncService};

use crate::support::{Handler, clock, from_peer, http, send, status_of};

#[tokio::test]
async fn services_of_one_layer_and_their_clones_share_one_state() {
    let handler = Handler::default();
    let layer = http(Policy::new("per-ip", "3/h").key(ClientIp::peer()))
        .clock(clock())
        .build()
        .unwrap();
    let twin = layer.clone();
    let mut service = layer.layer(handler.service());
    let mut clone = service.clone();
    let request = || from_peer(Ipv4Addr::LOCALHOST);

    assert_eq!(status_of(&mut service, request()).await, 200);
    assert_eq!(status_of(&mut clone, request()).await, 200);
    assert_eq!(send(&twin, &handler, request()).await.status, 200);
    assert_eq!(send(&layer, &handler, request()).await.status, 429);
    assert_eq!(status_of(&mut service, request()).await, 429);
}

/// What a struct's field needs: a type that can be written down, with no parameter of the user's.
#[derive(Clone)]
struct App {
    layer: RateLimitLayer,
    service: BoxCloneSyncService<
        http::Request<()>,
        http::Response<buttress_http::ResponseBody<buttress_rate_limit::MeteredBody<String>>>,
        std::convert::Infallible,
    >,
}

#[tokio::test]
async fn the_types_can_be_named_and_sent() {
    fn everywhere<T: Send + Sync + Clone + 'static>(_: &T) {}

    let handler = Handler::default();
    let layer = http(Policy::new("all", "1/h"))
        .clock(clock())
        .build()
        .unwrap();
    let service: RateLimit<_, Head, AsResponse> = layer.layer(MakeSync(handler));
    everywhere(&service);
    let app = App {
        layer,
        service: BoxCloneSyncService::new(service),
    };
    everywhere(&app.layer);
    assert_eq!(
        app.clone()
            .service
            .oneshot(from_peer(Ipv4Addr::LOCALHOST))
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        app.service
            .oneshot(from_peer(Ipv4Addr::LOCALHOST))
            .await
            .unwrap()
            .status(),
        429
    );
}

#[derive(Clone)]
struct MakeSync(Handler);

impl tower::Service<http::Request<()>> for MakeSync {
    type Response = http::Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<()>) -> Self::Future {
        let _ = &self.0;
        std::future::ready(Ok(http::Response::default()))
    }
}

/// The default clock is tokio's, so a test that pauses time needs nothing else.
#[tokio::test(start_paused = true)]
async fn the_default_clock_follows_paused_time() {
    let handler = Handler::default();
    let layer = http(Policy::new("all", "1/min")).build().unwrap();
    let request = || from_peer(Ipv4Addr::LOCALHOST);
    assert_eq!(send(&layer, &handler, request()).await.status, 200);
    assert_eq!(send(&layer, &handler, request()).await.status, 429);
    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert_eq!(send(&layer, &handler, request()).await.status, 429);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(send(&layer, &handler, request()).await.status, 200);
}
