//! An axum service whose upstream may be down.
//!
//! ```text
//! cargo run -p circuit-breaker --bin upstream 127.0.0.1:4000
//! cargo run -p circuit-breaker 127.0.0.1:3000 127.0.0.1:4000    # in a second terminal
//! curl -i http://127.0.0.1:3000/          # in a third: 200, from the upstream
//! ```
//!
//! Stop the upstream and ask on: three times 502, then 503 at once, with a `Retry-After` that falls. Start it
//! again: when the time is up one request goes as a probe, and the circuit closes. `/circuit` shows how it stands.

use std::{error::Error, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, StatusCode, uri::Authority},
    response::{IntoResponse, Response},
    routing::get,
};
use buttress_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitBreakerService, Trip};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::net::TcpListener;
use tower::{Layer as _, ServiceExt as _};

#[derive(Clone)]
struct Upstream {
    client: CircuitBreakerService<Client<HttpConnector, Body>>,
    authority: Authority,
}

/// Asks the upstream what we were asked. A refusal of the circuit is a response, and goes back as it is: 503 with
/// the time left.
async fn ask(State(upstream): State<Upstream>, request: Request<Body>) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let uri = format!("http://{}{path}", upstream.authority);
    let request = Request::get(uri).body(Body::empty());
    let Ok(request) = request else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match upstream.client.oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error}\n")).into_response(),
    }
}

async fn show(State(circuit): State<CircuitBreaker>) -> String {
    let snapshot = circuit.snapshot();
    format!("{} {:?}\n", snapshot.state, snapshot.retry_after)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or("127.0.0.1:3000".to_owned());
    let upstream = arguments.next().unwrap_or("127.0.0.1:4000".to_owned());

    let circuit = CircuitBreakerLayer::http(Trip::consecutive_failures(3))
        .name("upstream")
        .open_for(Duration::from_secs(3))
        .probes(1)
        .build()?;
    let client = Client::builder(TokioExecutor::new())
        // hyper's client tries again by itself where the circuit should hear of it.
        .retry_canceled_requests(false)
        .build_http();
    let upstream = Upstream {
        client: circuit.layer(client),
        authority: upstream.parse()?,
    };
    let app = Router::new()
        .route("/circuit", get(show))
        .with_state(circuit.breaker())
        .fallback(ask)
        .with_state(upstream);

    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}
