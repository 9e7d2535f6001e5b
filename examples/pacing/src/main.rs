//! A hyper client that stays under a server's limit, and is never refused.
//!
//! ```text
//! cargo run -p pacing
//! ```
//!
//! The server allows 20 requests a second, and many tasks want to call it at once: without the layer most of
//! them are refused; with it each waits for its turn, and those who come first go first.

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{
    Router,
    http::{Request, Response},
    routing::get,
};
use buttress::{
    ClientIp, FieldStyle, Policy, Quota, RateLimitLayer, keys::Authority, rate_limit::Pacing,
};
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{net::TcpListener, task::JoinSet};
use tower::{Layer as _, Service, ServiceExt as _};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = serve().await?;
    // hyper's client repeats requests by itself when a pooled connection turns out closed. The pace would not
    // know of it.
    let client = Client::builder(TokioExecutor::new())
        .retry_canceled_requests(false)
        .build_http();
    println!(
        "without pacing: {} of 200 were refused",
        refused(200, server, client.clone()).await
    );

    // A little slower than the server allows: it sees each request earlier or later by what the way takes.
    let policy = Policy::new("pace", Quota::per_second(18).burst(1))
        .key(Authority)
        .algorithm(Pacing::up_to(Duration::from_secs(10)));
    let pace = RateLimitLayer::http(policy)
        .fields(FieldStyle::None)
        .build()?;
    tokio::time::sleep(Duration::from_secs(1)).await; // the server's quota is whole again
    println!(
        "with pacing: {} of 40 were refused",
        refused(40, server, pace.layer(client)).await
    );
    Ok(())
}

/// Of so many calls at once.
async fn refused<S, B>(calls: usize, server: SocketAddr, client: S) -> usize
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    let mut tasks = JoinSet::new();
    for _ in 0..calls {
        let client = client.clone();
        tasks.spawn(async move {
            let request = Request::get(format!("http://{server}/"))
                .body(Empty::new())
                .ok()?;
            let response = client.oneshot(request).await.ok()?;
            Some(response.status().is_success())
        });
    }
    tasks
        .join_all()
        .await
        .into_iter()
        .filter(|admitted| *admitted != Some(true))
        .count()
}

/// A server with a limit of its own.
async fn serve() -> Result<SocketAddr, Box<dyn Error>> {
    let limit = Policy::new("per-ip", Quota::per_second(20)).key(ClientIp::peer());
    let app = Router::new()
        .route("/", get(|| async { "hello\n" }))
        .layer(RateLimitLayer::http(limit).build()?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Ok(address)
}
