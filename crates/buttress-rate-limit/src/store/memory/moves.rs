//! Keys that are moved from one quota to another, by quotas that are resolved for each request: no burst for it, and
//! no lockout.

use std::{sync::Arc, time::Duration};

use buttress_core::{
    DigestKey,
    clock::{AnyClock, ManualClock},
};
use proptest::prelude::*;

use super::*;
use crate::{
    FixedWindow, Gcra, LeakyBucket, Overflow, Pacing, Quota, SlidingLog, SlidingWindow,
    TokenBucket, algorithm::Kind, limiter::UNDECIDED,
};

const START: u64 = 1_000_000_000_000_000;

fn buckets() -> Vec<Kind> {
    vec![
        Kind::of(Gcra),
        Kind::of(LeakyBucket::as_queue()),
        Kind::of(Pacing::up_to(Duration::ZERO)),
    ]
}

fn all() -> Vec<Kind> {
    let windows = [
        Kind::of(TokenBucket::refilled_at_intervals()),
        Kind::of(FixedWindow),
        Kind::of(SlidingWindow::of_sub_windows(4)),
        Kind::of(SlidingLog::for_counts_up_to(64)),
    ];
    buckets().into_iter().chain(windows).collect()
}

/// Up to four, no two of which have a span in common.
fn quotas() -> impl Strategy<Value = Vec<Quota>> {
    prop::collection::vec((1..=64_u64, 1..400_u64), 2..=4).prop_map(|quotas| {
        let spans = [1, 60, 3_600, 86_400].map(Duration::from_secs).into_iter();
        let quotas = quotas.into_iter().zip(spans);
        quotas
            .map(|((count, percent), span)| {
                let span = span + span * u32::try_from(percent).unwrap() / 100;
                Quota::per(count, span).build().unwrap()
            })
            .collect()
    })
}

/// One key of one limit.
struct Moving {
    limit: Arc<Limit>,
    store: MemoryStore,
    key: Digest,
}

impl Moving {
    fn of(kind: Kind, own: Quota) -> Self {
        let clock = AnyClock::of(ManualClock::at(Tick::from_nanos(START)));
        let (kind, overflow) = (kind.by_request(), Overflow::Share);
        let limit = Limit::build("".into(), 0, own, kind, overflow, clock).unwrap();
        let limit = Arc::new(limit);
        Self {
            store: MemoryStore::with_room_for(std::slice::from_ref(&limit), 2).unwrap(),
            limit,
            key: DigestKey::from_words(1, 2).digest("alice"),
        }
    }

    fn charge<'a>(&'a self, quota: &'a Quota, cost: u64) -> Charge<'a> {
        Charge {
            limit: &self.limit,
            key: self.key,
            quota,
            revision: None,
            cost,
        }
    }

    fn ask(&self, now: u64, quota: &Quota, cost: u64) -> Decision {
        let mut out = [UNDECIDED];
        let _ = self
            .store
            .acquire(Tick::from_nanos(now), &[self.charge(quota, cost)], &mut out);
        out[0]
    }

