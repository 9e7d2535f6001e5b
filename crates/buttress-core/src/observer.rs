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

/// Both hear of it, in this order.
impl<E: ?Sized, A: Observer<E>, B: Observer<E>> Observer<E> for (A, B) {
    fn observe(&self, event: &E) {
        self.0.observe(event);
        self.1.observe(event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn closures_shared_observers_and_pairs_hear_of_an_event() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let observer = |name: &'static str| {
            let heard = Arc::clone(&heard);
            move |event: &str| heard.lock().unwrap().push(format!("{name}: {event}"))
        };
        let shared: Arc<dyn Observer<str>> = Arc::new(observer("shared"));
        (observer("closure"), shared).observe("one");
        assert_eq!(*heard.lock().unwrap(), ["closure: one", "shared: one"]);
    }
}
