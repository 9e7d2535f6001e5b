use std::sync::Arc;

use buttress_core::{Digest, Key};
use http::Uri;

use crate::{
    Event, Stats,
    rfc9111::Target,
    shared::Shared,
    store::{StoreError, Variants},
};

/// A handle on a [`CacheLayer`](crate::CacheLayer)'s store. Clones are the same cache.
#[derive(Clone, Debug)]
pub struct Cache {
    shared: Arc<Shared>,
    partition: Option<Digest>,
}

impl Cache {
    pub(crate) const fn of(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            partition: None,
        }
    }

    /// Forgets what is stored for `uri`, all variants of it, what is on its way into the store, and that answers
    /// were [not stored](crate::CacheLayerBuilder::hit_for_miss) of late. Tells whether anything was stored.
    ///
    /// The URI must be absolute, with the scheme that clients use: a relative one names nothing. Of a cache
    /// that is [partitioned](crate::CacheLayerBuilder::partition_by), see [`partition`](Self::partition).
    ///
    /// # Errors
    ///
    /// Where the store could not be asked: what it has may be there still. What was on its way is forgotten all the same.
    pub async fn invalidate(&self, uri: &Uri) -> Result<bool, StoreError> {
        let Some(key) = self.key(uri) else {
            return Ok(false);
        };
        let outdated = self.shared.outdate(key);
        self.shared.unlearn(key);
        let was_there = outdated.wait().await?;
        if was_there {
            self.shared.tell(&Event::Invalidated);
        }
        Ok(was_there)
    }

    /// A handle on the part that belongs to `key`, where the cache is
    /// [partitioned](crate::CacheLayerBuilder::partition_by): the key that the extractor finds in
    /// the requests of whoever is meant. Forgetting everything still forgets everything.
    #[must_use]
    pub fn partition<K: Key + ?Sized>(&self, key: &K) -> Self {
        Self {
            partition: Some(self.shared.secret.digest(key)),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Forgets everything, and what is on its way into the store.
    ///
    /// # Errors
    ///
    /// Where the store could not be asked.
    pub async fn clear(&self) -> Result<(), StoreError> {
        self.shared.epochs.advance_all();
        self.shared.flights.close_all();
        self.shared.hit_for_miss.forget_all();
        self.shared.store.clear().wait().await
    }

    /// What is stored for `uri`, fresh or not, one entry for each variant; nothing for a relative URI.
    ///
    /// # Errors
    ///
    /// Where the store could not be asked.
    pub async fn get(&self, uri: &Uri) -> Result<Variants, StoreError> {
        match self.key(uri) {
            Some(key) => self.shared.store.get(key).wait().await,
            None => Ok(Variants::none()),
        }
    }

    /// What this cache has done since it was made, and what it holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let under_way = self.shared.flights.len();
        self.shared
            .counts
            .read(under_way, self.shared.store.usage())
    }

    fn key(&self, uri: &Uri) -> Option<Digest> {
        Target::of_uri(uri).map(|target| self.shared.key(&target, self.partition))
    }
}
