//! Where operators look: `/-/metrics` for Prometheus, `/-/state` as JSON. On an address of its own, since
//! there is no password before it.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `http_server_requests_total` | counter | `method`; `status`, 499 where the client left before there was one |
//! | `http_server_request_duration_seconds` | histogram, to the end of the answer's body | `method` |
//! | `http_server_active_requests` | gauge | |
//! | `gateway_connections` | gauge: those that are open, also in tunnels | |
//! | `gateway_connections_full_total` | counter: how often there were as many as `connections`, so that no further one was accepted | |
//! | `gateway_connections_refused_total` | counter: those that were closed, as their client had `connections_per_client` | |
//! | `gateway_call_log_dropped_total` | counter: calls that the log misses | |
//! | `gateway_reloads_total` | counter | `result`: `done`, `refused` |
//! | `gateway_config_is_current` | gauge: 0 where the file that was read last was refused | |
//! | `circuitbreaker_parked_seconds` | gauge: for how long an upstream asked to be left alone | `name` |
//!
//! The layers have theirs, see the modules `telemetry` of their crates: `rate_limiting_requests`,
//! `http_cache_requests`, `retry_calls`, `circuitbreaker_calls`, `circuitbreaker_state` and so on. No label is
//! chosen by a client.

mod gauges;
mod metrics;
mod state;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, time};

pub(crate) use self::gauges::forget_gone;
pub use self::metrics::{InstallError, Metrics};
use crate::reload::InForce;

/// How often samples are sorted into their buckets, whether anybody asks for them or not: until then each
/// takes memory of its own.
const UPKEEP: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
struct Admin {
    in_force: InForce,
    metrics: Option<Metrics>,
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, in_force: InForce, metrics: Option<Metrics>) {
    let admin = Arc::new(Admin { in_force, metrics });
    let routes = Router::new()
        .route("/-/metrics", get(show_metrics))
        .route("/-/state", get(show_state))
        .with_state(admin);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!("the address for operators ended: {error}");
    }
}

/// Keeps the metrics' memory small, for ever.
pub(crate) async fn keep_up(metrics: Metrics) {
    let mut ticks = time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.keep_up();
    }
}

async fn show_metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    gauges::set(&admin.in_force);
    let text = admin.metrics.as_ref().map(Metrics::render);
    (
        [
            (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
        ],
        text.unwrap_or_default(),
    )
}

async fn show_state(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    (
        [(CACHE_CONTROL, "no-store")],
        Json(state::of(&admin.in_force)),
    )
}
