//! What others do between two steps of a request, which a store of the test's own lets happen.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Waker},
};

use buttress_cache::{
    Cache, CacheLayer,
    store::{Answer, Entry, Memory, Store, Variants},
};
use buttress_core::Digest;

use crate::support::{Setup, answer, read, settle, status};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// In memory, but what it is asked next it answers as though what is there were not there yet.
#[derive(Clone, Debug)]
struct Watched {
    memory: Arc<Memory>,
    is_late: Arc<AtomicBool>,
    updates: Arc<AtomicUsize>,
    /// Invalidates before the next one is put.
    overtakes: Arc<Mutex<Option<Cache>>>,
}

impl Watched {
    fn new() -> Self {
        Self {
            memory: Arc::new(Memory::of(1 << 20, 1 << 16).unwrap()),
            is_late: Arc::default(),
            updates: Arc::default(),
            overtakes: Arc::default(),
        }
    }
}

impl Store for Watched {
    fn get(&self, key: Digest) -> Answer<Variants> {
        if self.is_late.swap(false, Ordering::SeqCst) {
            return Answer::Now(Variants::none());
        }
        self.memory.get(key)
    }

    fn put(&self, key: Digest, entry: Arc<Entry>, replaced: &[Arc<Entry>]) -> Answer<bool> {
        let overtakes = self.overtakes.lock().unwrap().take();
        if let Some(cache) = overtakes {
            let uri = "http://example.com/a".parse().unwrap();
            let invalidated = pin!(cache.invalidate(&uri));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(invalidated.poll(&mut cx).is_ready());
        }
        self.memory.put(key, entry, replaced)
    }

    fn update(&self, key: Digest, old: &Arc<Entry>, new: Option<Arc<Entry>>) -> Answer<bool> {
        self.updates.fetch_add(1, Ordering::SeqCst);
        self.memory.update(key, old, new)
    }

    fn invalidate(&self, key: Digest) -> Answer<bool> {
        self.memory.invalidate(key)
    }

    fn clear(&self) -> Answer<()> {
        self.memory.clear()
    }
}

/// Another fetch ends after the store was asked and before this one begins: there is nothing left to fetch.
#[tokio::test(start_paused = true)]
async fn a_fetch_looks_into_the_store_again_before_it_begins() {
    let store = Watched::new();
    let mut setup = Setup::with(CacheLayer::shared().store(store.clone()));
    setup.fill("/a", answer(&[FRESH], "there")).await;
    store.is_late.store(true, Ordering::SeqCst);
    let hit = setup.hit("/a").await;
    assert_eq!(hit.body, "there");
    assert!(hit.cache_status().contains(";hit"), "{hit:?}");
    assert!(!store.is_late.load(Ordering::SeqCst), "it was not asked");
    assert_eq!(setup.cache.stats().under_way, 0);
}

/// A 304 to what was asked before an invalidation may be from before what caused it. A store that compares
/// what is stored by its fields would take it for an update of what came since.
#[tokio::test(start_paused = true)]
async fn a_validation_from_before_an_invalidation_changes_nothing() {
    for invalidated in [true, false] {
        let store = Watched::new();
        let mut setup = Setup::with(CacheLayer::shared().store(store.clone()));
        let tagged = [FRESH, ("etag", "\"1\"")];
        setup.fill("/a", answer(&tagged, "body")).await;
        setup.wall.pass(61);
        let asked = setup.get("/a");
        let call = setup.call().await;
        assert_eq!(call.header("if-none-match"), Some("\"1\""));
        if invalidated {
            let uri = "http://example.com/a".parse().unwrap();
            setup.cache.invalidate(&uri).await.unwrap();
            // As if somebody had stored the very same again.
            setup.fill("/a", answer(&tagged, "body")).await;
        }
        call.answer(status(304, &tagged, ""));
        assert_eq!(read(asked).await.body, "body");
        settle().await;
        let updates = store.updates.load(Ordering::SeqCst);
        assert_eq!(updates, usize::from(!invalidated));
    }
}

/// An invalidation between the last look at the epoch and the store: what it overtook is taken back.
#[tokio::test(start_paused = true)]
async fn what_is_invalidated_while_it_is_put_is_taken_back() {
    let store = Watched::new();
    let mut setup = Setup::with(CacheLayer::shared().store(store.clone()));
    *store.overtakes.lock().unwrap() = Some(setup.cache.clone());
    setup.fill("/a", answer(&[FRESH], "from before")).await;
    assert!(store.overtakes.lock().unwrap().is_none(), "nothing was put");
    let uri = "http://example.com/a".parse().unwrap();
    let stored = setup.cache.get(&uri).await.unwrap();
    assert!(stored.as_slice().is_empty(), "{stored:?}");
}
