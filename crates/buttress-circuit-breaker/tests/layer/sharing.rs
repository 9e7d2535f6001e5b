//! Rule 2 of the house: the state belongs to the layer's whole family.

use buttress_circuit_breaker::{CircuitBreakerLayer, CircuitBreakerService, GuardedBody, State};
use buttress_core::clock::ManualClock;
use http::{Request, Response};
use tower::{Layer as _, Service as _, ServiceExt as _, util::BoxCloneSyncService};

use crate::support::{Frames, Upstream, request, send, touchy};

#[tokio::test]
async fn services_of_one_layer_and_their_clones_share_one_circuit() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).build().unwrap();
    let twin = layer.clone();
    let mut service = layer.layer(upstream.service());
    let mut clone = service.clone();
    upstream.will_say(500);
    let ready = service.ready().await.unwrap();
    assert_eq!(ready.call(request()).await.unwrap().status(), 500);
    let ready = clone.ready().await.unwrap();
    assert_eq!(ready.call(request()).await.unwrap().status(), 503);
    assert_eq!(send(&twin, &upstream, request()).await.unwrap().status, 503);
    assert_eq!(twin.breaker().state(), State::Open);
    assert_eq!(upstream.calls(), 1);
}

/// What a struct's field needs: a type that can be written down, with no parameter of the user's.
#[derive(Clone)]
struct App {
    layer: CircuitBreakerLayer,
    service: BoxCloneSyncService<Request<()>, Response<GuardedBody<Frames>>, &'static str>,
}

#[tokio::test]
async fn the_types_can_be_named_and_sent() {
    fn everywhere<T: Send + Sync + Clone + 'static>(_: &T) {}

    let clock = ManualClock::default();
    let layer = touchy(&clock).build().unwrap();
    let service: CircuitBreakerService<_> = layer.layer(Always);
    everywhere(&service);
    let app = App {
        layer,
        service: BoxCloneSyncService::new(service),
    };
    everywhere(&app.layer);
    let response = app.service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[derive(Clone)]
struct Always;

impl tower::Service<Request<()>> for Always {
    type Response = Response<Frames>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        std::future::ready(Ok(Response::new(Frames::default())))
    }
}
