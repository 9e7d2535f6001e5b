use std::sync::Arc;

use buttress_core::{BoxFuture, Digest};
use http::HeaderMap;

use crate::{
    Event,
    asked::Asked,
    decide::Keys,
    epochs::Epoch,
    event::NotStored,
    key::flight_keys,
    rfc9111::{self, Piece, StoredHead, Target, Upkeep},
    shared::Shared,
    store::{Answer, Entry, StoreError, Variants},
};

/// What of a change in the store is still to be done: nothing, where the store is in memory.
pub(crate) type Rest = Option<BoxFuture<'static, ()>>;

/// Does what is left to do.
pub(crate) async fn finish(rest: Rest) {
    if let Some(rest) = rest {
        rest.await;
    }
}

impl Shared {
    /// Stores a response that came in full, unless `key` was invalidated since `epoch`. Where a part of the
    /// same representation is stored already, they become one (RFC 9111 §3.4).
    #[must_use]
    pub(crate) fn keep(
        self: &Arc<Self>,
        asked: Asked,
        key: Digest,
        entry: Arc<Entry>,
        epoch: &Epoch,
    ) -> Rest {
        if epoch.is_over() {
            let why = NotStored::Outdated;
            self.tell(&Event::NotStored { why });
            return None;
        }
        let epoch = epoch.clone();
        let seen = self.store.get(key);
        self.then(seen, move |shared, variants| {
            let is_doubted = epoch.is_doubted();
            let variants = variants.as_slice().iter();
            let request = asked.head();
            let replaced: Vec<_> = variants
                .filter(|old| old.head().matches(&request))
                .cloned()
                .collect();
            // What nobody doubts was asked for after what is doubted.
            if is_doubted && replaced.iter().any(|old| !old.head().is_doubted()) {
                let why = NotStored::Outdated;
                shared.tell(&Event::NotStored { why });
                return None;
            }
            let mut olds = replaced.iter();
            let whole = olds.find_map(|old| combined(old, entry.head(), entry.body()));
            let fits = |entry: &Entry| entry.weight() <= shared.settings.largest;
            let entry = whole.filter(fits).map_or(entry, Arc::new);
            let entry = if is_doubted { suspect(&entry) } else { entry };
            let bytes = entry.weight();
            let put = shared.store.put(key, entry, &replaced);
            shared.then(put, move |shared, kept| {
                shared.tell(&if kept {
                    Event::Stored { bytes }
                } else {
                    let why = NotStored::Store;
                    Event::NotStored { why }
                });
                shared.unless_overtaken(key, &epoch, is_doubted)
            })
        })
    }

    /// Replaces `old`, or forgets it, unless `key` was invalidated since `epoch`.
    #[must_use]
    pub(crate) fn update(
        self: &Arc<Self>,
        key: Digest,
        old: &Arc<Entry>,
        new: Option<Arc<Entry>>,
        epoch: &Epoch,
    ) -> Rest {
        if epoch.is_over() {
            return None;
        }
        let (epoch, is_doubted) = (epoch.clone(), epoch.is_doubted());
        let new = new.map(|new| if is_doubted { suspect(&new) } else { new });
        let updated = self.store.update(key, old, new);
        self.then(updated, move |shared, _| {
            shared.unless_overtaken(key, &epoch, is_doubted)
        })
    }

    /// Does with `old` as its validation says; `fresh` is what it became.
    #[must_use]
    pub(crate) fn keep_up(
        self: &Arc<Self>,
        key: Digest,
        old: &Arc<Entry>,
        fresh: &Arc<Entry>,
        upkeep: Upkeep,
        epoch: &Epoch,
    ) -> Rest {
        match upkeep {
            Upkeep::Update => self.update(key, old, Some(Arc::clone(fresh)), epoch),
            Upkeep::Leave => None,
            Upkeep::Remove => self.update(key, old, None, epoch),
        }
    }

    /// What is stored under `key` is to be validated before it is used again.
    #[must_use]
    pub(crate) fn make_stale(
        self: &Arc<Self>,
        key: Digest,
        old: &Arc<Entry>,
        epoch: &Epoch,
    ) -> Rest {
        let mut head = old.head().clone();
        head.mark_stale();
        let stale = Arc::new(old.with_head(head));
        self.update(key, old, Some(stale), epoch)
    }

    /// Forgets what is stored under `key`, and what is on its way there: it is not stored, and whoever asks
    /// from now on does not wait for it. Answers whether anything was stored.
    pub(crate) fn outdate(&self, key: Digest) -> Answer<bool> {
        self.epochs.advance(key);
        self.close_flights(key);
        self.store.invalidate(key)
    }

    fn close_flights(&self, key: Digest) {
        for key in flight_keys(key) {
            self.flights.close(key);
        }
    }

