use std::{sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

/// What one layer decided of a call.
///
/// | layer | verdicts |
/// |---|---|
/// | `host` | `refused`: the request says none, or several |
/// | `request` | `refused`: its target is none of its method's, or its body is in a coding that is not known |
/// | `access` | `allowed`, `denied` |
/// | `per_ip`, `per_key`, `per_route`, `global` | `admitted`, `refused`, `would_refuse` (in shadow); `no_key`, of the first two |
/// | `keys` | `admitted` (with the tier), `unknown`, `none`, `preflight` (which needs none), `refused` |
/// | `cache` | `hit`, `stale`, `collapsed`, `not_cached`, `stale_on_failure`; or why the upstreams were asked, in RFC 9211's words: `uri-miss`, `vary-miss`, `stale`, `request`, `bypass`, `method` |
/// | `max_forwards` | `reached`: a TRACE or an OPTIONS that was to go no further |
/// | `via` | `loop`: it came through here too often |
/// | `retry` | `again`, after an attempt that failed; at the end of a call that failed or took several, why there was no further one |
/// | `breaker` | `open`, `half_open`, `forced_open`, `parked` |
/// | `upstream` | `answered`, or how the attempt failed |
/// | `upstreams` | `exhausted` |
#[derive(Debug, Serialize)]
pub(crate) struct Decision {
    layer: &'static str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    /// For how long it was refused; for a retry, how long was waited.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "millis")]
    retry_after_ms: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "millis")]
    took_ms: Option<Duration>,
}

impl Decision {
    pub(crate) const fn of(layer: &'static str, verdict: &'static str) -> Self {
        Self {
            layer,
            verdict,
            upstream: None,
            tier: None,
            attempt: None,
            status: None,
            remaining: None,
            retry_after_ms: None,
            took_ms: None,
        }
    }

    pub(crate) fn upstream(mut self, name: &Arc<str>) -> Self {
        self.upstream = Some(Arc::clone(name));
        self
    }

    pub(crate) fn tier(mut self, name: &Arc<str>) -> Self {
        self.tier = Some(Arc::clone(name));
        self
    }

    pub(crate) const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    pub(crate) const fn status(mut self, status: Option<u16>) -> Self {
        self.status = status;
        self
    }

    pub(crate) const fn remaining(mut self, remaining: u64) -> Self {
        self.remaining = Some(remaining);
        self
    }

    pub(crate) const fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after_ms = wait;
        self
    }

    pub(crate) const fn took(mut self, took: Duration) -> Self {
        self.took_ms = Some(took);
        self
    }
}

/// Milliseconds, to the microsecond.
fn millis<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.map_or(0.0, super::record::millis))
}
