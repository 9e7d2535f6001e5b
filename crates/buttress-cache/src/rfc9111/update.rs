//! Freshening a stored response (RFC 9111 §3.2, §4.3.4).

use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, CONTENT_RANGE, DATE, VARY},
};

use super::{
    Options, RequestHead, StoredHead, Times,
    fields::{Kept, are_too_many, copy},
    freshness::{self, Governing},
    storable::forbids,
    vary::Vary,
};

/// A stored response with the fields of a newer one about the same representation, as if it had come now.
pub(super) struct Freshened {
    pub(super) head: StoredHead,
    pub(super) upkeep: Upkeep,
}

/// What becomes of a stored response that was found to be still right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upkeep {
    /// It gets the newer fields.
    Update,

    /// It stays as it was. The newer fields are only for whom they answered, who asked with `no-store` or in a name of
    /// their own: nobody may put anything out of the cache by asking so.
    Leave,

    /// It goes: the newer fields forbid to keep it, or are too many.
    Remove,
}

/// Every field of the update takes the place of the stored ones of its name, but for Content-Length and what is not kept
/// at all. Content-Range, too, tells of the message that it came in.
pub(super) fn freshen(
    options: &Options,
    request: &RequestHead<'_>,
    stored: &StoredHead,
    update: &HeaderMap,
    times: Times,
) -> Freshened {
    // It would be dropped at once, and there may be no map that holds all of them.
    let none = HeaderMap::new();
    let (update, too_many) = match are_too_many(update) {
        true => (&none, true),
        false => (update, false),
    };
    let kept = Kept::new(options, update);
    let replaces =
        |name: &_| kept.includes(name) && *name != CONTENT_LENGTH && *name != CONTENT_RANGE;
    let mut merged = copy(stored.headers(), |name| {
        !(replaces(name) && update.contains_key(name))
    });
    for (name, value) in &copy(update, replaces) {
        merged.append(name, value.clone());
    }
    // The stored Date is that of the older message.
    if freshness::date(update, times.responded).is_none() {
        merged.remove(DATE);
    }

    // It governs although it may be among what is not kept, and then goes before what is stored of its name.
    let said = copy(update, |name| {
        !kept.includes(name) && Governing::is_read_from(options, name)
    });
    let governing = match said.is_empty() {
        true => Governing::read(options, &merged),
        false => {
            let mut governs = copy(&merged, |name| Governing::is_read_from(options, name));
            governs.extend(said);
            Governing::read(options, &governs)
        }
    };
    let vary = match update.contains_key(VARY) {
        true => Vary::read(update, request.headers()),
        false => Ok(stored.vary().clone()),
    };
    let directives = &governing.directives;
    let forbidden = vary.is_err()
        || too_many
        || are_too_many(&merged)
        || forbids(options, directives, stored.status()).is_some();
    // The fields of an answer are not to be shared either, if it is not.
    let for_one =
        options.shared && request.fields().authorization && !directives.allows_authorization();
    let upkeep = if forbidden {
        Upkeep::Remove
    } else if for_one || request.directives().no_store {
        Upkeep::Leave
    } else {
        Upkeep::Update
    };
    let vary = vary.unwrap_or_else(|_| stored.vary().clone());
    let head = StoredHead::keep(
        options,
        request,
        &governing,
        vary,
        stored.status(),
        &merged,
        times,
    )
    .freshened(stored, update, times);
    Freshened { head, upkeep }
}
