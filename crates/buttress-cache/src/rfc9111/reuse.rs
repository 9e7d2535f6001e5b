//! Whether a stored response may be used without asking the origin (RFC 9111 §4, §4.2.4, §5.2.1).

use std::time::{Duration, SystemTime};

use super::{Forward, MaxStale, Options, RequestHead, Selection, StoredHead};

/// What is done with a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reuse {
    /// It answers.
    Serve(Served),

    /// It answers though it is stale, and is validated in the background, once for all who ask meanwhile (RFC 5861 §3).
    ServeAndRevalidate,

    /// The origin is asked whether it is still right: see [`condition`](super::condition).
    Validate(Forward),

    /// The origin is asked for the rest: see [`completion`](super::completion).
    Complete,

    /// It cannot answer, and the request goes forward as it is.
    Fetch(Forward),

    /// It may not answer, and the client wants nothing but what is stored: 504.
    GatewayTimeout,
}

/// Why a stored response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Served {
    /// It is fresh.
    Fresh,

    /// It is stale, but no more than the request's `max-stale` allows.
    MaxStale,
}

/// What is done where nothing is stored that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Miss {
    /// The request goes forward as it is.
    Fetch(Forward),

    /// The client wants nothing but what is stored: 504.
    GatewayTimeout,
}

/// Decides what is done with the stored response that was selected.
#[must_use]
pub fn reuse(
    options: &Options,
    request: &RequestHead<'_>,
    stored: &StoredHead,
    now: SystemTime,
) -> Reuse {
    let reuse = if stored.holds(request) {
        whole(options, request, stored, now)
    } else if stored.can_be_completed() && !request.fields().range {
        Reuse::Complete
    } else {
        Reuse::Fetch(Forward::Partial)
    };
    let asks = !matches!(reuse, Reuse::Serve(_) | Reuse::ServeAndRevalidate);
    match asks && request.directives().only_if_cached {
        true => Reuse::GatewayTimeout,
        false => reuse,
    }
}

/// Whether what is [suspect](StoredHead::mark_suspect) would answer by itself, were it not.
pub(crate) fn but_for_doubt(
    options: &Options,
    request: &RequestHead<'_>,
    stored: &StoredHead,
    now: SystemTime,
) -> bool {
    stored.undoubted().is_some_and(|stored| {
        let reuse = reuse(options, request, &stored, now);
        matches!(reuse, Reuse::Serve(_) | Reuse::ServeAndRevalidate)
    })
}

/// Decides what is done where [`select`](super::select) found nothing.
#[must_use]
pub fn miss(request: &RequestHead<'_>, selection: Selection) -> Miss {
    if request.directives().only_if_cached {
        return Miss::GatewayTimeout;
    }
    Miss::Fetch(match selection {
        Selection::NoVariant => Forward::VaryMiss,
        Selection::Nothing => Forward::UriMiss,
        Selection::Variant(_) => Forward::Miss,
    })
}

fn whole(
    options: &Options,
    request: &RequestHead<'_>,
    stored: &StoredHead,
    now: SystemTime,
) -> Reuse {
    let said = stored.directives();
    let asked = request.directives();
    let fresh = stored.is_fresh(now);

    if said.no_cache {
        return Reuse::Validate(Forward::Stale);
    }
    if asked.no_cache || (!(fresh && said.immutable) && wants_fresher(request, stored, now)) {
        return Reuse::Validate(match fresh {
            true => Forward::Request,
            false => Forward::Stale,
        });
    }
    if fresh {
        return Reuse::Serve(Served::Fresh);
    }
    if stored.forbids_stale(options) || stored.is_suspect() {
        return Reuse::Validate(Forward::Stale);
    }
    let staleness = stored.staleness(now);
    match asked.max_stale {
        Some(MaxStale::Any) => return Reuse::Serve(Served::MaxStale),
        Some(MaxStale::For(most)) if staleness <= seconds(most) => {
            return Reuse::Serve(Served::MaxStale);
        }
        _ => {}
    }
    let window = stored.stale_while_revalidate(options);
    // A window of zero is none: else what is stale since this very instant would be served.
    match !window.is_zero() && staleness <= window {
        true => Reuse::ServeAndRevalidate,
        false => Reuse::Validate(Forward::Stale),
    }
}

/// Whether the request's `max-age` or `min-fresh` rule the stored response out. A fresh one that is `immutable` they do
/// not: it would be asked for in vain (RFC 8246 §2).
fn wants_fresher(request: &RequestHead<'_>, stored: &StoredHead, now: SystemTime) -> bool {
    let asked = request.directives();
    if asked.max_age.is_none() && asked.min_fresh.is_none() {
        return false;
    }
    let age = stored.age(now);
    asked.max_age.is_some_and(|most| age > seconds(most))
        || asked
            .min_fresh
            .is_some_and(|least| age.saturating_add(seconds(least)) > stored.lifetime())
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
