//! A store that answers later, as one on another machine does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use buttress_cache::{
    CacheLayer,
    store::{Answer, Entry, Memory, Store, StoreError, Variants},
};
use buttress_core::Digest;

use crate::{
    support::{Setup, answer, read, settle, status, streaming},
    suspecting::leave_a_put,
};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[derive(Clone, Debug)]
pub(crate) struct Remote {
    memory: Arc<Memory>,
    is_down: Arc<AtomicBool>,
    put_takes: Duration,
    update_takes: Duration,
}

const ANSWERS_AFTER: Duration = Duration::from_millis(3);

impl Remote {
    pub(crate) fn new() -> Self {
        Self {
            put_takes: ANSWERS_AFTER,
            update_takes: ANSWERS_AFTER,
            memory: Arc::new(Memory::of(1 << 20, 1 << 16).unwrap()),
            is_down: Arc::default(),
        }
    }

    fn later<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Memory) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        self.after(ANSWERS_AFTER, ask)
    }

    fn after<T: Send + 'static>(
        &self,
        span: Duration,
        ask: impl FnOnce(&Memory) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let this = self.clone();
        Answer::Later(Box::pin(async move {
            tokio::time::sleep(span).await;
            if this.is_down.load(Ordering::SeqCst) {
                return Err(StoreError::new("connection refused"));
            }
            ask(&this.memory).wait().await
        }))
    }
}

impl Store for Remote {
    fn get(&self, key: Digest) -> Answer<Variants> {
        self.later(move |memory| memory.get(key))
    }

    fn put(&self, key: Digest, entry: Arc<Entry>, replaced: &[Arc<Entry>]) -> Answer<bool> {
        let replaced = replaced.to_vec();
        self.after(self.put_takes, move |memory| {
            memory.put(key, entry, &replaced)
        })
    }

    fn update(&self, key: Digest, old: &Arc<Entry>, new: Option<Arc<Entry>>) -> Answer<bool> {
        let old = Arc::clone(old);
        self.after(self.update_takes, move |memory| {
            memory.update(key, &old, new)
        })
    }

    fn invalidate(&self, key: Digest) -> Answer<bool> {
        self.later(move |memory| memory.invalidate(key))
    }

    fn clear(&self) -> Answer<()> {
        self.later(Memory::clear)
    }
}

#[tokio::test(start_paused = true)]
async fn is_waited_for() {
    let remote = Remote::new();
    let mut setup = Setup::with(CacheLayer::shared().store(remote.clone()));
    let asked: Vec<_> = (0..5).map(|_| setup.get("/a")).collect();
    setup.call().await.answer(answer(&[FRESH], "body"));
    for asked in asked {
        assert_eq!(read(asked).await.body, "body");
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(setup.hit("/a").await.body, "body");

    let post = crate::support::method(http::Method::POST, "/a");
    let asked = setup.ask(crate::support::empty(post));
    setup.call().await.answer(answer(&[], ""));
    read(asked).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let _asked = setup.get("/a");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(setup.calls().await.len(), 1);
}

/// It is told in the background, since nobody is left who could wait for it.
#[tokio::test(start_paused = true)]
async fn hears_of_a_change_whose_client_has_left() {
    let mut setup = Setup::with(CacheLayer::shared().store(Remote::new()));
    setup.fill("/a", answer(&[FRESH], "body")).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let put = crate::support::method(http::Method::PUT, "/a");
    let asked = setup.ask(crate::support::empty(put));
    let _changing = setup.call().await;
    asked.abort();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(setup.heard("Suspected"), 1);
    let _asked = setup.get("/a");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(setup.calls().await.len(), 1);
}

/// Who looks what there is to be doubted does not find what is still being put.
#[tokio::test(start_paused = true)]
async fn what_is_being_put_is_doubted_when_it_is_there() {
    let store = Remote {
        put_takes: Duration::from_millis(20),
        ..Remote::new()
    };
    let mut setup = Setup::with(CacheLayer::shared().store(store));
    let asked = setup.get("/a");
    let fields = [FRESH, ("etag", "\"1\"")];
    setup.call().await.answer(answer(&fields, "body"));
    tokio::time::sleep(Duration::from_millis(10)).await;
    leave_a_put(&mut setup).await;
    read(asked).await;
    tokio::time::sleep(Duration::from_millis(40)).await;
    let asked = setup.get("/a");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let again = setup.calls().await.pop().expect("it is validated");
    assert_eq!(again.header("if-none-match"), Some("\"1\""));
    again.answer(status(304, &fields, ""));
    assert_eq!(read(asked).await.body, "body");
}

/// What turns out too large to be stored takes what it was to replace out of the store all the same.
#[tokio::test(start_paused = true)]
async fn forgets_what_was_outgrown() {
    let builder = CacheLayer::shared().largest_entry(4 << 10);
    let mut setup = Setup::with(builder.store(Remote::new()));
    let fields = [FRESH, ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "body")).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    setup.wall.pass(61);
    let asked = setup.get("/a");
    let (mut origin, grown) = streaming(&[FRESH, ("etag", "\"2\"")]);
    setup.call().await.answer(grown);
    let grown = asked.await.unwrap().unwrap();
    origin.send_data(vec![b'x'; 8 << 10].into()).await.unwrap();
    drop(origin);
    assert_eq!(crate::support::collect(grown).await.body.len(), 8 << 10);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(setup.heard("TooLarge"), 1);
    let uri = "http://example.com/a".parse().unwrap();
    assert!(setup.cache.get(&uri).await.unwrap().as_slice().is_empty());
}

