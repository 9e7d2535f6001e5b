use std::{future::Future, panic::Location, time::Duration};

use tokio::time::timeout;

/// Longer than anything takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// What must happen, or the test fails.
#[track_caller]
pub fn within<T>(what: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        timeout(DEADLINE, what)
            .await
            .unwrap_or_else(|_| panic!("nothing happened, waiting at {caller}"))
    }
}
