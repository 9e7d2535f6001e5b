//! The upstreams, in order of preference, each behind a circuit breaker of its own.
//!
//! 1. An attempt goes to the first upstream whose circuit lets it go. Asking a circuit costs nothing and
//!    sends nothing, so a refusal by one passes the request on whole, with its body untouched.
//! 2. Where all of them refuse, the answer is a 503 with the time of the one that is ready first.
//! 3. An upstream that answers 429 or 503 with `Retry-After` is parked until then, and passed over so long.
//!
//! Upstreams outlive a reload: one whose name and circuit breaker are configured as before keeps its
//! circuit, and one whose address is as before its connections.

mod attempt;
mod next;
mod noted;
mod target;
mod tls;
mod upgrade;
mod upload;

use std::{sync::Arc, time::Duration};

use buttress_circuit_breaker::{
    CircuitBreakerLayer, CircuitBreakerService, Http, OrCall, Snapshot, State,
    telemetry::{Metrics, Tracing},
};
use buttress_http::Head;
use tower_layer::Layer as _;

use self::{attempt::Attempt, next::Next, noted::Noted, target::Target};
pub(crate) use self::{
    next::{Preferred, Tried},
    upgrade::Wanted,
};
use crate::{
    config::{CircuitBreakerConfig, UpstreamConfig, Violation, breaker_violation},
    shutdown::Shutdown,
};

/// All of them.
#[derive(Debug)]
pub(crate) struct Upstreams(Vec<Upstream>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Upstream {
    name: Arc<str>,
    config: UpstreamConfig,
    circuit: CircuitBreakerConfig,
    target: Arc<Target>,
    layer: CircuitBreakerLayer<Head, OrCall<Http, Next>>,
    guarded: Guarded,
}

/// A call that its circuit refuses goes to the [`Next`].
type Guarded = CircuitBreakerService<Attempt, Head, OrCall<Http, Next>>;

impl Upstreams {
    /// As configured, and with what of `before` can be kept.
    pub(crate) fn build(
        upstreams: &[UpstreamConfig],
        circuit: &CircuitBreakerConfig,
        patience: Duration,
        shutdown: &Shutdown,
        before: Option<&Self>,
    ) -> Result<Arc<Self>, Violation> {
        let built = upstreams.iter().enumerate().map(|(index, config)| {
            let name = config.name();
            let before = before.and_then(|before| before.0.iter().find(|it| &*it.name == name));
            Upstream::build(index, config, circuit, patience, shutdown, before)
        });
        let built = built.collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(Self(built)))
    }

    /// They, in order of preference.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.0.iter()
    }

    /// All of them, as bits.
    fn mask(&self) -> u32 {
        (0..self.0.len()).fold(0, |mask, index| mask | bit(index))
    }

    fn get(&self, index: usize) -> Option<&Upstream> {
        self.0.get(index)
    }

    /// How long it takes until one of them may be called again; `None` where nobody knows.
    pub(crate) fn ready_in(&self) -> Option<Duration> {
        self.0.iter().filter_map(Upstream::ready_in).min()
    }
}

impl Upstream {
    fn build(
        index: usize,
        config: &UpstreamConfig,
        circuit: &CircuitBreakerConfig,
        patience: Duration,
        shutdown: &Shutdown,
        before: Option<&Self>,
    ) -> Result<Self, Violation> {
        let name: Arc<str> = config.name().into();
        let target = match before {
            Some(before) if before.target.is_of(config) => Arc::clone(&before.target),
            _ => {
                let target = Target::of(config)
                    .map_err(|reason| Violation::new(format!("upstreams[{index}].ca"), reason));
                Arc::new(target?)
            }
        };
        let layer = match before {
            Some(before) if before.circuit == *circuit => before.layer.clone(),
            _ => circuit
                .layer()
                .name(&name)
                .observer((Noted(Arc::clone(&name)), (Tracing, Metrics::default())))
                .fallback_service(Next)
                .build()
                .map_err(|error| breaker_violation(&error))?,
        };
        let guarded = layer.layer(Attempt {
            index,
            name: Arc::clone(&name),
            target: Arc::clone(&target),
            patience: config.response.unwrap_or(patience),
            shutdown: shutdown.clone(),
        });
        Ok(Self {
            name,
            config: config.clone(),
            circuit: circuit.clone(),
            target,
            layer,
            guarded,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// How its circuit stands.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.layer.breaker().snapshot()
    }

    fn ready_in(&self) -> Option<Duration> {
        let snapshot = self.snapshot();
        match snapshot.state {
            // Opened by hand, and nobody knows for how long.
            State::ForcedOpen => None,
            _ => Some(snapshot.retry_after.unwrap_or(Duration::ZERO)),
        }
    }
}

/// The place of an upstream in a word of bits.
fn bit(index: usize) -> u32 {
    1_u32
        .checked_shl(u32::try_from(index).unwrap_or(u32::MAX))
        .unwrap_or(0)
}
