use std::sync::Arc;

/// Hears of every decision that a handle makes, as the typed event `E` of its crate.
///
/// It is called on the request's own path: count, sample or send on, and return. Any closure over `&E`
/// is an observer.
pub trait Observer<E: ?Sized>: Send + Sync + 'static {
    /// Called once per event.
    fn observe(&self, event: &E);
}

impl<E: ?Sized, F> Observer<E> for F
where
    F: Fn(&E) + Send + Sync + 'static,
{
    fn observe(&self, event: &E) {
        self(event);
    }
}

impl<E: ?Sized> Observer<E> for Arc<dyn Observer<E>>
where
    E: 'static,
{
    fn observe(&self, event: &E) {
        (**self).observe(event);
    }
}
