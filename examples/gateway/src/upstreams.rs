//! The upstreams, in order of preference, each behind a circuit breaker of its own if breakers are configured.
//!
//! 1. An attempt goes to the first upstream whose circuit lets it go. Asking a circuit costs nothing and
//!    sends nothing, so a refusal by one passes the request on whole, with its body untouched.
//! 2. Where all of them refuse, the answer is a 503 with the time of the one that is ready first.
//! 3. An upstream that answers 429 or 503 with `Retry-After` is parked until then, and passed over so long.
//!
//! Upstreams outlive a reload: one whose name, address and circuit breaker are configured as before keeps its circuit,
//! since what a host did is not held against another; and one whose address and certificates are as before keeps its
//! connections.

mod attempt;
mod connect;
mod download;
mod expect;
mod last_words;
mod next;
mod noted;
mod target;
mod tls;
mod upgrade;
mod upload;
mod waited;

use std::{sync::Arc, time::Duration};

use buttress_circuit_breaker::{
    CircuitBreakerLayer, CircuitBreakerService, Http, OrCall, Snapshot, State,
    telemetry::{Metrics, Tracing},
};
use buttress_http::Head;
use tower_layer::Layer as _;

use self::{
    attempt::{Attempt, Destination},
    next::Next,
    noted::Noted,
    target::Target,
};
pub(crate) use self::{next::Preferred, upgrade::Wanted};
use crate::{
    config::{CircuitBreakerConfig, Timeouts, UpstreamConfig, Violation, breaker_violation},
    patience::Patience,
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
    target: Arc<Target>,
    circuit: Option<Circuit>,
    service: Guarded,
}

/// The circuit of an upstream.
#[derive(Clone, Debug)]
struct Circuit {
    config: CircuitBreakerConfig,
    probe_deadline: Duration,
    layer: CircuitBreakerLayer<Head, OrCall<Http, Next>>,
}

/// An attempt at an upstream, behind its circuit if it has one.
#[derive(Clone, Debug)]
enum Guarded {
    /// A call that its circuit refuses goes to the [`Next`].
    ByCircuit(ByCircuit),
    ByNone(Attempt),
}

type ByCircuit = CircuitBreakerService<Attempt, Head, OrCall<Http, Next>>;

