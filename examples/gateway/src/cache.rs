//! The caches: one for each route that has one, and none for the others.
//!
//! They stand inside of the API keys, so that nobody is answered who may not ask, and outside of the tenants'
//! limits, so that a hit costs a tenant nothing. What a fetch meets on its way in is noted in the record of the
//! call that caused it, although a task of the cache's works on it, for as long as that call is there.

mod chosen;
mod credentials;

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use axum::extract::{ConnectInfo, Request};
use buttress_cache::{Cache, CacheLayer, Event, telemetry::Metrics};
use buttress_core::Observer;
use http::HeaderName;
use pin_project_lite::pin_project;
use tower_layer::Layer as _;
use tower_service::Service;

use self::credentials::Credentials;
use crate::{
    call::{Call, Decision},
    config::{CacheRouteConfig, ClientIpConfig, SharedBy, Violation, cache_violation},
    forwarded,
    limits::ApiKey,
    path::{Prefix, plain},
    shared::{Answer, Serve, Shared},
};

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Caches(Vec<Route>);

#[derive(Debug)]
struct Route {
    prefix: Prefix,
    config: CacheRouteConfig,
    key: Option<ApiKey>,
    /// Where API keys stand of those who share it.
    credentials: Option<HeaderName>,
    layer: CacheLayer,
}

impl Caches {
    /// As configured, and with what `before` has stored for a route that is configured as before.
    pub(crate) fn build(
        routes: &[CacheRouteConfig],
        key: Option<&ApiKey>,
        before: Option<&Self>,
    ) -> Result<Self, Violation> {
        let built = routes.iter().enumerate().map(|(index, config)| {
            let credentials = key.filter(|_| config.by == SharedBy::All);
            let credentials = credentials.and_then(ApiKey::own_header);
            let key = key.filter(|_| config.by == SharedBy::Key).cloned();
            let before = before.and_then(|before| {
                let mut routes = before.0.iter();
                routes.find(|route| {
                    route.config == *config && route.key == key && route.credentials == credentials
                })
            });
            let layer = match (before, &key) {
                (Some(before), _) => Ok(before.layer.clone()),
                (None, None) => observed(config).build(),
                (None, Some(key)) => observed(config).partition_by(key.clone()).build(),
            };
            let path = "expected a path";
            Ok(Route {
                prefix: Prefix::of(&config.path)
                    .ok_or_else(|| Violation::new(format!("cache.routes[{index}].path"), path))?,
                config: config.clone(),
                key,
                credentials,
                layer: layer.map_err(|error| cache_violation(index, &error))?,
            })
        });
        built.collect::<Result<_, _>>().map(Self)
    }

    /// They, by the path of their route.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Cache)> {
        self.0
            .iter()
            .map(|route| (&*route.config.path, route.layer.cache()))
    }

    /// `inner`, and the caches before it. `client_ip` says whose word about requests is believed.
    pub(crate) fn before(&self, inner: Shared, client_ip: &ClientIpConfig) -> Shared {
        if self.0.is_empty() {
            return inner;
        }
        let cached = self.0.iter().map(|route| {
            let inner = Credentials {
                inner: inner.clone(),
                field: route.credentials.clone(),
            };
            let cached = route.layer.layer(NotedByCaller(inner));
            (route.prefix.clone(), Shared::layered(cached))
        });
        let mut cached: Vec<_> = cached.collect();
        cached.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Shared::of(ByRoute {
            cached,
            uncached: inner,
            // Where nobody is believed, or everybody, nobody's word is another's.
            believed: client_ip.trusted.is_some().then(|| client_ip.clone()),
        })
    }
}

fn observed(config: &CacheRouteConfig) -> buttress_cache::CacheLayerBuilder {
    config.layer().observer((Noted, Metrics::default()))
}

/// Each request to the cache of its route, the longest that fits, or past all of them.
#[derive(Debug)]
struct ByRoute {
    cached: Vec<(Prefix, Shared)>,
    uncached: Shared,
    /// Whose word is believed, if that of some is.
    believed: Option<ClientIpConfig>,
}

impl Serve for ByRoute {
    fn serve(&self, mut request: Request) -> Answer {
        let path = plain(request.uri().path());
        let mut routes = self.cached.iter();
        let cached = routes.find(|(prefix, _)| prefix.covers(&path));
        drop(path);
        let Some((_, cached)) = cached else {
            return self.uncached.serve(request);
        };
        if let Some(believed) = &self.believed
            && let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>()
            && !believed.trusts(peer.ip())
        {
            forwarded::disbelieve(request.headers_mut());
        }
        cached.serve(request)
    }
}

/// What is decided further in is the affair of the call that asks now, whoever polls.
#[derive(Clone, Debug)]
struct NotedByCaller<S>(S);

impl<S: Service<Request>> Service<Request> for NotedByCaller<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = OnBehalf<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        OnBehalf {
            call: Call::current().as_ref().map(Arc::downgrade),
            future: self.0.call(request),
        }
    }
}

pin_project! {
    /// A future that is polled as a call's for as long as there is that call. It does not keep it: a fetch that goes
    /// on after its client has left is no part of the call.
    struct OnBehalf<F> {
        call: Option<Weak<Call>>,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for OnBehalf<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let call = this.call.as_ref().filter(|call| !Call::is_current(call));
        match call.and_then(Weak::upgrade) {
            Some(call) => call.with(|| this.future.poll(cx)),
            // Nobody's, or polled on the call's own way.
            None => this.future.poll(cx),
        }
    }
}

/// Writes what a cache decides into the record of the call.
#[derive(Clone, Copy, Debug)]
struct Noted;

impl Observer<Event<'_>> for Noted {
    fn observe(&self, event: &Event<'_>) {
        let verdict = match event {
            Event::Hit { stale: false, .. } => "hit",
            Event::Hit { stale: true, .. } => "stale",
            Event::Collapsed => "collapsed",
            Event::GatewayTimeout => "not_cached",
            Event::StaleOnFailure { .. } => "stale_on_failure",
            // RFC 9211's words: `uri-miss`, `vary-miss`, `stale`, `request`, `bypass`, `method`, ..
            Event::Forwarded { why, .. } => why.as_str(),
            _ => return,
        };
        Call::note(|| Decision::of("cache", verdict));
    }
}
