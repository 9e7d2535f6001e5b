use std::{fmt, hash::Hash, num::NonZeroU32, sync::Arc, time::Duration};

use buttress_core::{ConfigError, Digest, Tick};
use governor::{
    InsufficientCapacity, NotUntil, RateLimiter,
    clock::Clock,
    middleware::{RateLimitingMiddleware, StateSnapshot},
    state::{DirectStateStore, keyed::KeyedStateStore},
};

use super::{Acquire, Charge, Store};
use crate::{Decision, IntoQuota, Limit, Quota};

/// Decides by a [`governor::RateLimiter`] of your own, which other parts of the program may go on to use.
///
/// What the layer needs to tell its callers, governor tells through its
/// [`StateInformationMiddleware`](governor::middleware::StateInformationMiddleware); a limiter gets it by
/// `with_middleware`, and keeps its states. The policy's quota is what callers read: give it governor's own, which
/// is [`IntoQuota`].
///
/// ```
/// use std::{num::NonZeroU32, sync::Arc};
///
/// use buttress_http::ClientIp;
/// use buttress_rate_limit::{Policy, RateLimitLayer, store::Governor};
/// use governor::{RateLimiter, middleware::StateInformationMiddleware};
///
/// let quota = governor::Quota::per_second(NonZeroU32::new(50).ok_or("zero")?);
/// let limiter = RateLimiter::keyed(quota).with_middleware::<StateInformationMiddleware>();
/// let limiter = Arc::new(limiter);
///
/// let layer = RateLimitLayer::http(Policy::new("per-ip", quota).key(ClientIp::peer()))
///     .store(Arc::new(Governor::keyed(Arc::clone(&limiter), |key| key.as_u128())))
///     .build()?;
/// # let _ = layer;
///
/// // Keys that nobody asks for any more are governor's user's to forget.
/// limiter.retain_recent();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it cannot do
///
/// Governor has no way to give back, to look without charging, or to change a quota. So with this store
///
/// - a layer has one policy: of several, an earlier one's charge could not be taken back when a later one
///   refuses. [`build`](crate::RateLimitLayerBuilder::build) returns an error otherwise. Layers can be stacked,
///   each of which charges what it admits.
/// - settling and refunding do nothing, and neither does a request that is cancelled while it waits.
/// - the policy's algorithm, `max_keys`, overflow and quotas by request mean nothing, and a change of its quota
///   changes what callers read and nothing else.
/// - how long until the whole quota is back is told by the quota: governor tells what is left in whole requests.
///   A request of cost 0 is admitted without asking, and told of a quota that is untouched.
/// - memory is governor's: it grows with the keys until somebody calls `retain_recent`.
///
/// Time is governor's own clock's.
pub struct Governor {
    decide: Box<dyn Fn(Digest, NonZeroU32) -> Told + Send + Sync>,
}

/// What governor tells.
type Told = Result<Result<StateSnapshot, Wait>, InsufficientCapacity>;

struct Wait {
    retry_after: Duration,
    quota: governor::Quota,
}

impl Wait {
    fn of<C: Clock>(not_until: &NotUntil<C::Instant>, clock: &C) -> Self {
        Self {
            retry_after: not_until.wait_time_from(clock.now()),
            quota: not_until.quota(),
        }
    }
}

impl Governor {
    /// By a limiter with keys. `key` makes one of a request's digest: `|key| key` where the limiter's keys are
    /// [`Digest`]s, `|key| key.as_u128()` where they are numbers. Who knows the layer's
    /// [`DigestKey`](buttress_core::DigestKey) can ask the limiter about the same keys.
    pub fn keyed<K, S, C, M>(
        limiter: Arc<RateLimiter<K, S, C, M>>,
        key: impl Fn(Digest) -> K + Send + Sync + 'static,
    ) -> Self
    where
        K: Hash + 'static,
        S: KeyedStateStore<K> + Send + Sync + 'static,
        C: Clock<Instant: Send + Sync> + Send + Sync + 'static,
        M: RateLimitingMiddleware<
                C::Instant,
                PositiveOutcome = StateSnapshot,
                NegativeOutcome = NotUntil<C::Instant>,
            > + Send
            + Sync
            + 'static,
    {
        let decide = move |digest, cost| {
            let told = limiter.check_key_n(&key(digest), cost)?;
            Ok(told.map_err(|not_until| Wait::of(&not_until, limiter.clock())))
        };
        Self {
            decide: Box::new(decide),
        }
    }

