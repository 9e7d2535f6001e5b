//! What is told of calls: counted as metrics, and written down.

mod requests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use buttress_core::clock::{SystemWallClock, TokioClock, WallClock as _};
use http::{Method, StatusCode};

use self::requests::Requests;
use crate::{call::Record, call_log::CallLog};

/// Hears of every call.
#[derive(Debug)]
pub(crate) struct Telemetry {
    clock: TokioClock,
    calls: Option<CallLog>,
    in_flight: AtomicU64,
    requests: Requests,
}

impl Telemetry {
    pub(crate) fn with(calls: Option<CallLog>) -> Arc<Self> {
        Arc::new(Self {
            clock: TokioClock::starting_now(),
            calls,
            in_flight: AtomicU64::new(0),
            requests: Requests::register(),
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
        self.requests.begun();
    }

    pub(crate) fn ended(&self, method: &Method, status: Option<StatusCode>, took: Duration) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.requests.ended(method, status, took);
    }

    pub(crate) fn write(&self, record: Record) {
        if let Some(calls) = &self.calls {
            calls.write(record);
        }
    }
}
