use std::{fmt, sync::Arc, time::Duration};

use buttress_core::Outcome;

use crate::{
    circuit::{Circuit, Ticket},
    settings::Settings,
    shared::{At, Shared},
};

macro_rules! permit_methods {
    () => {
        /// Tells how the call ended.
        ///
        /// [`Outcome::Ignored`] and [`Outcome::Pending`] say nothing: a probe's permit goes to another call.
        #[inline]
        pub fn record(mut self, outcome: Outcome) {
            if let Some(ticket) = self.ticket.take() {
                let (settings, circuit) = self.place();
                circuit.settle(settings, ticket, outcome);
            }
        }

        /// The upstream answered, and the answer is good so far. From here on the call can no longer be
        /// slow, and a probe whose end does not come before its deadline counts as a success.
        pub fn answered(&mut self) {
            if let Some(mut ticket) = self.ticket.take() {
                let (settings, circuit) = self.place();
                circuit.answered(settings, &mut ticket);
                self.ticket = Some(ticket);
            }
        }

        /// So much of the call's time so far was not the upstream's: its caller waited for somebody else, such as
        /// for a client that sends its request slowly. It does not make the call
        /// [slow](crate::RateTrip::slow_call_rate).
        pub fn waited(&mut self, span: Duration) {
            if let Some(ticket) = &mut self.ticket {
                ticket.waited(span);
            }
        }

        /// Whether the call is a probe, by which the circuit decides whether to close.
        #[must_use]
        pub fn is_probe(&self) -> bool {
            self.ticket.as_ref().is_some_and(Ticket::is_probe)
        }
    };
}

macro_rules! permit_drop {
    ($permit:ty) => {
        impl Drop for $permit {
            fn drop(&mut self) {
                if let Some(ticket) = self.ticket.take() {
                    let (settings, circuit) = self.place();
                    circuit.abandon(settings, ticket);
                }
            }
        }

        impl fmt::Debug for $permit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Permit")
                    .field("is_probe", &self.is_probe())
                    .finish_non_exhaustive()
            }
        }
    };
}

/// A call may go. [Record](Self::record) how it ends.
///
/// Dropped without a record, it counts as [`OnDrop`](crate::OnDrop) says, and a probe's permit is given
/// back.
#[must_use = "a permit that is dropped at once counts as a call whose end nobody waited for"]
pub struct Permit<'a> {
    settings: &'a Settings,
    circuit: &'a Circuit,
    ticket: Option<Ticket>,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(crate) fn with(settings: &'a Settings, circuit: &'a Circuit, ticket: Ticket) -> Self {
        Self {
            settings,
            circuit,
            ticket: Some(ticket),
        }
    }

    #[inline]
    fn place(&self) -> (&'a Settings, &'a Circuit) {
        (self.settings, self.circuit)
    }

    permit_methods!();
}

permit_drop!(Permit<'_>);

/// A [`Permit`] that borrows nothing, for a call that outlives its caller's frame.
#[must_use = "a permit that is dropped at once counts as a call whose end nobody waited for"]
pub struct OwnedPermit {
    shared: Arc<Shared>,
    at: At,
    ticket: Option<Ticket>,
}

impl OwnedPermit {
    #[inline]
    pub(crate) fn with(shared: Arc<Shared>, at: At, ticket: Ticket) -> Self {
        Self {
            shared,
            at,
            ticket: Some(ticket),
        }
    }

    #[inline]
    fn place(&self) -> (&Settings, &Circuit) {
        (&self.shared.settings, self.shared.circuit(self.at))
    }

    /// Whether anybody asks how long the call takes.
    pub(crate) fn is_timed(&self) -> bool {
        self.ticket.as_ref().is_some_and(Ticket::is_timed)
    }

    permit_methods!();
}

permit_drop!(OwnedPermit);