    /// By a limiter without keys: for a policy that has none.
    pub fn direct<S, C, M>(limiter: Arc<RateLimiter<S::Key, S, C, M>>) -> Self
    where
        S: DirectStateStore + Send + Sync + 'static,
        C: Clock<Instant: Send + Sync> + Send + Sync + 'static,
        M: RateLimitingMiddleware<
                C::Instant,
                PositiveOutcome = StateSnapshot,
                NegativeOutcome = NotUntil<C::Instant>,
            > + Send
            + Sync
            + 'static,
    {
        let decide = move |_: Digest, cost| {
            let told = limiter.check_n(cost)?;
            Ok(told.map_err(|not_until| Wait::of(&not_until, limiter.clock())))
        };
        Self {
            decide: Box::new(decide),
        }
    }

    fn decide(&self, charge: &Charge<'_>) -> Decision {
        let Ok(cost) = u32::try_from(charge.cost) else {
            return Decision::cost_exceeds_burst(0, Duration::ZERO, Duration::ZERO);
        };
        let Some(cost) = NonZeroU32::new(cost) else {
            return Decision::untouched(charge.quota);
        };
        match (self.decide)(charge.key, cost) {
            Ok(Ok(snapshot)) => {
                let (quota, left) = (snapshot.quota(), snapshot.remaining_burst_capacity());
                let interval = quota.replenish_interval();
                let used = quota.burst_size().get().saturating_sub(left);
                let next_after = if left == 0 { interval } else { Duration::ZERO };
                let reset_after = interval.saturating_mul(used);
                Decision::admitted(left.into(), next_after, reset_after)
            }
            Ok(Err(Wait { retry_after, quota })) => {
                let reset_after = quota.burst_size_replenished_in().max(retry_after);
                Decision::refused(0, retry_after, retry_after, reset_after)
            }
            Err(InsufficientCapacity(_)) => {
                Decision::cost_exceeds_burst(0, Duration::ZERO, Duration::ZERO)
            }
        }
    }
}

impl Store for Governor {
    fn acquire(&self, _: Tick, charges: &[Charge<'_>], out: &mut [Decision]) -> Acquire {
        // One, or none: `supports` saw to that.
        for (index, (charge, decision)) in charges.iter().zip(out).enumerate() {
            *decision = self.decide(charge);
            if !decision.is_admitted() {
                return Acquire::Refused {
                    by: u8::try_from(index).unwrap_or(u8::MAX),
                };
            }
        }
        Acquire::Admitted
    }

    /// Does nothing: governor cannot give back.
    fn settle(&self, _: Tick, _: &Charge<'_>, _: i64) {}

    fn supports(&self, limits: &[Arc<Limit>]) -> Result<(), ConfigError> {
        match limits.len() {
            0 | 1 => Ok(()),
            several => Err(ConfigError::new(
                "policies",
                several,
                "one policy: governor cannot give back what it charged when another one refuses",
            )),
        }
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governor").finish_non_exhaustive()
    }
}

/// One request every `replenish_interval`, and a burst of `burst_size`.
impl IntoQuota for governor::Quota {
    fn into_quota(self) -> Result<Quota, ConfigError> {
        Quota::per(1, self.replenish_interval())
            .burst(self.burst_size().get().into())
            .build()
    }
}
