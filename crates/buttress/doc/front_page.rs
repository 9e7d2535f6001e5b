use axum::{Router, routing::get};
use buttress::{ClientIp, Policy, Quota, RateLimitLayer};
use std::net::SocketAddr;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let per_ip = Policy::new("per-ip", Quota::per_second(10).burst(20)).key(ClientIp::peer());
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .layer(RateLimitLayer::http(per_ip).build()?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
