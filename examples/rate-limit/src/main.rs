//! An axum server with three rate limits.
//!
//! ```text
//! cargo run -p rate-limit
//! curl -i http://127.0.0.1:3000/                                     # 5 a second by address, 10 at once
//! curl -i http://127.0.0.1:3000/report -H 'authorization: Bearer me' # and 2 a minute by API key
//! ```
//!
//! Another address to listen on can be given: `cargo run -p rate-limit 127.0.0.1:0`.

use std::{error::Error, net::SocketAddr};

use axum::{Json, Router, routing::get};
use buttress::{
    ClientIp, Head, Policy, Quota, RateLimitLayer,
    core::{KeyWriter, MissingKey},
};
use tokio::net::TcpListener;

fn app() -> Result<Router, Box<dyn Error>> {
    // Outermost: what each address may do, on every route, before anything else is looked at.
    let per_ip = Policy::new("per-ip", Quota::per_second(5).burst(10)).key(ClientIp::peer());

    // One route is dear: by API key, and at most so many for all of them together. A request is charged to
    // both or to none.
    let per_key = Policy::new("per-key", "2/min").key(api_key);
    let everybody = Policy::new("everybody", "100/min");

    Ok(Router::new()
        .route("/report", get(report))
        .route_layer(RateLimitLayer::http(per_key).policy(everybody).build()?)
        .route("/", get(|| async { "hello\n" }))
        .layer(RateLimitLayer::http(per_ip).build()?))
}

/// The bearer token, written as a secret: it is hashed, and never shown.
fn api_key(head: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
    let header = head
        .headers()
        .get("authorization")
        .map(|value| value.as_bytes());
    let token = header.and_then(|value| value.strip_prefix(b"Bearer "));
    key.secret(token.ok_or(MissingKey::new(
        "the Authorization header holds no bearer token",
    ))?);
    Ok(())
}

async fn report() -> Json<[u32; 3]> {
    Json([3, 1, 4])
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // With connect info, or the limiter would not know whom it talks to.
    let service = app()?.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}
