//! What `scripts/bench-http` measures: `http_target --listen 127.0.0.1:0 --mode refuse`.

use std::{error::Error, net::SocketAddr};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::header::CACHE_CONTROL,
    routing::get,
};
use buttress_core::clock::QuantaClock;
use buttress_http::ClientIp;
use buttress_rate_limit::{Policy, Quota, RateLimitLayer};
use clap::{Parser, ValueEnum};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

const KILOBYTE: &[u8] = &[b'x'; 1024];

/// A server to measure.
#[derive(Parser)]
struct Arguments {
    /// The address to listen on. With port 0 the system chooses one.
    #[arg(long)]
    listen: SocketAddr,

    /// What it answers.
    #[arg(long)]
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The handler's answer, without a layer.
    Bare,
    /// A refusal, with all fields and the body.
    Refuse,
    /// A kilobyte that may be cached for a year.
    Kilobyte,
    /// A kilobyte that may not be stored.
    Fresh,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { listen, mode } = Arguments::parse();
    let listener = TcpListener::bind(listen).await?;
    let hello = get(|| async { "hello\n" });
    let kilobyte = |control| get(move || async move { ([(CACHE_CONTROL, control)], KILOBYTE) });
    let handler = match mode {
        // For whoever asks, with a key or without: the gateway's callers have one.
        Mode::Kilobyte => kilobyte("public, max-age=31536000"),
        Mode::Fresh => kilobyte("no-store"),
        Mode::Bare | Mode::Refuse => hello,
    };
    let mut router = Router::new().route("/", handler);
    if mode == Mode::Refuse {
        let policy = Policy::new("per-ip", Quota::per_day(1)).key(ClientIp::peer());
        let layer = RateLimitLayer::http(policy)
            .clock(QuantaClock::starting_now())
            .build()?;
        router = router.layer(layer);
        use_up(router.clone()).await?;
    }
    println!("listening on http://{}", listener.local_addr()?);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

/// The one request that the quota admits, so that all that are measured are refused.
async fn use_up(router: Router) -> Result<(), Box<dyn Error>> {
    let mut request = Request::new(Body::empty());
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    request.extensions_mut().insert(ConnectInfo(peer));
    router.oneshot(request).await?;
    Ok(())
}
