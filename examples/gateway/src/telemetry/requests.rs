use std::{
    collections::HashMap,
    fmt,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// The metrics of all requests. They are looked up by name once, and not for each request.
pub(super) struct Requests {
    active: Gauge,
    durations: [Histogram; METHODS.len()],
    /// As many as there are methods and statuses, which upstreams choose out of a thousand.
    counts: RwLock<HashMap<(usize, u16), Counter>>,
}

/// The methods that are told apart: clients may invent some, and each would be a time series.
const METHODS: [&str; 10] = [
    "_OTHER", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
];

/// nginx's: the client left before there was a status.
const LEFT: u16 = 499;

impl Requests {
    /// Into the recorder that is installed by now.
    pub(super) fn register() -> Self {
        Self {
            active: gauge!("http_server_active_requests"),
            durations: METHODS.map(
                |method| histogram!("http_server_request_duration_seconds", "method" => method),
            ),
            counts: RwLock::default(),
        }
    }

    pub(super) fn begun(&self) {
        self.active.increment(1.0);
    }

    pub(super) fn ended(&self, method: &Method, status: Option<StatusCode>, took: Duration) {
        self.active.decrement(1.0);
        let (index, method) = known(method);
        if let Some(duration) = self.durations.get(index) {
            duration.record(took);
        }
        let status = status.map_or(LEFT, |status| status.as_u16());
        {
            // A map of handles is whole, whoever panicked.
            let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = counts.get(&(index, status)) {
                return count.increment(1);
            }
        }
        let count = counter!(
            "http_server_requests_total",
            "method" => method,
            "status" => status.to_string(),
        );
        count.increment(1);
        let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        counts.insert((index, status), count);
    }
}

/// The method's place, and its label.
fn known(method: &Method) -> (usize, &'static str) {
    let mut methods = METHODS.iter().enumerate();
    methods
        .find(|(_, known)| method.as_str() == **known)
        .map_or((0, METHODS[0]), |(index, known)| (index, *known))
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_are_one() {
        assert_eq!(known(&Method::GET), (1, "GET"));
        assert_eq!(known(&Method::CONNECT), (9, "CONNECT"));
        for invented in ["BREW", "_OTHER", "get"] {
            let method = Method::from_bytes(invented.as_bytes()).unwrap();
            assert_eq!(known(&method), (0, "_OTHER"));
        }
    }
}
