use std::{fmt, sync::Arc};

use buttress_core::{Digest, DigestKey};

use crate::{
    Happening, Refused,
    circuit::{Circuit, Ticket},
    settings::Settings,
    table::Table,
};

/// What all handles, services and permits of one circuit breaker share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// The circuit of those who have no key.
    pub(crate) only: Circuit,
    pub(crate) keyed: Option<Keyed>,
}

/// The circuits of those who have one.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub(crate) table: Table,
    pub(crate) secret: DigestKey,
}

/// Where a circuit is: [`Self::ONLY`], or a place in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At(u32);

impl At {
    pub(crate) const ONLY: Self = Self(u32::MAX);
}

impl Shared {
    pub(crate) fn of(settings: Settings, keyed: Option<Keyed>) -> Arc<Self> {
        Arc::new(Self {
            only: Circuit::closed(&settings),
            settings,
            keyed,
        })
    }

    #[inline]
    pub(crate) fn circuit(&self, At(index): At) -> &Circuit {
        let keyed = self.keyed.as_ref();
        let circuit = keyed.and_then(|keyed| keyed.table.get(index));
        circuit.unwrap_or(&self.only)
    }

    #[inline]
    pub(crate) fn admit(&self) -> Result<Ticket, Refused> {
        self.only.admit(&self.settings)
    }

    /// May a call for `key` go?
    #[inline]
    pub(crate) fn admit_for(&self, keyed: &Keyed, key: Digest) -> Result<(At, Ticket), Refused> {
        let asked = keyed.table.ask(
            key,
            &self.settings,
            |circuit| circuit.admit(&self.settings),
            |circuit, ticket| {
                if let Ok(ticket) = ticket {
                    circuit.withdraw(&ticket);
                }
            },
        );
        let Some((place, ticket)) = asked else {
            self.settings.observe(|| Some(key), || Happening::NoRoom);
            return Ok((At::ONLY, Ticket::unwatched()));
        };
        Ok((At(place.index), ticket?))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.settings.name)
            .field("trip", &self.settings.trip)
            .field("state", &self.only.state())
            .field("keyed", &self.keyed)
            .finish_non_exhaustive()
    }
}
