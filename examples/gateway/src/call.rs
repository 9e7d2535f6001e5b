//! One call: who asked for what, what was decided on the way, and how it ended.
//!
//! A call is shared by whoever works on it: the future of its answer, the answer's body, a tunnel. When the
//! last of them lets go, however that comes to pass, the call is over, is counted and is written down: once,
//! whether it was answered, refused, cancelled or became a tunnel.
//!
//! While anything of the call is polled, it is the *current* one of its task, so that the layers' observers,
//! which hear of decisions and not of requests, find the record that a decision belongs to.

mod body;
mod decision;
mod record;

use std::{
    future::Future,
    net::IpAddr,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::SystemTime,
};

use buttress_core::{Clock as _, Tick};
use http::{Method, StatusCode, Uri};

pub(crate) use self::{
    body::Told,
    decision::Decision,
    record::{End, Record},
};
use crate::telemetry::Telemetry;

tokio::task_local! {
    static CURRENT: Arc<Call>;
}

/// More decisions than a call takes through all attempts at a few upstreams. What is beyond is not kept.
const MOST_DECISIONS: usize = 64;

/// A path that is longer is cut in the record.
const LONGEST_PATH: usize = 1_024;

/// So is a method: clients may invent some, of as many bytes as a head may have, and records wait for the disk.
const LONGEST_METHOD: usize = 64;

/// One call, see the [module](self).
#[derive(Debug)]
pub(crate) struct Call {
    telemetry: Arc<Telemetry>,
    began: Tick,
    client: Option<IpAddr>,
    method: Method,
    /// None where no records are written.
    asked: Option<Asked>,
    so_far: Mutex<SoFar>,
}

/// What only the record of a call tells of its request.
#[derive(Debug)]
struct Asked {
    time: SystemTime,
    path: Box<str>,
}

#[derive(Debug, Default)]
struct SoFar {
    status: Option<StatusCode>,
    bytes: u64,
    end: Option<End>,
    decisions: Vec<Decision>,
}

impl Call {
    /// A request came in.
    pub(crate) fn begin(
        telemetry: &Arc<Telemetry>,
        client: Option<IpAddr>,
        method: &Method,
        uri: &Uri,
    ) -> Arc<Self> {
        telemetry.begun();
        Arc::new(Self {
            telemetry: Arc::clone(telemetry),
            began: telemetry.clock().now(),
            client,
            method: named(method),
            asked: telemetry.writes_calls().then(|| Asked {
                time: telemetry.time(),
                // Without the query, where programs have put keys.
                path: cut(uri.path()).into(),
            }),
            so_far: Mutex::default(),
        })
    }

    /// The call that the present task works on.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Whether it is the call that the present task works on.
    pub(crate) fn is_current(call: &Weak<Self>) -> bool {
        CURRENT.try_with(|current| ptr::eq(Arc::as_ptr(current), call.as_ptr())) == Ok(true)
    }

    /// Notes a decision in the record of the current call. It is made only where records are written.
    pub(crate) fn note(decision: impl FnOnce() -> Decision) {
        let _ = CURRENT.try_with(|call| call.decided(decision));
    }

    fn decided(&self, decision: impl FnOnce() -> Decision) {
        if self.asked.is_none() {
            return;
        }
        let mut so_far = self.so_far();
        if so_far.decisions.len() < MOST_DECISIONS {
            so_far.decisions.push(decision());
        }
    }

    /// Runs `future` as this call's.
    pub(crate) fn run<F: Future>(
        self: &Arc<Self>,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(Arc::clone(self), future)
    }

    /// Calls `closure` as this call's.
    pub(crate) fn with<O>(self: &Arc<Self>, closure: impl FnOnce() -> O) -> O {
        CURRENT.sync_scope(Arc::clone(self), closure)
    }

    /// The answer's head is there.
    pub(crate) fn answered(&self, status: StatusCode) {
        self.so_far().status = Some(status);
    }

    /// So many more bytes went to the client.
    pub(crate) fn sent(&self, bytes: u64) {
        let mut so_far = self.so_far();
        so_far.bytes = so_far.bytes.saturating_add(bytes);
    }

    /// How it ended, unless that is known already.
    pub(crate) fn ended(&self, end: End) {
        self.so_far().end.get_or_insert(end);
    }

    /// The time since `began`.
    fn took(&self) -> std::time::Duration {
        self.telemetry
            .clock()
            .now()
            .saturating_duration_since(self.began)
    }

    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        // A list that a panic left behind is still a list.
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let took = self.took();
        let so_far = std::mem::take(
            self.so_far
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.telemetry.ended(&self.method, so_far.status, took);
        if let Some(Asked { time, path }) = self.asked.take() {
            self.telemetry.write(Record {
                time,
                client: self.client,
                method: self.method.clone(),
                path,
                status: so_far.status,
                bytes: so_far.bytes,
                took,
                end: so_far.end.unwrap_or(End::Cancelled),
                decisions: so_far.decisions,
            });
        }
    }
}

/// The method, of which no more is kept than tells it.
fn named(method: &Method) -> Method {
    let name = method.as_str().as_bytes();
    let cut = name.get(..LONGEST_METHOD);
    let cut = cut.filter(|cut| cut.len() < name.len());
    // A part of a token is one.
    let cut = cut.and_then(|cut| Method::from_bytes(cut).ok());
    cut.unwrap_or_else(|| method.clone())
}

/// The first bytes of `path`, at most so many, cut between characters.
fn cut(path: &str) -> &str {
    let mut end = LONGEST_PATH.min(path.len());
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}
