//! What can be said of requests of any type.

use std::{sync::Arc, time::Duration};

use buttress_core::{ConfigError, ExtractKey};

use super::LayerFor;
use crate::{RetryBuilder, RetryLayer, Typed, shared::Shared};

impl<Rsp, E, P, K> RetryLayer<Typed<Rsp, E, P, K>> {
    /// For how long the upstream that a request is for is parked.
    #[must_use]
    pub fn parked<Req>(&self, request: &Req) -> Option<Duration>
    where
        K: ExtractKey<Req>,
    {
        let Shared { settings, flavor } = &*self.shared;
        settings.parked(|| flavor.park_key(request))
    }

    /// Lets everybody call the upstream again that a request is for. Who waits for it goes on at once.
    pub fn unpark<Req>(&self, request: &Req)
    where
        K: ExtractKey<Req>,
    {
        let Shared { settings, flavor } = &*self.shared;
        settings.unpark(|| flavor.park_key(request));
    }
}

impl<Rsp, E, P, K> RetryBuilder<LayerFor<Typed<Rsp, E, P, K>>> {
    /// What keeps requests to send them again; [`Cloned`](crate::Cloned) if not given.
    pub fn replay<Q>(self, replay: Q) -> RetryBuilder<LayerFor<Typed<Rsp, E, Q, K>>> {
        self.map(|made| made.map(|flavor| flavor.replay(replay)))
    }

    /// Whom a "too many" is about, as a request tells it; one upstream for all if not given. It is asked about every
    /// request. Those without a key share one.
    pub fn park_by<L>(self, key: L) -> RetryBuilder<LayerFor<Typed<Rsp, E, P, L>>> {
        self.map(|made| made.map(|flavor| flavor.park_by(key)))
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// As of [`RetryPolicy`](crate::RetryBuilder::build).
    pub fn build(self) -> Result<RetryLayer<Typed<Rsp, E, P, K>>, ConfigError> {
        let (settings, LayerFor { flavor }) = self.parts()?;
        Ok(RetryLayer {
            shared: Arc::new(Shared { settings, flavor }),
        })
    }
}
