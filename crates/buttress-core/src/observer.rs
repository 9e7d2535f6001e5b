use std::sync::Arc;

/// Hears of every decision that a handle makes, as the typed event `E` of its crate.
///
/// It is called on the request's own path: count, sample or send on, and return. Any closure over `&E`
/// is an observer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not observe events of type `{E}`",
    note = "an observer is a closure over `&{E}`, a type that implements `Observer`, an `Arc` of one, or a pair of observers"
)]
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

/// One observer for several handles.
impl<E: ?Sized, O: Observer<E> + ?Sized> Observer<E> for Arc<O> {
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

    /// Events borrow from the decision that they tell of: a shared observer must hear of any lifetime.
    #[test]
    fn an_observer_of_borrowed_events_can_be_shared() {
        struct Borrowed<'a>(&'a str);
        struct Count(Mutex<usize>);
        impl Observer<Borrowed<'_>> for Count {
            fn observe(&self, event: &Borrowed<'_>) {
                *self.0.lock().unwrap() += event.0.len();
            }
        }
        fn take(observer: impl for<'a> Observer<Borrowed<'a>>) {
            observer.observe(&Borrowed(&String::from("four")));
        }
        let count = Arc::new(Count(Mutex::new(0)));
        take(Arc::clone(&count));
        let erased: Arc<dyn for<'a> Observer<Borrowed<'a>>> = Arc::clone(&count) as _;
        take(erased);
        assert_eq!(*count.0.lock().unwrap(), 8);
    }
}
