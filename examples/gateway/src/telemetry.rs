//! What is told of calls: counted as metrics, and written down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use buttress_core::clock::{SystemWallClock, TokioClock, WallClock as _};
use http::{Method, StatusCode};
use metrics::{counter, gauge, histogram};

use crate::{call::Record, call_log::CallLog};

/// Hears of every call.
#[derive(Debug)]
pub(crate) struct Telemetry {
    clock: TokioClock,
    calls: Option<CallLog>,
    in_flight: AtomicU64,
}

impl Telemetry {
    pub(crate) fn with(calls: Option<CallLog>) -> Arc<Self> {
        Arc::new(Self {
            clock: TokioClock::starting_now(),
            calls,
            in_flight: AtomicU64::new(0),
        })
    }

    pub(crate) const fn clock(&self) -> &TokioClock {
        &self.clock
    }

    pub(crate) fn time(&self) -> SystemTime {
        SystemWallClock.now()
    }

    pub(crate) const fn writes_calls(&self) -> bool {
        self.calls.is_some()
    }

    pub(crate) const fn call_log(&self) -> Option<&CallLog> {
        self.calls.as_ref()
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn begun(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        gauge!("http_server_active_requests").increment(1.0);
    }

    pub(crate) fn ended(&self, method: &Method, status: Option<StatusCode>, took: Duration) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        gauge!("http_server_active_requests").decrement(1.0);
        let method = known(method);
        // 499, as nginx has it: the client left before there was a status.
        let status = status.map_or(499, |status| status.as_u16());
        counter!(
            "http_server_requests_total",
            "method" => method,
            "status" => status.to_string(),
        )
        .increment(1);
        histogram!("http_server_request_duration_seconds", "method" => method).record(took);
    }

    pub(crate) fn write(&self, record: Record) {
        if let Some(calls) = &self.calls {
            calls.write(record);
        }
    }
}

/// The method as a label: clients may invent some, and each would be a time series.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "_OTHER",
    }
}
