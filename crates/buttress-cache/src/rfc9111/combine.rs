//! Putting parts of one representation together (RFC 9111 §3.4, RFC 9110 §15.3.7.3).

use std::ops::Range;

use super::{
    Part, StoredHead, entity_tag,
    fields::{are_too_many, copy},
};

/// A response made of two.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Combined {
    /// Its head; a 200 if nothing is lacking any more.
    pub head: StoredHead,

    /// Its body, piece after piece.
    pub pieces: Vec<Piece>,
}

/// A piece of a body: bytes of the one or the other that it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece {
    /// Of the body that was stored.
    Old(Range<usize>),

    /// Of the body that came.
    New(Range<usize>),
}

/// Puts a stored response and a part that came later together. `None` unless both have the same strong entity tag and
/// overlap, or touch, so that no byte between them is lacking; nor where the fields of both are more than are kept.
///
/// The fields are those of the newer response, and the stored ones that it does not have.
#[must_use]
pub fn combine(
    old: &StoredHead,
    old_length: usize,
    new: &StoredHead,
    new_length: usize,
) -> Option<Combined> {
    if !entity_tag::strongly_equal(old.entity_tag()?, new.entity_tag()?) {
        return None;
    }
    let came = new.part()?;
    let had = match old.part() {
        Some(part) => part,
        None if old.status() == http::StatusCode::OK => Part {
            first: 0,
            last: u64::try_from(old_length).ok()?.checked_sub(1)?,
            complete: u64::try_from(old_length).ok(),
        },
        None => return None,
    };
    let complete = match (had.complete, came.complete) {
        (Some(one), Some(other)) if one != other => return None,
        (one, other) => one.or(other),
    };
    let lengths = (
        usize::try_from(had.len()).ok()?,
        usize::try_from(came.len()).ok()?,
    );
    if lengths != (old_length, new_length) {
        return None;
    }
    // A last position is never the greatest of its type.
    if came.first > had.last + 1 || had.first > came.last + 1 {
        return None;
    }
    let part = Part {
        first: had.first.min(came.first),
        last: had.last.max(came.last),
        complete,
    };
    if complete.is_some_and(|complete| part.last >= complete) {
        return None;
    }

    // What both have is taken from the newer one.
    let before = usize::try_from(came.first.saturating_sub(had.first)).ok()?;
    let after = usize::try_from(had.last.saturating_sub(came.last)).ok()?;
    let pieces = [
        Piece::Old(0..before.min(old_length)),
        Piece::New(0..new_length),
        Piece::Old(old_length.saturating_sub(after)..old_length),
    ];
    let head = new.clone().with_older_fields(copy(old.headers(), |name| {
        !new.headers().contains_key(name)
    }));
    // Each part might bring as many again, and a map has an end, beyond which it panics.
    if are_too_many(head.headers()) {
        return None;
    }
    Some(Combined {
        head: head.with_part(part),
        pieces: pieces
            .into_iter()
            .filter(|piece| match piece {
                Piece::Old(range) | Piece::New(range) => !range.is_empty(),
            })
            .collect(),
    })
}