    /// As [`outdate`](Self::outdate), where nobody waits for the answer.
    #[must_use]
    pub(crate) fn invalidate(self: &Arc<Self>, key: Digest) -> Rest {
        let gone = self.outdate(key);
        self.then(gone, |shared, was_there| {
            if was_there {
                shared.tell(&Event::Invalidated);
            }
            None
        })
    }

    /// What is stored under `key` may be outdated: it is validated before it is used again, and stands in until then where
    /// the origin fails. What is on its way there may be as old: it is stored as suspect, and whoever asks from now on does
    /// not wait for it.
    #[must_use]
    pub(crate) fn suspect(self: &Arc<Self>, key: Digest) -> Rest {
        self.epochs.doubt(key);
        self.close_flights(key);
        self.suspect_stored(key)
    }

    fn suspect_stored(self: &Arc<Self>, key: Digest) -> Rest {
        let stored = self.store.get(key);
        self.then(stored, move |shared, variants| {
            let mut rests = Vec::new();
            for old in variants.as_slice() {
                let updated = shared.store.update(key, old, Some(suspect(old)));
                rests.extend(shared.then(updated, |_, _| None));
            }
            if !variants.as_slice().is_empty() {
                shared.tell(&Event::Suspected);
            }
            match rests.is_empty() {
                true => None,
                false => Some(Box::pin(async move {
                    for rest in rests {
                        rest.await;
                    }
                })),
            }
        })
    }

    /// Forgets what an answer outdates (RFC 9111 §4.4): what is stored under `keys` and, if `target`, which is
    /// that of its request, is given, the further targets that its fields name. How often that was `keys`: what an
    /// answer itself did is not what may have overtaken it.
    pub(crate) fn heed(
        self: &Arc<Self>,
        keys: Keys,
        target: Option<Target<'_>>,
        headers: &HeaderMap,
    ) -> u64 {
        let mut own = 1;
        self.later(self.invalidate(keys.key));
        if let Some(target) = target {
            for uri in rfc9111::invalidated_uris(&target, headers) {
                if let Some(target) = Target::of_uri(&uri) {
                    let key = self.key(&target, keys.partition);
                    own += u64::from(key == keys.key);
                    self.later(self.invalidate(key));
                }
            }
        }
        own
    }

    /// What is stored under `key`; nothing, where the store cannot say.
    pub(crate) fn found(&self, answer: Result<Variants, StoreError>) -> Variants {
        answer.unwrap_or_else(|error| {
            self.tell(&Event::StoreFailed { error: &error });
            Variants::none()
        })
    }

    /// Does in the background what is left to do.
    pub(crate) fn later(&self, rest: Rest) {
        if let Some(rest) = rest {
            self.executor.execute(rest);
        }
    }

    /// Takes back what was stored while it was being invalidated, and doubts what was stored, as if nobody did, while it
    /// became suspect.
    fn unless_overtaken(self: &Arc<Self>, key: Digest, epoch: &Epoch, is_doubted: bool) -> Rest {
        if epoch.is_over() {
            let gone = self.store.invalidate(key);
            self.then(gone, |_, _| None)
        } else if !is_doubted && epoch.is_doubted() {
            self.suspect_stored(key)
        } else {
            None
        }
    }

    fn then<T: Send + 'static>(
        self: &Arc<Self>,
        answer: Answer<T>,
        next: impl FnOnce(&Arc<Self>, T) -> Rest + Send + 'static,
    ) -> Rest {
        match answer {
            Answer::Now(answer) => next(self, answer),
            Answer::Later(answer) => {
                let shared = Arc::clone(self);
                Some(Box::pin(async move {
                    match answer.await {
                        Ok(answer) => finish(next(&shared, answer)).await,
                        Err(error) => shared.tell(&Event::StoreFailed { error: &error }),
                    }
                }))
            }
        }
    }
}

fn suspect(entry: &Entry) -> Arc<Entry> {
    let mut head = entry.head().clone();
    head.mark_suspect();
    Arc::new(entry.with_head(head))
}

/// What is stored and what came, if together they are more of one representation.
fn combined(old: &Entry, head: &StoredHead, body: &[u8]) -> Option<Entry> {
    let all = rfc9111::combine(old.head(), old.body().len(), head, body.len())?;
    let mut whole = Vec::with_capacity(old.body().len().saturating_add(body.len()));
    for piece in all.pieces {
        whole.extend_from_slice(match piece {
            Piece::Old(range) => old.body().get(range)?,
            Piece::New(range) => body.get(range)?,
        });
    }
    // Of exact size: what both had was counted twice.
    Some(Entry::new(all.head, whole.into_boxed_slice().into()))
}