/// Nor does who looks before it is there find what a validation makes of what is stored.
#[tokio::test(start_paused = true)]
async fn what_is_being_updated_is_doubted_when_it_is_there() {
    let store = Remote {
        update_takes: Duration::from_millis(20),
        ..Remote::new()
    };
    let mut setup = Setup::with(CacheLayer::shared().store(store));
    let fields = [FRESH, ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "body")).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    setup.wall.pass(61);
    let asked = setup.get("/a");
    setup.call().await.answer(status(304, &fields, ""));
    assert_eq!(read(asked).await.body, "body");
    leave_a_put(&mut setup).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    let asked = setup.get("/a");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let again = setup.calls().await.pop().expect("it is validated again");
    again.answer(status(304, &fields, ""));
    assert_eq!(read(asked).await.body, "body");
}

/// All that is stored for a target is told of, one after the other.
#[tokio::test(start_paused = true)]
async fn hears_of_a_change_of_all_variants() {
    let mut setup = Setup::with(CacheLayer::shared().store(Remote::new()));
    let in_language = |language| {
        let request = crate::support::get("/a").header("accept-language", language);
        crate::support::empty(request)
    };
    let fields = [FRESH, ("vary", "accept-language")];
    for language in ["de", "en"] {
        let asked = setup.ask(in_language(language));
        setup.call().await.answer(answer(&fields, language));
        read(asked).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    leave_a_put(&mut setup).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    for language in ["de", "en"] {
        let _asked = setup.ask(in_language(language));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(setup.calls().await.len(), 1, "{language}");
    }
}

/// Who has to be asked what is stored may find that it was validated since, which settles no doubt that is older.
#[tokio::test(start_paused = true)]
async fn a_validation_is_doubted_that_comes_in_between() {
    let mut setup = Setup::with(CacheLayer::shared().store(Remote::new()));
    let fields = [FRESH, ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "body")).await;
    leave_a_put(&mut setup).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let asked = setup.get("/a");
    let call = setup.call().await;
    leave_a_put(&mut setup).await;
    call.answer(status(304, &fields, ""));
    assert_eq!(read(asked).await.body, "body");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let asked = setup.get("/a");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let again = setup.calls().await.pop().expect("it is validated again");
    again.answer(status(304, &fields, ""));
    assert_eq!(read(asked).await.body, "body");
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_one_that_has_nothing() {
    let remote = Remote::new();
    let mut setup = Setup::with(CacheLayer::shared().store(remote.clone()));
    remote.is_down.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(
            setup.fill("/a", answer(&[FRESH], "body")).await.body,
            "body"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(setup.heard("StoreFailed"), 4);
    remote.is_down.store(false, Ordering::SeqCst);
    setup.fill("/a", answer(&[FRESH], "body")).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(setup.hit("/a").await.body, "body");
    settle().await;
}

/// Who asks that something be forgotten must know where it was not.
#[tokio::test(start_paused = true)]
async fn one_that_fails_to_forget_says_so() {
    let remote = Remote::new();
    let setup = Setup::with(CacheLayer::shared().store(remote.clone()));
    let uri = "http://example.com/a".parse().unwrap();
    remote.is_down.store(true, Ordering::SeqCst);
    assert!(setup.cache.invalidate(&uri).await.is_err());
    assert!(setup.cache.clear().await.is_err());
    remote.is_down.store(false, Ordering::SeqCst);
    assert!(!setup.cache.invalidate(&uri).await.unwrap());
}

/// The lookup took too long for the client: nothing of it is left.
#[tokio::test(start_paused = true)]
async fn who_leaves_while_it_is_asked_asks_nobody_else() {
    let mut setup = Setup::with(CacheLayer::shared().store(Remote::new()));
    let asked = setup.get("/a");
    settle().await;
    asked.abort();
    tokio::time::sleep(Duration::from_millis(10)).await;
    setup.origin_is_left_alone().await;
}

/// What is being put when its target is invalidated is taken out again.
#[tokio::test(start_paused = true)]
async fn an_invalidation_overtakes_what_is_being_put() {
    let uri = "http://example.com/a".parse().unwrap();
    // To be looked for, and to be put, takes three milliseconds each.
    for after in 0..=6 {
        let mut setup = Setup::with(CacheLayer::shared().store(Remote::new()));
        let asked = setup.get("/a");
        setup.call().await.answer(answer(&[FRESH], "body"));
        settle().await;
        tokio::time::sleep(Duration::from_millis(after)).await;
        setup.cache.invalidate(&uri).await.unwrap();
        assert_eq!(read(asked).await.body, "body");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let left = setup.cache.get(&uri).await.unwrap();
        assert!(left.as_slice().is_empty(), "after {after} ms");
    }
}

/// A store that does not see once what it has.
#[derive(Debug)]
struct Blinking {
    memory: Memory,
    blinks: AtomicBool,
}

impl Store for Blinking {
    fn get(&self, key: Digest) -> Answer<Variants> {
        match self.blinks.swap(false, Ordering::SeqCst) {
            true => Answer::Now(Variants::none()),
            false => self.memory.get(key),
        }
    }

    fn put(&self, key: Digest, entry: Arc<Entry>, replaced: &[Arc<Entry>]) -> Answer<bool> {
        let put = self.memory.put(key, entry, replaced);
        self.blinks.store(true, Ordering::SeqCst);
        put
    }

    fn update(&self, key: Digest, old: &Arc<Entry>, new: Option<Arc<Entry>>) -> Answer<bool> {
        self.memory.update(key, old, new)
    }

    fn invalidate(&self, key: Digest) -> Answer<bool> {
        self.memory.invalidate(key)
    }

    fn clear(&self) -> Answer<()> {
        self.memory.clear()
    }
}

/// Somebody else's fetch may end between the look into the store and the begin of one's own.
#[tokio::test(start_paused = true)]
async fn who_is_about_to_lead_looks_once_more() {
    let store = Blinking {
        memory: Memory::of(1 << 20, 1 << 16).unwrap(),
        blinks: AtomicBool::new(false),
    };
    let mut setup = Setup::with(CacheLayer::shared().store(store));
    setup.fill("/a", answer(&[FRESH], "body")).await;
    let asked = setup.get("/a");
    setup.origin_is_left_alone().await;
    assert_eq!(read(asked).await.body, "body");
}
