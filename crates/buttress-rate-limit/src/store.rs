//! Where states are kept: the seam between deciding and remembering.

#[cfg(feature = "governor")]
mod governor;
mod locked;
mod memory;
mod table;

use std::{fmt, sync::Arc};

use buttress_core::{BoxFuture, ConfigError, Digest, Tick};

#[cfg(feature = "governor")]
pub use self::governor::Governor;
pub use self::memory::MemoryStore;
pub(crate) use self::{
    memory::{Place, Stale, signed},
    table::{Always, Fingerprint, Table, Updated},
};
use crate::{Decision, Limit, Quota};

/// One charge of a request against one limit.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'a> {
    /// Against which limit.
    pub limit: &'a Arc<Limit>,
    /// Whose.
    pub key: Digest,
    /// The quota of this key: the limit's own, or one that was resolved for this request.
    pub quota: &'a Quota,
    /// Which of the limit's own quotas that is: how often it [was changed](Limit::set_quota) before. `None` for
    /// one that was resolved for this request.
    pub revision: Option<u64>,
    /// How much.
    pub cost: u64,
}

/// Keeps the states of keys. In memory it answers at once; a remote one answers by a future.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Decides on all `charges`, and charges all of them or none: a refusal changes no state.
    ///
    /// `out` has a place for each charge and is filled in every case but [`Acquire::Later`]: with how the
    /// limits stand then, so that one which would have admitted what another refused shows no charge.
    fn acquire(&self, now: Tick, charges: &[Charge<'_>], out: &mut [Decision]) -> Acquire;

    /// Charges `by` more than a charge that was made, or gives back where it is negative: what was used beyond
    /// the estimate, or was not used. Never refuses; debt is bounded by the algorithm. Where it gives back,
    /// `now` is when the charge was made.
    ///
    /// Synchronous, since it is called from `Drop`: a remote store queues it.
    fn settle(&self, now: Tick, charge: &Charge<'_>, by: i64);

    /// Whether this store can keep `limits`, in the order in which it will be asked about them; asked when a
    /// layer is built.
    ///
    /// # Errors
    ///
    /// Where it cannot. The default can keep all.
    fn supports(&self, limits: &[Arc<Limit>]) -> Result<(), ConfigError> {
        let _ = limits;
        Ok(())
    }
}

/// How a [`Store`] answers.
#[must_use]
#[non_exhaustive]
pub enum Acquire {
    /// All charges were made.
    Admitted,
    /// None was made. The charge at this index is the one to name: of those that refuse, the one with
    /// the longest wait.
    Refused {
        /// Index into the charges.
        by: u8,
    },
    /// The store has to ask elsewhere. A future that is dropped before it is ready belongs to a caller who has
    /// gone: what the store may have charged by then it gives back itself.
    Later(BoxFuture<'static, Answer>),
}

/// The answer of a store that had to ask elsewhere.
#[derive(Clone, Debug)]
#[must_use]
pub struct Answer {
    /// One for each charge, in their order.
    pub decisions: Vec<Decision>,
    /// As in [`Acquire::Refused`]; `None` where all charges were made.
    pub refused_by: Option<u8>,
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted => f.write_str("Admitted"),
            Self::Refused { by } => f.debug_struct("Refused").field("by", by).finish(),
            Self::Later(_) => f.debug_tuple("Later").finish_non_exhaustive(),
        }
    }
}

/// What happens to a key that the store has no room for: when every slot in which it could stand is
/// taken by a key that still has something to remember.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// All such keys share one further bucket with the limit's quota. Under a flood of keys the callers
    /// that have no place yet are limited together, and nobody is free.
    ///
    /// What a request gives back, by its permit or a rule or because it was given up, goes where it was charged. Who
    /// gives back without that knowledge, by [`RateLimiter::refund`](crate::RateLimiter::refund) or from a store of one's own that hands on
    /// to a [`MemoryStore`], gives it to where the key stands by then: while the flood lasts, for a key whose own state
    /// came back and was forgotten meanwhile, to the shared bucket, never above full.
    #[default]
    Share,
    /// Such keys are not limited.
    Admit,
    /// Such keys are refused, for as long as one request takes to come back.
    Refuse,
}
