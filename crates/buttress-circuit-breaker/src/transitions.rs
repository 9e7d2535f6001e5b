use std::fmt;

use tokio::sync::broadcast::{Receiver, Sender, channel, error::RecvError};

use crate::Transition;

/// The changes of a circuit's state, in their order, from the moment of the subscription on.
///
/// Who does not keep up misses the oldest ones: at most 32 are kept for all subscribers together.
pub struct Transitions(Receiver<Transition>);

const KEPT: usize = 32;

impl Transitions {
    /// The next one; `None` once the circuit breaker and all its clones are gone.
    ///
    /// It can be cancelled at any time without losing one.
    pub async fn next(&mut self) -> Option<Transition> {
        loop {
            match self.0.recv().await {
                Ok(transition) => return Some(transition),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl fmt::Debug for Transitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transitions").finish_non_exhaustive()
    }
}

/// Where transitions are told; nothing at all until somebody subscribes.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Option<Sender<Transition>>);

impl Subscribers {
    pub(crate) fn subscribe(&mut self) -> Transitions {
        let sender = self.0.get_or_insert_with(|| channel(KEPT).0);
        Transitions(sender.subscribe())
    }

    pub(crate) fn tell(&self, transition: Transition) {
        if let Some(sender) = &self.0 {
            // It fails where nobody listens any more.
            let _ = sender.send(transition);
        }
    }
}
