//! The layers, stacked: what one configuration makes of a request.
//!
//! Outermost first: the limit by address, API keys, the tenants' limits, the upstreams (an attempt at each is
//! guarded by a circuit breaker, and has so long to answer). Why in this order says the guide to stacking of
//! the crate `buttress`.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request},
    response::Response,
};
use buttress_core::View as _;
use buttress_http::{ClientIp, Head};
use tower::ServiceExt as _;
use tower_layer::Layer as _;
use tower_service::Service as _;

use crate::{
    call::{Call, Told},
    config::{Config, UpstreamConfig, Violation},
    keys::{CheckKeys, Keys},
    limits::Limits,
    path::Prefix,
    proxy::Proxy,
    shared::Shared,
    shutdown::Shutdown,
    speak::{Caller, OpenAiPaths},
    standing,
    telemetry::Telemetry,
    upstreams::{Preferred, Upstreams},
};

/// What is in force.
#[derive(Debug)]
pub(crate) struct Stack {
    config: Config,
    limits: Limits,
    upstreams: Arc<Upstreams>,
    client: ClientIp,
    openai: OpenAiPaths,
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
        let limits = match before {
            // Their counters, too.
            Some(before) if before.has_limits_of(config) => before.limits.clone(),
            _ => Limits::build(config)?,
        };
        let keys = config.limits.per_key.as_ref().map(Keys::of).transpose()?;
        let upstreams = Upstreams::build(
            upstreams,
            &config.circuit_breaker,
            config.timeouts.response,
            shutdown,
            before.map(|before| &*before.upstreams),
        )?;

        let proxy = Proxy {
            upstreams: Preferred::of(Arc::clone(&upstreams)),
            client_ip: Arc::new(config.client_ip.clone()),
        };
        let mut service = Shared::of(proxy);
        if let Some(tenants) = &limits.tenants {
            let limited = tenants.layer(service);
            service = Shared::of(limited.map_response(standing::set_aside));
        }
        if let Some(keys) = keys {
            service = Shared::of(CheckKeys::before(service, Arc::new(keys)));
        }
        let limited = limits.per_ip.layer(service);
        let service = Shared::of(limited.map_response(standing::put_back));

        Ok(Self {
            openai: OpenAiPaths(
                config
                    .errors
                    .openai
                    .iter()
                    .filter_map(|path| Prefix::of(path))
                    .collect(),
            ),
            config: config.clone(),
            limits,
            upstreams,
            client,
            service,
        })
    }

    fn has_limits_of(&self, config: &Config) -> bool {
        self.config.limits == config.limits && self.config.client_ip == config.client_ip
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// Answers a request of `peer`, and tells `telemetry` of it.
    pub(crate) async fn answer(
        self: Arc<Self>,
        telemetry: Arc<Telemetry>,
        peer: SocketAddr,
        mut request: Request,
    ) -> Result<Response<Told>, Infallible> {
        request.extensions_mut().insert(ConnectInfo(peer));
        let head = Head::of(&request);
        let client = self.client.of(head).ok();
        let call = Call::begin(&telemetry, client, head.method(), head.uri());
        let caller = Caller::of(head, &self.openai);
        let mut service = self.service.clone();
        // What is in flight goes through the layers that it met.
        drop(self);
        let response = call.run(service.call(request)).await?;
        let response = caller.hears(response).await;
        call.answered(response.status());
        Ok(response.map(|body| Told::to(call, body)))
    }
}
