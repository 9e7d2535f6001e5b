//! The same stacks on all that they are meant for: cloned, sent between threads, kept, and named.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::connect_info::ConnectInfo,
    http::{Request, Response, StatusCode},
    routing::get,
};
use buttress::{
    CacheLayer, CircuitBreakerLayer, ClientIp, GrpcCode, Policy, RateLimitLayer, RetryLayer, Trip,
    keys::Authority,
    rate_limit::Pacing,
    retry::{HyperErrors, ReplayBody},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{self, Client},
    rt::TokioExecutor,
};
use tokio::net::TcpListener;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _, util::BoxCloneSyncService};
use tower_http::timeout::TimeoutLayer;

/// What a service has to be to stand anywhere.
fn stands<S, R>(service: S) -> S
where
    S: Service<R, Future: Send> + Clone + Send + Sync + 'static,
{
    service
}

fn limit(name: &str) -> RateLimitLayer {
    RateLimitLayer::http(Policy::new(name, "100/s").key(ClientIp::peer()))
        .build()
        .unwrap()
}

fn pace() -> RateLimitLayer {
    let policy = Policy::new("pace", "1000/s")
        .key(Authority)
        .algorithm(Pacing::up_to(Duration::from_secs(10)));
    RateLimitLayer::http(policy).build().unwrap()
}

fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::http(Trip::consecutive_failures(5))
        .build()
        .unwrap()
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(30))
}

/// All layers of a server, around an axum router.
fn server() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .layer(timeout())
        .layer(breaker())
        .layer(limit("per-tenant"))
        .layer(CacheLayer::shared().build().unwrap())
        .layer(limit("per-ip"))
}

#[tokio::test]
async fn on_an_axum_server() {
    let named: BoxCloneSyncService<Request<Body>, Response<Body>, Infallible> =
        BoxCloneSyncService::new(stands::<_, Request<Body>>(server()));
    let mut request = Request::get("http://example.com/")
        .body(Body::empty())
        .unwrap();
    let peer = SocketAddr::from(([192, 0, 2, 1], 9_999));
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = named.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let fields = response.headers().get_all("ratelimit").iter().count();
    assert!(fields >= 1, "{:?}", response.headers());
    assert!(response.headers().contains_key("cache-status"));
}

#[tokio::test]
async fn around_a_hyper_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let app = server().into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let client = Client::builder(TokioExecutor::new())
        .retry_canceled_requests(false)
        .build_http();
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(CacheLayer::private().build().unwrap())
        .layer(RetryLayer::http().build().unwrap())
        .layer(pace())
        .layer(breaker())
        .service(client);
    let named: BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, legacy::Error> =
        BoxCloneSyncService::new(stands(stack));
    for body in ["", "a body"] {
        let request = Request::get(&uri).body(Full::from(body)).unwrap();
        let response = named.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "hello"
        );
    }
    server.abort();
}

#[tokio::test]
async fn around_reqwest() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let app = server().into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let client = reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .build()
        .unwrap();
    // reqwest takes and gives its own types only.
    let send = tower::service_fn(move |request: Request<ReplayBody<reqwest::Body>>| {
        let client = client.clone();
        async move {
            let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap))?;
            let response = client.execute(request).await?;
            Ok(Response::<reqwest::Body>::from(response))
        }
    });
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(reqwest::Body::wrap))
        .layer(CacheLayer::private().build().unwrap())
        .layer(
            RetryLayer::http()
                .classify_errors(HyperErrors)
                .build()
                .unwrap(),
        )
        .layer(pace())
        .layer(breaker())
        .service(send);
    let named: BoxCloneSyncService<
        Request<reqwest::Body>,
        Response<reqwest::Body>,
        reqwest::Error,
    > = BoxCloneSyncService::new(stands(stack));
    for body in ["", "a body"] {
        let request = reqwest::Client::new().get(&uri).body(body).build().unwrap();
        let request = Request::try_from(request).unwrap();
        let response = named.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers().contains_key("cache-status"));
        let response = reqwest::Response::from(response);
        assert_eq!(response.text().await.unwrap(), "hello");
    }
    server.abort();

    // Nobody listens there. An error that the layers hand on is reqwest's own.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/", nobody.local_addr().unwrap());
    drop(nobody);
    let request = Request::get(uri).body(reqwest::Body::default()).unwrap();
    let error = named.oneshot(request).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn around_a_tonic_channel() {
    // Nobody listens there: what is asked is that the stack can be made, kept and named, and that its answer is
    // the channel's own error.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(tonic::body::Body::new))
        .layer(
            RetryLayer::grpc([GrpcCode::Unavailable])
                .max_attempts(2)
                .backoff(Duration::from_millis(1))
                .build()
                .unwrap(),
        )
        .layer(pace())
        .layer(breaker())
        .map_request(|request: Request<_>| request.map(tonic::body::Body::new))
        .service(channel);
    let named: BoxCloneSyncService<
        Request<tonic::body::Body>,
        Response<tonic::body::Body>,
        tonic::transport::Error,
    > = BoxCloneSyncService::new(stands(stack));

    let mut client = tonic::client::Grpc::new(named);
    client.ready().await.unwrap();
    let path = "/package.Service/Method".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let answer = client.unary(tonic::Request::new(()), path, codec).await;
    assert!(answer.is_err());
}

#[tokio::test]
async fn on_a_tonic_server() {
    let stack = ServiceBuilder::new()
        .layer(limit("per-ip"))
        .layer(limit("per-tenant"))
        .layer(breaker())
        .into_inner();
    let _named: BoxCloneSyncService<
        Request<tonic::body::Body>,
        Response<tonic::body::Body>,
        Infallible,
    > = BoxCloneSyncService::new(stands::<_, Request<tonic::body::Body>>(
        ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(tonic::body::Body::new))
            .layer(stack.clone())
            .service(tonic::service::Routes::default()),
    ));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .layer(stack)
        .add_routes(tonic::service::Routes::default())
        .serve_with_incoming_shutdown(
            tokio_stream::wrappers::TcpListenerStream::new(listener),
            async {
                let _ = stopped.await;
            },
        );
    let server = tokio::spawn(server);

    let channel = tonic::transport::Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = "/package.Service/Method".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let answer = client.unary(tonic::Request::new(()), path, codec).await;
    let refused = answer.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
    assert!(refused.metadata().contains_key("ratelimit"), "{refused:?}");
    let _ = stop.send(());
    server.await.unwrap().unwrap();
}

/// Errors of any kind pass: a service that fails with a boxed one keeps it.
#[tokio::test]
async fn errors_pass_as_they_are() {
    let failing = tower::service_fn(|_: Request<_>| async {
        Err::<Response<Full<Bytes>>, BoxError>("no route to host".into())
    });
    let stack = ServiceBuilder::new()
        .layer(CacheLayer::private().build().unwrap())
        .layer(RetryLayer::http().max_attempts(1).build().unwrap())
        .layer(pace())
        .layer(breaker())
        .service(failing);
    let request = Request::get("http://api.example/")
        .body(Full::<Bytes>::default())
        .unwrap();
    let error = stands(stack).oneshot(request).await.unwrap_err();
    assert_eq!(error.to_string(), "no route to host");
}
