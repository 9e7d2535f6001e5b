use buttress_core::{BoxFuture, MissingKey};

use crate::{Standing, held::Held, lookup::Lookup, store::Answer};

/// What comes of a request.
pub(crate) enum Ruling<'a> {
    /// It may pass, whatever the limits say.
    Allowed,
    /// It may pass, and nothing is told of any limit: none that is enforced applies.
    Exempt,
    /// It may not, whatever the limits say.
    Denied,
    /// It may pass; so stand the policies.
    Admitted(Standing<'a>),
    /// It may not, by the policy at this index.
    Refused { by: usize, standing: Standing<'a> },
    /// It may not: the policy at this index needs a key.
    NoKey { by: usize, missing: MissingKey },
    /// Its quotas have to be looked up first.
    LookUp(Lookup),
    /// The store has to ask elsewhere.
    Later {
        answer: BoxFuture<'static, Answer>,
        held: Held,
    },
}

impl<'a> Ruling<'a> {
    /// What the policies have decided: refused by the one at this index, or by none.
    #[inline]
    pub(crate) fn of(standing: Standing<'a>, refused_by: Option<usize>) -> Self {
        match refused_by {
            None => Self::Admitted(standing),
            Some(by) => Self::Refused { by, standing },
        }
    }
}