    fn settle(&self, at: u64, quota: &Quota, by: i64) {
        let charge = self.charge(quota, 0);
        self.store.settle(Tick::from_nanos(at), &charge, by);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// At one moment, whatever quotas a key is moved between: of all of them together it gets one burst, each
    /// request being the share of the burst under which it came.
    #[test]
    fn all_quotas_together_give_one_burst(
        quotas in quotas(), at in 0..1_000_000_000_000_u64, asked in prop::collection::vec((0..4_usize, 1..9_u64), 1..300),
    ) {
        for kind in all() {
            let name = format!("{kind:?}");
            let key = Moving::of(kind, quotas[0]);
            let mut used = 0.0;
            for (which, cost) in &asked {
                let quota = &quotas[which % quotas.len()];
                if key.ask(START + at, quota, *cost).is_admitted() {
                    used += *cost as f64 / quota.burst() as f64;
                }
            }
            prop_assert!(used <= 1.0 + 1e-6, "{name}: {used} bursts");
        }
    }

    /// Over time it gets what comes back at the pace of the quota that it was last asked under, and no more.
    #[test]
    fn what_comes_back_comes_at_the_pace_of_the_quota_in_force(
        quotas in quotas(), asked in prop::collection::vec((0..4_usize, 0..4_usize, 0..150_u64), 1..300),
    ) {
        for kind in buckets() {
            let name = format!("{kind:?}");
            let key = Moving::of(kind, quotas[0]);
            let (mut now, mut used, mut back, mut refill) = (START, 0.0, 0.0, f64::INFINITY);
            for (which, span, percent) in &asked {
                let (quota, span) = (&quotas[which % quotas.len()], &quotas[span % quotas.len()]);
                let step = span.interval_nanos().get() * percent / 100;
                now += step;
                back += step as f64 / refill;
                if key.ask(now, quota, 1).is_admitted() {
                    used += 1.0 / quota.burst() as f64;
                }
                if used > 0.0 {
                    refill = quota.refill_nanos() as f64;
                }
                prop_assert!(used <= 1.0 + back + 1e-6, "{name}: {used} bursts, {back} of which came back");
            }
        }
    }

    /// Whoever is refused under a quota that the key was just moved to is told the truth: and that is
    /// explained by that quota.
    #[test]
    fn nobody_is_locked_out_by_a_move(
        quotas in quotas(), asked in prop::collection::vec((0..4_usize, 0..4_usize, 0..150_u64), 1..100), debt in 0..99_i64,
    ) {
        for kind in all() {
            let name = format!("{kind:?}");
            let key = Moving::of(kind, quotas[0]);
            let mut now = START;
            for (which, span, percent) in &asked {
                let (quota, span) = (&quotas[which % quotas.len()], &quotas[span % quotas.len()]);
                now += span.interval_nanos().get() * percent / 100;
                let _ = key.ask(now, quota, 1);
            }
            key.settle(now, &quotas[0], debt);
            for quota in quotas.iter().rev() {
                if let Some(wait) = key.ask(now, quota, 1).retry_after() {
                    let (span, wait) = (quota.period().max(quota.refill_time()), wait.as_nanos() as u64);
                    prop_assert!(wait <= 2 * span.as_nanos() as u64, "{name}: {wait} of {quota:?}");
                    prop_assert!(!key.ask(now + wait - 1, quota, 1).is_admitted(), "{name}: not after {wait}");
                    prop_assert!(key.ask(now + wait, quota, 1).is_admitted(), "{name}: after {wait}");
                    now += wait;
                }
            }
        }
    }

    /// What was charged before its key was moved, and is given back after, leaves nothing behind.
    #[test]
    fn a_refund_across_a_move_is_whole(
        quotas in quotas(), costs in prop::collection::vec(1..4_u64, 1..20), after in 0..2_000_000_u64,
    ) {
        for kind in all() {
            let name = format!("{kind:?}");
            let key = Moving::of(kind, quotas[0]);
            let (from, to) = (&quotas[0], &quotas[1]);
            let mut made = Vec::new();
            for cost in &costs {
                if key.ask(START, from, *cost).is_admitted() {
                    made.push(*cost);
                }
            }
            let moved = START + after;
            let _ = key.ask(moved, to, to.burst() + 1);
            for cost in &made {
                key.settle(START, from, -i64::try_from(*cost).unwrap());
            }
            // Where requests are counted, each of them was rounded down when it was given back.
            let left = key.ask(moved, to, 0).remaining();
            prop_assert!(left + made.len() as u64 + 1 >= to.burst(), "{name}: {left} of {}", to.burst());
            prop_assert!(left <= to.burst(), "{name}");
        }
    }
}

/// Two tiers of one span, by turns under one key, as from behind one address: nothing is rounded, and so nobody
/// pays for the other's coming.
#[test]
fn tiers_of_one_span_cost_each_other_nothing() {
    let (many, few): (Quota, Quota) = ("64/h".parse().unwrap(), "2/h".parse().unwrap());
    for kind in all() {
        let name = format!("{kind:?}");
        let key = Moving::of(kind, many);
        assert!(key.ask(START, &many, 1).is_admitted(), "{name}");
        for _ in 0..20 {
            let _ = key.ask(START, &few, 3);
            assert_eq!(key.ask(START, &many, 0).remaining(), 63, "{name}");
        }
    }
}

/// A state is forgotten by the quota that it was written under, whoever looks for room.
#[test]
fn a_slow_quotas_use_outlives_a_flood_of_fast_ones() {
    let (slow, fast): (Quota, Quota) = ("1/d".parse().unwrap(), "5/s".parse().unwrap());
    for kind in all() {
        let name = format!("{kind:?}");
        let mut key = Moving::of(kind, slow);
        let alice = key.key;
        assert!(key.ask(START, &slow, 1).is_admitted(), "{name}");
        for n in 0..1_000_u64 {
            key.key = DigestKey::from_words(1, 2).digest(&n);
            let _ = key.ask(START + n * 1_000_000_000, &fast, 1);
        }
        key.key = alice;
        let later = START + 1_000_000_000_000;
        assert!(!key.ask(later, &slow, 1).is_admitted(), "{name}");
    }
}

/// What was charged to a window that was over when its key was moved is given back to no window of the new quota.
#[test]
fn a_late_refund_across_a_move_credits_no_other_window() {
    let (from, to): (Quota, Quota) = ("4/min".parse().unwrap(), "10/h".parse().unwrap());
    for kind in [
        Kind::of(FixedWindow),
        Kind::of(SlidingWindow::of_sub_windows(4)),
        Kind::of(SlidingLog::for_counts_up_to(64)),
    ] {
        let name = format!("{kind:?}");
        let key = Moving::of(kind, from);
        assert!(key.ask(START, &from, 2).is_admitted(), "{name}");
        let later = START + 120_000_000_000;
        assert!(key.ask(later - 1, &from, 1).is_admitted(), "{name}");
        // One of four is three of ten, rounded up.
        assert_eq!(key.ask(later, &to, 0).remaining(), 7, "{name}");
        key.settle(START, &from, -2);
        assert_eq!(key.ask(later, &to, 0).remaining(), 7, "{name}");
    }
}

/// The limit's own quota changes for the keys that are under it, also where others are under quotas of their own.
#[test]
fn a_live_change_is_for_those_under_the_limits_own() {
    let own: Quota = "10/h".parse().unwrap();
    let gold: Quota = "60/min".parse().unwrap();
    for kind in all() {
        let name = format!("{kind:?}");
        let mut key = Moving::of(kind, own);
        let of_limit = |key: &Moving, now: u64, cost: u64| {
            let (quota, revision) = key.limit.in_force();
            let revision = Some(revision);
            let charge = Charge {
                revision,
                ..key.charge(&quota, cost)
            };
            let mut out = [UNDECIDED];
            let _ = key
                .store
                .acquire(Tick::from_nanos(now), &[charge], &mut out);
            out[0]
        };
        assert!(of_limit(&key, START, 5).is_admitted(), "{name}");
        let alice = key.key;
        key.key = DigestKey::from_words(1, 2).digest("bob");
        assert!(key.ask(START, &gold, 30).is_admitted(), "{name}");
        key.limit
            .set_quota_at("20/d".parse().unwrap(), Tick::from_nanos(START))
            .unwrap();
        assert_eq!(key.ask(START, &gold, 0).remaining(), 30, "{name}");
        key.key = alice;
        assert_eq!(of_limit(&key, START, 0).remaining(), 10, "{name}");
        // Through the change, and then to the other tier.
        assert_eq!(key.ask(START, &gold, 0).remaining(), 30, "{name}");
    }
}

/// And from then on what they used comes back at its pace, also where they are next asked for under another.
#[test]
fn a_live_change_counts_from_its_time_for_who_comes_under_another_quota() {
    let (own, gold): (Quota, Quota) = ("10/h".parse().unwrap(), "60/min".parse().unwrap());
    for kind in buckets() {
        let name = format!("{kind:?}");
        let key = Moving::of(kind, own);
        let charge = Charge {
            revision: Some(0),
            ..key.charge(&own, 5)
        };
        let mut out = [UNDECIDED];
        let _ = key
            .store
            .acquire(Tick::from_nanos(START), &[charge], &mut out);
        assert!(out[0].is_admitted(), "{name}");
        key.limit
            .set_quota_at("20/d".parse().unwrap(), Tick::from_nanos(START))
            .unwrap();
        // Of the half that was used an hour gives back a twenty-fourth part, and not all of it.
        let later = START + 3_600_000_000_000;
        assert_eq!(key.ask(later, &gold, 0).remaining(), 32, "{name}");
    }
}
