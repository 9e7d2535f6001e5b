use std::time::Duration;

use buttress_cache::Stats;
use buttress_circuit_breaker::Snapshot;
use buttress_rate_limit::{Limit, RateLimitLayer};
use serde::Serialize;

use crate::{
    config::{Config, LimitsConfig},
    connections::Connections,
    limits::{PER_IP, PER_KEY, PER_ROUTE, PER_ROUTE_SHADOW},
    reload::InForce,
};

/// How things stand.
#[derive(Debug, Serialize)]
pub(super) struct State {
    in_flight: u64,
    connections: ConnectionsState,
    limits: Vec<LimitState>,
    shadow_limits: Vec<ShadowState>,
    cache: Vec<CacheState>,
    upstreams: Vec<UpstreamState>,
    call_log: Option<CallLogState>,
    reloads: ReloadState,
}

#[derive(Debug, Serialize)]
struct ConnectionsState {
    open: usize,
    /// How many there may be.
    most: usize,
    most_per_client: usize,
    /// How often there were so many, and no further one was accepted.
    full: u64,
    /// How many were closed, as their client had so many.
    refused: u64,
}

#[derive(Debug, Serialize)]
struct LimitState {
    name: String,
    #[serde(flatten)]
    quota: QuotaState,
    algorithm: String,
    /// How often a client found no place of its own in the table.
    overflowed: u64,
}

/// A limit that is only tried out.
#[derive(Debug, Serialize)]
struct ShadowState {
    name: &'static str,
    #[serde(flatten)]
    quota: QuotaState,
    /// Since it is as it is.
    would_refuse: u64,
}

/// What a limit gives.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum QuotaState {
    Quota(String),
    /// To each path its own.
    Routes(Vec<RouteState>),
}

#[derive(Debug, Serialize)]
struct RouteState {
    path: String,
    quota: String,
}

#[derive(Debug, Serialize)]
struct CacheState {
    path: String,
    hits: u64,
    stale_hits: u64,
    forwarded: u64,
    collapsed: u64,
    validated: u64,
    stale_on_failure: u64,
    stored: u64,
    invalidated: u64,
    fetches_under_way: usize,
    keys: usize,
    bytes: u64,
    capacity: u64,
}

#[derive(Debug, Serialize)]
struct UpstreamState {
    name: String,
    url: String,
    http2: bool,
    /// None where there is no `[circuit_breaker]`, which is what parks an upstream, too.
    breaker: Option<BreakerState>,
    /// For how long it asked not to be called.
    parked_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct BreakerState {
    state: &'static str,
    /// For how long it will not be called.
    retry_after_ms: Option<u64>,
    calls: u64,
    failures: u64,
    slow_calls: u64,
    failure_rate: f64,
    slow_call_rate: f64,
    trips: u32,
    probes_in_flight: usize,
    not_permitted_calls: u64,
}

#[derive(Debug, Serialize)]
struct CallLogState {
    written: u64,
    dropped: u64,
}

#[derive(Debug, Serialize)]
struct ReloadState {
    done: u64,
    refused: u64,
    last: Option<String>,
    last_error: Option<String>,
}

/// How things stand now.
pub(super) fn of(in_force: &InForce) -> State {
    let stack = in_force.stack();
    let (limits, telemetry) = (stack.limits(), in_force.telemetry());
    let reloads = in_force.reloads();
    State {
        in_flight: telemetry.in_flight(),
        connections: ConnectionsState::of(in_force.connections(), stack.config()),
        limits: limits
            .layers()
            .flat_map(RateLimitLayer::limits)
            .map(|limit| LimitState::of(limit, &stack.config().limits))
            .collect(),
        shadow_limits: limits
            .shadows()
            .map(|(name, would_refuse)| ShadowState {
                name,
                quota: QuotaState::in_shadow(name, &stack.config().limits),
                would_refuse,
            })
            .collect(),
        cache: stack
            .caches()
            .iter()
            .map(|(path, cache)| CacheState::of(path, cache.stats()))
            .collect(),
        upstreams: stack.upstreams().iter().map(UpstreamState::of).collect(),
        call_log: telemetry.call_log().map(|log| CallLogState {
            written: log.written(),
            dropped: log.dropped(),
        }),
        reloads: ReloadState {
            done: reloads.done,
            refused: reloads.refused,
            last: reloads
                .last
                .map(|time| humantime::format_rfc3339_millis(time).to_string()),
            last_error: reloads.last_error,
        },
    }
}

impl ConnectionsState {
    fn of(connections: &Connections, config: &Config) -> Self {
        Self {
            open: connections.open(),
            most: config.connections,
            most_per_client: config.connections_per_client,
            full: connections.full(),
            refused: connections.refusals(),
        }
    }
}

impl LimitState {
    fn of(limit: &Limit, config: &LimitsConfig) -> Self {
        let quota = if limit.name() == PER_ROUTE {
            QuotaState::of_routes(config, false)
        } else {
            QuotaState::Quota(limit.quota().to_string())
        };
        Self {
            name: limit.name().to_owned(),
            quota,
            algorithm: format!("{:?}", limit.algorithm()),
            overflowed: limit.overflowed(),
        }
    }
}

impl QuotaState {
    fn in_shadow(name: &str, config: &LimitsConfig) -> Self {
        let quota = match name {
            PER_ROUTE_SHADOW => return Self::of_routes(config, true),
            PER_IP => config.per_ip.as_ref().and_then(|it| it.quota().ok()),
            PER_KEY => config.per_key.as_ref().map(|it| it.quota),
            _ => config.global.as_ref().map(|it| it.quota),
        };
        Self::Quota(quota.map(|quota| quota.to_string()).unwrap_or_default())
    }

    fn of_routes(config: &LimitsConfig, shadow: bool) -> Self {
        let routes = config.routes.iter().filter(|route| route.shadow == shadow);
        let routes = routes.map(|route| RouteState {
            path: route.path.clone(),
            quota: route.quota.to_string(),
        });
        Self::Routes(routes.collect())
    }
}

impl CacheState {
    fn of(path: &str, stats: Stats) -> Self {
        Self {
            path: path.to_owned(),
            hits: stats.hits,
            stale_hits: stats.stale_hits,
            forwarded: stats.forwarded,
            collapsed: stats.collapsed,
            validated: stats.validated,
            stale_on_failure: stats.stale_on_failure,
            stored: stats.stored,
            invalidated: stats.invalidated,
            fetches_under_way: stats.under_way,
            keys: stats.usage.keys,
            bytes: stats.usage.bytes,
            capacity: stats.usage.capacity,
        }
    }
}

impl UpstreamState {
    fn of(upstream: &crate::upstreams::Upstream) -> Self {
        let (config, snapshot) = (upstream.config(), upstream.snapshot());
        Self {
            name: upstream.name().to_owned(),
            url: config.url.to_string(),
            http2: config.http2,
            breaker: snapshot.as_ref().map(BreakerState::of),
            parked_ms: snapshot.and_then(|it| it.parked).map(millis_up),
        }
    }
}

impl BreakerState {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            state: snapshot.state.as_str(),
            retry_after_ms: snapshot.retry_after.map(millis_up),
            calls: snapshot.calls,
            failures: snapshot.failures,
            slow_calls: snapshot.slow_calls,
            failure_rate: snapshot.failure_rate(),
            slow_call_rate: snapshot.slow_call_rate(),
            trips: snapshot.trips,
            probes_in_flight: snapshot.probes_in_flight,
            not_permitted_calls: snapshot.not_permitted_calls,
        }
    }
}

/// Rounded up: nothing is ready earlier.
fn millis_up(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
