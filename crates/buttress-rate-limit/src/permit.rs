use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use buttress_core::Tick;

use crate::{books::Books, standing::Asked, store::signed};

/// What a request was charged, in the hands of whoever learns what it truly cost.
///
/// Where the layer was built with [`permits`](crate::RateLimitLayerBuilder::permits), a request carries
/// its permit as an extension; in axum (feature `axum`) it is an extractor. Of several such layers it is that of the
/// innermost one. A request that no limit applies to has one that settles nothing.
///
/// The charge was made when the request was admitted and needs nothing further. [Settling](Self::settle)
/// changes it afterwards, once for each policy: the first settlement wins, and dropping a permit changes
/// nothing. An overrun drives a state into debt of at most one more burst; a refund never lifts it above
/// full.
///
/// ```
/// use buttress_rate_limit::Permit;
///
/// async fn complete(permit: Permit, prompt: String) -> String {
///     // Admitted under an estimate of the tokens; this is what they were.
///     let (answer, tokens) = (prompt.to_uppercase(), 2 * prompt.len() as u64);
///     permit.settle_for("tokens-per-minute", tokens);
///     answer
/// }
/// # let _ = complete;
/// ```
#[derive(Clone)]
pub struct Permit {
    shared: Arc<Shared>,
}

struct Shared {
    books: Arc<Books>,
    asked: Box<[Asked]>,
    /// When it was charged.
    at: Tick,
    /// A bit for each policy that is settled; a layer has at most eight.
    settled: AtomicU8,
}

impl Permit {
    pub(crate) fn of(books: &Arc<Books>, asked: &[Asked], at: Tick) -> Self {
        Self {
            shared: Arc::new(Shared {
                books: Arc::clone(books),
                asked: asked.into(),
                at,
                settled: AtomicU8::new(0),
            }),
        }
    }

    /// The request truly cost `actual`: charges every policy that is not settled yet the difference, up or
    /// down. Tells whether there was any.
    pub fn settle(&self, actual: u64) -> bool {
        self.settle_where(actual, |_| true)
    }

    /// The same for the `policy` of this name alone; where there is none, or none that applied to the
    /// request, nothing is settled.
    pub fn settle_for(&self, policy: &str, actual: u64) -> bool {
        match self.shared.books.position(policy) {
            Some(ordinal) => self.settle_at(ordinal, actual),
            None => false,
        }
    }

    /// Gives everything back that is not settled yet: the request should not have counted.
    pub fn refund(&self) -> bool {
        self.settle(0)
    }

    /// What the `policy` of this name was charged when the request was admitted.
    #[must_use]
    pub fn charged(&self, policy: &str) -> Option<u64> {
        let ordinal = self.shared.books.position(policy)?;
        let asked = self
            .shared
            .asked
            .iter()
            .find(|asked| asked.ordinal == ordinal);
        asked.map(|asked| asked.cost)
    }

    pub(crate) fn settle_at(&self, ordinal: usize, actual: u64) -> bool {
        self.settle_where(actual, |asked| asked.ordinal == ordinal)
    }

    fn settle_where(&self, actual: u64, which: impl Fn(&Asked) -> bool) -> bool {
        let Shared {
            books,
            asked,
            at,
            settled,
        } = &*self.shared;
        let mut any = false;
        for asked in asked.iter().filter(|asked| which(asked)) {
            let bit = 1_u8.checked_shl(asked.ordinal as u32).unwrap_or(0);
            if settled.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
                any = true;
                let by = signed(actual).saturating_sub(signed(asked.cost));
                match by {
                    0 => {}
                    1.. => books.settle(books.now(), asked, by),
                    // To the window that was charged, for an algorithm of windows, and to no later one.
                    ..0 => books.settle(*at, asked, by),
                }
            }
        }
        any
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Digests of keys are nobody's business.
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
