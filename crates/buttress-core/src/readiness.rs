//! Readiness, and who gives it back.
//!
//! `poll_ready` of a `tower` service may reserve something for the call that is to follow: `ConcurrencyLimit` a
//! permit, `Buffer` a place in its queue. What is reserved is given back by the call, or when the service is dropped.
//! So a layer that answers without calling, because it refuses or has the answer, must drop the service that it had
//! made ready, or an idle connection keeps its permit for good.

use std::mem;

/// Drops the `service` that was made ready for a call that is not made, and leaves a clone in its place, which must
/// be made ready before it is called.
pub fn release<S: Clone>(service: &mut S) {
    let fresh = service.clone();
    drop(mem::replace(service, fresh));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// As `ConcurrencyLimit` and its kin do it: the permit belongs to the one that was made ready, not to its clones.
    struct Reserving(Option<Arc<()>>);

    impl Clone for Reserving {
        fn clone(&self) -> Self {
            Self(None)
        }
    }

    #[test]
    fn what_was_reserved_is_given_back() {
        let permits = Arc::new(());
        let mut service = Reserving(Some(Arc::clone(&permits)));
        assert_eq!(Arc::strong_count(&permits), 2);
        release(&mut service);
        assert_eq!(Arc::strong_count(&permits), 1);
        assert!(service.0.is_none());
    }
}
