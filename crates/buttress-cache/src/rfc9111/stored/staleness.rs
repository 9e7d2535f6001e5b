//! How old it is, how long it is of use, and what there is reason to believe of it.

use std::time::{Duration, SystemTime};

use super::StoredHead;
use crate::rfc9111::{Options, Source};

/// What there is reason to believe of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Right,
    Suspect,
    Stale,
}

impl StoredHead {
    /// Its age (RFC 9111 §4.2.3). A clock that is set back makes it no younger than it was on arrival, but older by as
    /// much: what came while the clock was years ahead would else be fresh until it is there again.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Duration {
        let resident = now.duration_since(self.responded);
        let resident = resident.unwrap_or_else(|set_back| set_back.duration());
        self.age_on_arrival.saturating_add(resident)
    }

    /// Up to which age it is fresh.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        match self.mark {
            Mark::Right => self.lifetime,
            Mark::Suspect | Mark::Stale => Duration::ZERO,
        }
    }

    /// What the lifetime rests on.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether it is fresh: its age has not reached its lifetime (RFC 9111 §4.2).
    #[must_use]
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        self.lifetime() > self.age(now)
    }

    /// For how many seconds it is still fresh, reckoned from the age in whole seconds, as Age tells it; negative for how
    /// many it has been stale (RFC 9211 §2.4).
    #[must_use]
    pub fn ttl(&self, now: SystemTime) -> i64 {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime()).saturating_sub(seconds(self.age(now)))
    }

    /// For how long it has been stale; zero while it is fresh, and while one that is [suspect](Self::mark_suspect) would
    /// be.
    pub(in crate::rfc9111) fn staleness(&self, now: SystemTime) -> Duration {
        self.age(now).saturating_sub(self.undoubted_lifetime())
    }

    /// Up to which age it is fresh, or would be, were it not suspect.
    fn undoubted_lifetime(&self) -> Duration {
        match self.mark {
            Mark::Right | Mark::Suspect => self.lifetime,
            Mark::Stale => Duration::ZERO,
        }
    }

    /// Whether it is fresh, or would be, were it not suspect.
    pub(in crate::rfc9111) fn would_be_fresh(&self, now: SystemTime) -> bool {
        self.undoubted_lifetime() > self.age(now)
    }

    /// What is suspect as it would be, were it not.
    pub(in crate::rfc9111) fn undoubted(&self) -> Option<Self> {
        (self.mark == Mark::Suspect).then(|| Self {
            mark: Mark::Right,
            ..self.clone()
        })
    }

    /// For how long it can still be of use: while it is fresh, or would be, were it not suspect, in the stale windows that
    /// it and the options allow, and, where it can be validated, as long again as it was fresh, but a day at least. A hint
    /// for stores that forget by time.
    #[must_use]
    pub fn keep_for(&self, options: &Options, now: SystemTime) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let lifetime = self.undoubted_lifetime();
        let fresh = lifetime.saturating_sub(self.age(now));
        let stale = match self.forbids_stale(options) {
            true => Duration::ZERO,
            false => self
                .stale_while_revalidate(options)
                .max(self.stale_if_error(options)),
        };
        let validated = match self.has_validator(now) {
            true => lifetime.max(DAY),
            false => Duration::ZERO,
        };
        fresh.saturating_add(stale.max(validated))
    }

    pub(in crate::rfc9111) fn stale_while_revalidate(&self, options: &Options) -> Duration {
        window(
            self.directives.stale_while_revalidate,
            options.stale_while_revalidate,
        )
    }

    pub(in crate::rfc9111) fn stale_if_error(&self, options: &Options) -> Duration {
        window(self.directives.stale_if_error, options.stale_if_error)
    }

    pub(in crate::rfc9111) fn stale_if_unreachable(&self, options: &Options) -> Duration {
        window(self.directives.stale_if_error, options.stale_if_unreachable)
    }

    /// Whether it must not be used stale, not even when the origin is gone.
    pub(in crate::rfc9111) fn forbids_stale(&self, options: &Options) -> bool {
        self.mark == Mark::Stale || self.directives.forbids_stale(options.shared)
    }

    /// Makes it stale, for there is reason to believe that it is outdated: it is not used again before it is validated.
    pub fn mark_stale(&mut self) {
        self.mark = Mark::Stale;
    }

    /// Makes it stale, for it may be outdated: the origin is asked before it is used again. Where that fails, it stands in
    /// as if it had not been marked.
    pub fn mark_suspect(&mut self) {
        if self.mark == Mark::Right {
            self.mark = Mark::Suspect;
        }
    }

    /// Whether there is reason to believe that it is outdated, or may be.
    pub(crate) fn is_doubted(&self) -> bool {
        self.mark != Mark::Right
    }

    pub(in crate::rfc9111) fn is_suspect(&self) -> bool {
        self.mark == Mark::Suspect
    }
}

/// What the response said, or else what the options say.
fn window(said: Option<u32>, default: Duration) -> Duration {
    said.map_or(default, |seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

    use super::*;
    use crate::rfc9111::{RequestHead, Store, Target, Times, store};

    /// Stored at the epoch.
    fn stored(said: &'static str, etag: Option<&'static str>) -> StoredHead {
        let (uri, asked) = (Uri::from_static("http://example.com/"), HeaderMap::new());
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
        headers.extend(etag.map(|etag| (header::ETAG, HeaderValue::from_static(etag))));
        let now = SystemTime::UNIX_EPOCH;
        let times = Times {
            requested: now,
            responded: now,
        };
        let request = RequestHead::new(&Method::GET, &asked);
        let target = Target::of("http", &uri, &asked).unwrap();
        match store(
            &Options::shared(),
            &request,
            &target,
            StatusCode::OK,
            &headers,
            times,
        ) {
            Store::Keep(head) => *head,
            refused => panic!("{refused:?}"),
        }
    }

    #[test]
    fn is_kept_for_as_long_as_it_is_of_use() {
        const TAG: Option<&str> = Some("\"1\"");
        const DAY: u64 = 86_400;
        for (said, etag, expected) in [
            ("max-age=60", None, 50),
            ("max-age=60, stale-while-revalidate=30", None, 80),
            (
                "max-age=60, stale-while-revalidate=9, stale-if-error=600",
                None,
                650,
            ),
            (
                "max-age=60, stale-while-revalidate=600, stale-if-error=9",
                None,
                650,
            ),
            ("max-age=60, must-revalidate, stale-if-error=600", None, 50),
            ("max-age=60", TAG, 50 + DAY),
            ("max-age=172800", TAG, 2 * DAY - 10 + 2 * DAY),
            ("max-age=60, stale-if-error=200000", TAG, 200_050),
        ] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
            let mut stored = stored(said, etag);
            for _ in 0..2 {
                let kept = stored.keep_for(&Options::shared(), now);
                assert_eq!(kept, Duration::from_secs(expected), "{said} {etag:?}");
                stored.mark_suspect();
            }
        }
    }
}
