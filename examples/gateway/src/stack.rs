//! The layers, stacked: what one configuration makes of a request.
//!
//! Outermost first: the limit by address, API keys, the caches, the tenants' limits, retries, the upstreams (an
//! attempt at each is guarded by a circuit breaker, and has so long to answer). Why in this order says the guide to stacking of
//! the crate `buttress`. What the configuration leaves out is not there, and costs nothing.

use std::{
    convert::Infallible,
    future::{Future, ready},
    net::SocketAddr,
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request},
    response::Response,
};
use buttress_core::View as _;
use buttress_http::{ClientIp, Head};
use buttress_retry::Budget;
use tower_layer::Layer as _;

use crate::{
    cache::Caches,
    call::{Call, Told},
    config::{Config, Preflight, RetryConfig, UpstreamConfig, Violation},
    cors::Pages,
    keys::{CheckKeys, Keys},
    limits::{ApiKey, Limits},
    path::Prefix,
    patience::OfPaths,
    preflight,
    proxy::Proxy,
    retry,
    shared::{Serve as _, Shared},
    shutdown::Shutdown,
    speak::{Caller, OpenAiPaths},
    telemetry::Telemetry,
    upstreams::Upstreams,
    well_formed,
};

/// What is in force.
#[derive(Debug)]
pub(crate) struct Stack {
    config: Config,
    limits: Limits,
    upstreams: Arc<Upstreams>,
    /// What may be spent on retries, where there are any.
    budget: Option<Budget>,
    caches: Caches,
    client: ClientIp,
    openai: OpenAiPaths,
    pages: Pages,
    service: Shared,
}

impl Stack {
    /// Builds it from `config`, with what of `before` can be kept. `upstreams` are those of the configuration,
    /// or the built-in one.
    pub(crate) fn build(
        config: &Config,
        upstreams: &[UpstreamConfig],
        shutdown: &Shutdown,
        before: Option<&Self>,
    ) -> Result<Self, Violation> {
        let client = config.client_ip.build()?;
        let kept = before.filter(|before| before.has_limits_of(config));
        let limits = match kept {
            // Their counters, too.
            Some(before) => before.limits.clone(),
            None => Limits::build(config)?,
        };
        let keys = config.limits.per_key.as_ref().map(Keys::of).transpose()?;
        let upstreams = Upstreams::build(
            upstreams,
            config.circuit_breaker.as_ref(),
            &config.timeouts,
            shutdown,
            before.map(|before| &*before.upstreams),
        )?;

        let budget = match before {
            // What was spent stays spent.
            Some(before) if before.config.retry == config.retry => before.budget.clone(),
            _ => config.retry.as_ref().map(RetryConfig::budget).transpose()?,
        };
        let retry = config.retry.as_ref().zip(budget.clone());
        let circuit_breaker = config.circuit_breaker.as_ref();
        let throttled = circuit_breaker.map(|it| it.throttled).unwrap_or_default();
        let retry = retry.map(|(retry, budget)| retry::layer(retry, budget, &upstreams, throttled));
        let patience = OfPaths::of(&config.timeouts);
        let proxy = Proxy::to(&upstreams, retry.transpose()?, &config.client_ip, patience);
        let mut service = match &limits.tenants {
            Some(tenants) => Shared::layered(tenants.layer(proxy)),
            None => Shared::layered(proxy),
        };
        let api_key = config.limits.per_key.as_ref();
        let api_key = api_key
            .map(|per_key| ApiKey::at(&per_key.key))
            .transpose()?;
        let caches = Caches::build(
            &config.cache.routes,
            api_key.as_ref(),
            before.map(|before| &before.caches),
        )?;
        service = caches.before(service, &config.client_ip);
        if let Some(keys) = keys {
            service = Shared::of(CheckKeys {
                inner: service,
                keys,
            });
        }
        if let Some(per_ip) = &limits.per_ip {
            service = Shared::layered(per_ip.layer(service));
        }

        if kept.is_some() {
            // Last of all: nothing that may fail comes behind it.
            limits.set_quotas(&config.limits)?;
        } else if before.is_some() {
            tracing::warn!("the limits are other ones now, and begin to count anew");
        }
        Ok(Self {
            openai: OpenAiPaths(
                config
                    .errors
                    .openai
                    .iter()
                    .filter_map(|path| Prefix::of(path))
                    .collect(),
            ),
            pages: Pages::of(&config.errors.cors),
            config: config.clone(),
            limits,
            upstreams,
            budget,
            caches,
            client,
            service,
        })
    }

    fn has_limits_of(&self, config: &Config) -> bool {
        self.config.limits.is_but_for_quotas(&config.limits)
            && self.config.client_ip == config.client_ip
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) const fn caches(&self) -> &Caches {
        &self.caches
    }

    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// Answers a request of `peer`, and tells `telemetry` of it. The request begins its way inwards at once, for a future that
    /// kept it until it is polled would be moved with all that it holds.
    pub(crate) fn answer(
        &self,
        telemetry: &Arc<Telemetry>,
        peer: SocketAddr,
        mut request: Request,
    ) -> impl Future<Output = Result<Response<Told>, Infallible>> + Send + use<> {
        request.extensions_mut().insert(ConnectInfo(peer));
        let head = Head::of(&request);
        let client = self.client.of(head).ok();
        let call = Call::begin(telemetry, client, head.method(), head.uri());
        let caller = Caller::of(head, &self.openai);
        let page = self.pages.of_request(head.headers());
        let answer = match well_formed::failure(&request) {
            Some(failure) => Box::pin(ready(Ok(call.with(|| well_formed::refuse(failure))))),
            None => {
                if self.config.limits.preflight == Preflight::Pass {
                    preflight::mark(&mut request);
                }
                call.with(|| self.service.serve(request))
            }
        };
        async move {
            let response = call.run(answer).await?;
            let mut response = caller.hears(response);
            if let Some(page) = page {
                page.reads(&mut response);
            }
            call.answered(response.status());
            Ok(response.map(|body| Told::to(call, body)))
        }
    }
}
