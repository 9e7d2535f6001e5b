//! What an observer for `tracing` logs, for its tests. The other crates have a link to this file, and a copy of it when they are
//! packaged. Were it a crate of its own, which nobody publishes, their tests could not be built from what is published.

use std::{
    fmt::{Debug, Write},
    sync::mpsc::{Sender, channel},
};

use tracing::{Event, Level, Subscriber, field::Field};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The level and the fields of everything that `act` logs on this thread, in its order.
pub(super) fn logged(act: impl FnOnce()) -> Vec<(Level, String)> {
    let (sender, log) = channel();
    let subscriber = tracing_subscriber::registry().with(Log(sender));
    tracing::subscriber::with_default(subscriber, act);
    log.try_iter().collect()
}

/// Sends everything on.
struct Log(Sender<(Level, String)>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, record: &Event<'_>, _: Context<'_, S>) {
        let mut fields = String::new();
        record.record(&mut |field: &Field, value: &dyn Debug| {
            // A string takes whatever is written.
            let _ = write!(fields, "{field}={value:?} ");
        });
        // Who asked is there until `act` has ended.
        let _ = self.0.send((*record.metadata().level(), fields));
    }
}