impl Upstreams {
    /// As configured, and with what of `before` can be kept.
    pub(crate) fn build(
        upstreams: &[UpstreamConfig],
        circuit: Option<&CircuitBreakerConfig>,
        timeouts: &Timeouts,
        shutdown: &Shutdown,
        before: Option<&Self>,
    ) -> Result<Arc<Self>, Violation> {
        let built = upstreams.iter().enumerate().map(|(index, config)| {
            let name = config.name();
            let before = before.and_then(|before| before.0.iter().find(|it| &*it.name == name));
            Upstream::build(index, config, circuit, timeouts, shutdown, before)
        });
        let built = built.collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(Self(built)))
    }

    /// Whether there is nowhere else to go, and nothing that remembers what it asked for.
    pub(crate) fn is_one_without_circuit(&self) -> bool {
        matches!(&*self.0, [one] if one.circuit.is_none())
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
        circuit: Option<&CircuitBreakerConfig>,
        timeouts: &Timeouts,
        shutdown: &Shutdown,
        before: Option<&Self>,
    ) -> Result<Self, Violation> {
        let name: Arc<str> = config.name().into();
        let wrong = |reason| Violation::new(format!("upstreams[{index}].ca"), reason);
        let ca = tls::ca(config).map_err(wrong)?;
        let target = match before {
            Some(before) if before.target.is_of(config, ca.as_deref(), timeouts.connect) => {
                Arc::clone(&before.target)
            }
            _ => Arc::new(Target::of(config, ca, timeouts.connect).map_err(wrong)?),
        };
        let before = before.filter(|before| before.config.url == config.url);
        let before = before.and_then(|before| before.circuit.as_ref());
        let patience = Patience::with(config, timeouts);
        let circuit = circuit.map(|config| match before {
            Some(before) if before.is_good_for(config, patience) => Ok(before.clone()),
            _ => Circuit::build(config, patience, &name),
        });
        let circuit = circuit.transpose()?;
        let attempt = Attempt(Arc::new(Destination {
            index,
            name: Arc::clone(&name),
            target: Arc::clone(&target),
            patience,
            may_be_slow: circuit
                .as_ref()
                .is_some_and(|it| it.config.slow_after.is_some()),
            shutdown: shutdown.clone(),
        }));
        Ok(Self {
            name,
            config: config.clone(),
            target,
            service: match &circuit {
                Some(circuit) => Guarded::ByCircuit(circuit.layer.layer(attempt)),
                None => Guarded::ByNone(attempt),
            },
            circuit,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// How its circuit stands, if it has one.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let circuit = self.circuit.as_ref();
        circuit.map(|circuit| circuit.layer.breaker().snapshot())
    }

    fn ready_in(&self) -> Option<Duration> {
        let Some(snapshot) = self.snapshot() else {
            return Some(Duration::ZERO);
        };
        match snapshot.state {
            // Opened by hand, and nobody knows for how long.
            State::ForcedOpen => None,
            _ => Some(snapshot.retry_after.unwrap_or(Duration::ZERO)),
        }
    }
}

impl Circuit {
    fn build(
        config: &CircuitBreakerConfig,
        patience: Patience,
        name: &Arc<str>,
    ) -> Result<Self, Violation> {
        let layer = config
            .layer(patience.response)
            .name(name)
            .observer((Noted(Arc::clone(name)), (Tracing, Metrics::default())))
            .fallback_service(Next)
            .build()
            .map_err(|error| breaker_violation(&error))?;
        Ok(Self {
            config: config.clone(),
            probe_deadline: config.probe_deadline(patience.response),
            layer,
        })
    }

    /// Whether it may stay. That its probes might have less time now is no reason to forget how the upstream is.
    fn is_good_for(&self, config: &CircuitBreakerConfig, patience: Patience) -> bool {
        self.config == *config && self.probe_deadline >= config.probe_deadline(patience.response)
    }
}

/// The place of an upstream in a word of bits.
fn bit(index: usize) -> u32 {
    1_u32
        .checked_shl(u32::try_from(index).unwrap_or(u32::MAX))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use buttress_core::Outcome;
    use tokio::time;

    use super::*;

    fn build(more: &str, before: Option<&Upstreams>) -> Arc<Upstreams> {
        let text = format!(
            "[[upstreams]]\nurl = 'http://a'\n[circuit_breaker]\nminimum_calls = 1\nprobes = 1\n{more}"
        );
        let config = crate::config::parse(&text, "test".as_ref()).unwrap();
        let circuit = config.circuit_breaker.as_ref();
        let shutdown = Shutdown::default();
        Upstreams::build(
            &config.upstreams,
            circuit,
            &config.timeouts,
            &shutdown,
            before,
        )
        .unwrap()
    }

    /// The state after a circuit that was open is probed with a call of which the answer takes so long.
    async fn probed(more: &str, took: Duration) -> State {
        let upstreams = build(more, None);
        let circuit = upstreams.0[0].circuit.as_ref().unwrap();
        let breaker = circuit.layer.breaker();
        breaker.try_acquire().unwrap().record(Outcome::Failure);
        assert_eq!(breaker.state(), State::Open);
        time::sleep(Duration::from_secs(5)).await;
        let probe = breaker.try_acquire().unwrap();
        time::sleep(took).await;
        probe.record(Outcome::Success);
        breaker.state()
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_take_its_time_may_do_so_when_it_is_tried() {
        let s = Duration::from_secs;
        for (more, took, expected) in [
            ("", s(25), State::Closed),
            ("", s(35), State::Open),
            ("[timeouts]\nresponse = '10m'", s(500), State::Closed),
            // Its client may be slow, too.
            ("[timeouts]\nresponse = '1s'", s(9), State::Closed),
            ("probe_deadline = '3s'", s(4), State::Open),
            ("probe_deadline = '1h'", s(3_000), State::Closed),
            ("[timeouts]\nresponse = '100y'", s(80_000), State::Closed),
        ] {
            assert_eq!(probed(more, took).await, expected, "{more}");
        }
    }

    #[tokio::test]
    async fn a_circuit_is_kept_unless_its_probes_need_longer() {
        let before = build("", None);
        let opened = |upstreams: &Upstreams| upstreams.0[0].snapshot().unwrap().state;
        let breaker = before.0[0].circuit.as_ref().unwrap().layer.breaker();
        breaker.force_open();
        for same in ["connect = '1s'", "response = '5s'"] {
            let same = build(&format!("[timeouts]\n{same}"), Some(&before));
            assert_eq!(opened(&same), State::ForcedOpen);
        }
        let other = build("[timeouts]\nresponse = '40s'", Some(&before));
        assert_eq!(opened(&other), State::Closed);
    }
}
