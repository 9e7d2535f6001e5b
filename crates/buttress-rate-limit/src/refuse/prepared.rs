use std::sync::RwLock;

use buttress_http::RateLimitFields;

use crate::Quota;

/// How many are kept. They are looked through one by one, which takes a hundredth of putting one together.
const MOST: usize = 32;

/// What is static in the fields of requests whose quotas were found for them, put together once for each
/// combination of quotas.
///
/// Tiers and routes are few, and come again; where everybody has a contract of his own, the oldest gives way.
/// Nobody waits for the lock: who does not get it puts the fields together anew.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    latest: RwLock<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    kept: Vec<(Box<[Term]>, RateLimitFields)>,
    /// Whose place is taken next, once all are taken.
    oldest: usize,
}

/// A policy, by its place, and the quota that a request has under it.
pub(super) type Term = (usize, Quota);

impl Prepared {
    /// Lends the fields of `terms` to `then`. `build` puts those together that were not kept.
    pub(super) fn lend(
        &self,
        terms: impl Iterator<Item = Term> + Clone,
        build: impl FnOnce() -> Option<RateLimitFields>,
        then: impl FnOnce(&RateLimitFields),
    ) {
        if let Ok(latest) = self.latest.try_read()
            && let Some(fields) = latest.of(terms.clone())
        {
            return then(fields);
        }
        let Some(fields) = build() else {
            return;
        };
        then(&fields);
        if let Ok(mut latest) = self.latest.try_write() {
            latest.keep(terms, fields);
        }
    }
}

impl Latest {
    fn of(&self, terms: impl Iterator<Item = Term> + Clone) -> Option<&RateLimitFields> {
        let mut kept = self.kept.iter();
        let same = kept.find(|(kept, _)| kept.iter().copied().eq(terms.clone()));
        same.map(|(_, fields)| fields)
    }

    fn keep(&mut self, terms: impl Iterator<Item = Term> + Clone, fields: RateLimitFields) {
        if self.of(terms.clone()).is_some() {
            return;
        }
        let new = (terms.collect(), fields);
        if self.kept.len() < MOST {
            self.kept.push(new);
        } else if let Some(oldest) = self.kept.get_mut(self.oldest) {
            *oldest = new;
            self.oldest = (self.oldest + 1) % MOST;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use buttress_http::{FieldStyle, LimitItem, QuotaItem};
    use http::HeaderMap;

    use super::*;

    /// Tells of one call left under `quota` a second, and counts what is built.
    fn told(prepared: &Prepared, quota: u64, built: &Cell<usize>) -> String {
        let mut headers = HeaderMap::new();
        let terms = [(0, format!("{quota}/s").parse().unwrap())];
        let items = [LimitItem::new(1, Duration::ZERO, Duration::ZERO)];
        let build = || {
            built.set(built.get() + 1);
            let policies = [QuotaItem::new("a", quota, 1)];
            RateLimitFields::build(FieldStyle::Draft11, &policies).ok()
        };
        prepared.lend(terms.into_iter(), build, |fields| {
            fields.write(&mut headers, &items);
        });
        headers["ratelimit-policy"].to_str().unwrap().to_owned()
    }

    #[test]
    fn what_comes_again_is_not_put_together_again() {
        let (prepared, built) = (Prepared::default(), Cell::new(0));
        for _ in 0..3 {
            for quota in 1..=MOST as u64 {
                let policy = format!("\"a\";q={quota};w=1");
                assert_eq!(told(&prepared, quota, &built), policy);
            }
        }
        assert_eq!(built.get(), MOST);
    }

    #[test]
    fn only_so_many_are_kept_and_the_oldest_gives_way() {
        let (prepared, built) = (Prepared::default(), Cell::new(0));
        let last = 3 * MOST as u64;
        for quota in 1..=last {
            told(&prepared, quota, &built);
        }
        assert_eq!(prepared.latest.read().unwrap().kept.len(), MOST);
        let before = built.get();
        told(&prepared, last, &built);
        told(&prepared, last - MOST as u64 + 1, &built);
        assert_eq!(built.get(), before);
        assert_eq!(told(&prepared, 1, &built), "\"a\";q=1;w=1");
        assert_eq!(built.get(), before + 1);
    }

    #[test]
    fn nobody_waits_for_the_lock() {
        let (prepared, built) = (Prepared::default(), Cell::new(0));
        let mut held = prepared.latest.write().unwrap();
        held.oldest = 0;
        assert_eq!(told(&prepared, 7, &built), "\"a\";q=7;w=1");
        assert!(held.kept.is_empty());
    }
}
