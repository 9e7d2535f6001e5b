use std::fmt;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// The process's metrics, in Prometheus' text form.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// From a millisecond to two minutes.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0,
];

impl Metrics {
    /// Has all metrics of this process recorded from now on. There is one recorder for a process, so this is
    /// for a program to do, once and first of all.
    ///
    /// # Errors
    ///
    /// Where there is a recorder already.
    pub fn install() -> Result<Self, InstallError> {
        PrometheusBuilder::new()
            .set_buckets(&SECONDS)
            .and_then(PrometheusBuilder::install_recorder)
            .map(Self)
            .map_err(InstallError)
    }

    pub(super) fn render(&self) -> String {
        self.0.render()
    }

    pub(super) fn keep_up(&self) {
        self.0.run_upkeep();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// There is a recorder already.
#[derive(Debug)]
pub struct InstallError(BuildError);

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metrics cannot be recorded: {}", self.0)
    }
}

impl std::error::Error for InstallError {}
