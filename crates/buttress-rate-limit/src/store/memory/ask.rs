use buttress_core::Tick;

use super::Stale;
use crate::{
    Limit, Quota,
    store::{Charge, Fingerprint, locked::Request},
};

/// One charge, on its way to the table.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) now: Tick,
    pub(super) limit: &'a Limit,
    pub(super) key: Fingerprint,
    pub(super) quota: &'a Quota,
    /// Which of the limit's own quotas that is, if it is one.
    pub(super) revision: Option<u64>,
    pub(super) cost: u64,
}

impl<'a> Ask<'a> {
    pub(super) fn of(now: Tick, charge: &Charge<'a>) -> Self {
        Self {
            now,
            limit: charge.limit,
            key: charge.key.into(),
            quota: charge.quota,
            revision: charge.revision,
            cost: charge.cost,
        }
    }

    /// As a table of states of several words has it.
    pub(super) fn request<A: ?Sized>(&self, algorithm: &'a A) -> Request<'a, A> {
        let quotas = self.limit.quotas();
        Request {
            algorithm,
            quota: self.quota,
            own: self.revision.is_some(),
            kind: self.limit.kind(),
            by_request: self.limit.kind().is_by_request(),
            quotas,
            revision: self.revision.unwrap_or_else(|| quotas.revision()),
            now: self.now,
            cost: self.cost,
        }
    }

    /// A quota that was resolved for the request stays as it is, whatever becomes of the limit's own.
    #[cold]
    pub(super) fn again(&self) -> Result<(), Stale> {
        match self.revision {
            Some(_) => Err(Stale),
            None => Ok(()),
        }
    }
}
