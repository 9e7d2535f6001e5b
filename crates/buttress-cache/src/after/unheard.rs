use std::sync::Arc;

use buttress_core::Digest;
use buttress_http::LocalRefusal;
use http::{Method, Response, StatusCode};

use crate::{decide::Keys, rfc9111, shared::Shared};

/// An unsafe request that was sent, as long as nobody has heard how it ended.
///
/// The origin may have acted on it, though its client has left before the answer, the inner service failed, or a gateway
/// has had no answer either. So dropped before it was heard of, it makes what is stored for its target suspect.
#[derive(Debug)]
pub(super) struct Unheard {
    shared: Arc<Shared>,
    key: Digest,
    is_heard: bool,
}

impl Unheard {
    /// `None` where the method changes nothing.
    pub(super) fn of(shared: &Arc<Shared>, keys: Keys, method: &Method) -> Option<Self> {
        rfc9111::invalidate(method, StatusCode::OK).then(|| Self {
            shared: Arc::clone(shared),
            key: keys.key,
            is_heard: false,
        })
    }

    /// There is an answer. What it says of the target is left to [`invalidate`](rfc9111::invalidate), if it says anything.
    pub(super) fn answered<B>(mut self, response: &Response<B>) {
        // Who refuses on this side has sent nothing.
        let is_refused = LocalRefusal::of(response).is_some();
        self.is_heard = is_refused || !rfc9111::is_unknown(response.status());
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        if !self.is_heard {
            // A store that answers later is waited for by the executor, since nobody else is there to do it.
            self.shared.later(self.shared.suspect(self.key));
        }
    }
}
