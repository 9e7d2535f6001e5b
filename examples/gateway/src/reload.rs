//! What is in force, and how something else comes into force without a restart.
//!
//! A new configuration is built whole before it takes the place of the old one, with the counters, circuits
//! and connections that stay valid. Requests that are in flight finish under the old one. What cannot be
//! built, or cannot change while the gateway runs, changes nothing.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use metrics::{counter, gauge};

use crate::{
    admin::forget_gone,
    config::{Config, UpstreamConfig, Violation},
    connections::Connections,
    shutdown::Shutdown,
    stack::Stack,
    telemetry::Telemetry,
};

/// What is in force. Clones share it.
#[derive(Clone, Debug)]
pub struct InForce {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stack: RwLock<Arc<Stack>>,
    /// One reload at a time. It is held while a file is read, which may take as long as its disk does: whoever looks at
    /// how things stand does not wait for it.
    reloading: Mutex<()>,
    reloads: Mutex<Reloads>,
    telemetry: Arc<Telemetry>,
    connections: Connections,
    shutdown: Shutdown,
    /// The built-in upstream, where none was configured at the start.
    demo: Option<UpstreamConfig>,
}

/// How often the configuration was loaded anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reloads {
    pub(crate) done: u64,
    pub(crate) refused: u64,
    pub(crate) last: Option<SystemTime>,
    pub(crate) last_error: Option<String>,
}

impl InForce {
    pub(crate) fn begin(
        config: &Config,
        demo: Option<UpstreamConfig>,
        telemetry: Arc<Telemetry>,
        shutdown: Shutdown,
    ) -> Result<Self, Violation> {
        let upstreams = upstreams(config, demo.as_ref());
        let stack = Stack::build(config, &upstreams, &shutdown, None)?;
        gauge!("gateway_config_is_current").set(1.0);
        for result in ["done", "refused"] {
            // What an alarm waits for is there before it happens.
            counter!("gateway_reloads_total", "result" => result).increment(0);
        }
        Ok(Self {
            shared: Arc::new(Shared {
                stack: RwLock::new(Arc::new(stack)),
                reloading: Mutex::default(),
                reloads: Mutex::default(),
                telemetry,
                connections: Connections::none(),
                shutdown,
                demo,
            }),
        })
    }

    pub(crate) fn stack(&self) -> Arc<Stack> {
        let stack = self.shared.stack.read();
        Arc::clone(&stack.unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn telemetry(&self) -> &Arc<Telemetry> {
        &self.shared.telemetry
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.shared.connections
    }

    pub(crate) fn reloads(&self) -> Reloads {
        let reloads = self.shared.reloads.lock();
        reloads.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts the configuration that `load` finds into force, if it can be. Says what came of it in the log, the
    /// metrics and the state; `explain` says where that stands which cannot be.
    ///
    /// # Errors
    ///
    /// What `load` says, and where the configuration cannot be built, or differs in what cannot change while
    /// the gateway runs: `listen`, `[admin]` and `[call_log]`. What was in force then stays in force.
    pub fn reload<E: fmt::Display>(
        &self,
        load: impl FnOnce() -> Result<Config, E>,
        explain: impl FnOnce(&Violation) -> String,
    ) -> Result<(), String> {
        let reloading = self.shared.reloading.lock();
        let _one_at_a_time = reloading.unwrap_or_else(PoisonError::into_inner);
        let result = load()
            .map_err(|error| error.to_string())
            .and_then(|config| {
                self.replace(&config)
                    .map_err(|violation| explain(&violation))
            });
        let reloads = self.shared.reloads.lock();
        let mut reloads = reloads.unwrap_or_else(PoisonError::into_inner);
        reloads.last = Some(self.shared.telemetry.time());
        match &result {
            Ok(()) => {
                reloads.done += 1;
                reloads.last_error = None;
                counter!("gateway_reloads_total", "result" => "done").increment(1);
                gauge!("gateway_config_is_current").set(1.0);
                tracing::info!("reloaded: the new configuration is in force");
            }
            Err(error) => {
                reloads.refused += 1;
                reloads.last_error = Some(error.clone());
                counter!("gateway_reloads_total", "result" => "refused").increment(1);
                gauge!("gateway_config_is_current").set(0.0);
                tracing::error!("not reloaded, the old configuration stays in force: {error}");
            }
        }
        result
    }

    fn replace(&self, config: &Config) -> Result<(), Violation> {
        config.check()?;
        let before = self.stack();
        check_what_stays(before.config(), config)?;
        let upstreams = upstreams(config, self.shared.demo.as_ref());
        if upstreams.is_empty() {
            let reason = "the built-in one is started at the start only, expected an upstream";
            return Err(Violation::new("upstream", reason));
        }
        let stack = Stack::build(config, &upstreams, &self.shared.shutdown, Some(&before))?;
        forget_gone(before.upstreams(), stack.upstreams());
        let stack = Arc::new(stack);
        *self
            .shared
            .stack
            .write()
            .unwrap_or_else(PoisonError::into_inner) = stack;
        self.shared.connections.reconsider();
        Ok(())
    }
}

/// The configured upstreams, or the built-in one.
fn upstreams(config: &Config, demo: Option<&UpstreamConfig>) -> Vec<UpstreamConfig> {
    let mut upstreams = config.upstreams();
    if upstreams.is_empty() {
        upstreams.extend(demo.cloned());
    }
    upstreams
}

fn check_what_stays(before: &Config, config: &Config) -> Result<(), Violation> {
    let changed = [
        ("listen", before.listen != config.listen),
        ("admin", before.admin != config.admin),
        ("call_log", before.call_log != config.call_log),
    ];
    match changed.into_iter().find(|(_, changed)| *changed) {
        Some((field, _)) => Err(Violation::new(
            field,
            "cannot change while the gateway runs, expected the same as before, or a restart",
        )),
        None => Ok(()),
    }
}
