//! The origin, which each test plays itself.

use std::time::Duration;

use buttress_cache::rfc9111::Times;
use http::{HeaderMap, Method, StatusCode};

use super::Ask;

/// What the origin was asked.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
}

/// What it answered, and how long that took. `None`: it is gone.
pub(crate) struct Answered {
    pub(crate) response: Option<(StatusCode, HeaderMap, Vec<u8>)>,
    pub(crate) clean: bool,
    pub(crate) delay: Duration,
}

pub(crate) type AskOrigin<'o> = &'o mut dyn FnMut(Asked<'_>) -> Answered;

pub(super) fn ask_origin(
    ask: &Ask<'_>,
    headers: &HeaderMap,
    origin: AskOrigin<'_>,
) -> (Answered, Times) {
    let answered = origin(Asked {
        method: ask.method,
        headers,
    });
    let times = Times {
        requested: ask.now,
        responded: ask.now + answered.delay,
    };
    (answered, times)
}
