use std::{fmt, sync::Arc};

use buttress_core::{Digest, DigestKey};

use crate::{
    Happening, Refused,
    circuit::{Circuit, Ticket},
    settings::Settings,
    table::{Fingerprint, Table},
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

    /// May a call for `key` go? Half of the key's digest finds its circuit; the `whole` of it only newcomers
    /// need.
    #[inline]
    pub(crate) fn admit_for<'a>(
        &'a self,
        keyed: &'a Keyed,
        key: Fingerprint,
        whole: impl Fn() -> Digest,
    ) -> Result<(At, &'a Circuit, Ticket), Refused> {
        match keyed.table.admit(key, &whole, &self.settings) {
            Some(Ok((index, circuit, ticket))) => Ok((At(index), circuit, ticket)),
            Some(Err(refused)) => Err(refused),
            None => {
                self.settings
                    .observe(|| Some(whole()), || Happening::NoRoom);
                Ok((At::ONLY, &self.only, Ticket::unwatched()))
            }
        }
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
