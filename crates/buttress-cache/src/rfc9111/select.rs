//! Choosing among the variants of a key (RFC 9111 §4.1).

use super::{RequestHead, StoredHead};

/// Which of the stored responses answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// The one at this place.
    Variant(usize),

    /// There are some, but each was chosen by request fields that differ.
    NoVariant,

    /// There is none.
    Nothing,
}

/// Chooses, of the stored responses whose Vary matches, the one with the most recent Date; where some hold only parts,
/// one that holds what is asked for goes first. Of equals the last is taken.
#[must_use]
pub fn select<'s>(
    request: &RequestHead<'_>,
    variants: impl IntoIterator<Item = &'s StoredHead>,
) -> Selection {
    let mut any = false;
    let mut best = None;
    for (place, stored) in variants.into_iter().enumerate() {
        any = true;
        if stored.matches(request) {
            let rank = (stored.holds(request), stored.date());
            if best.is_none_or(|(_, least)| rank >= least) {
                best = Some((place, rank));
            }
        }
    }
    match best {
        Some((place, _)) => Selection::Variant(place),
        None if any => Selection::NoVariant,
        None => Selection::Nothing,
    }
}
