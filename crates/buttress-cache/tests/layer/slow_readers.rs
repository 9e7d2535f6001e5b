//! Who reads slowly, or not at all, costs a bounded amount, and others a bounded time.

use std::time::Duration;

use buttress_cache::{CacheBody, CacheLayer, CacheLayerBuilder};
use buttress_core::{Clock as _, clock::TokioClock};
use http_body_util::BodyExt as _;

use crate::support::{OriginBody, Setup, settle, status, streaming};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const PATIENCE: Duration = Duration::from_secs(2);
const PIECE: usize = 32 << 10;

fn cache() -> CacheLayerBuilder {
    CacheLayer::shared()
        .capacity(4 << 20)
        .largest_entry(512 << 10)
        .patience(PATIENCE)
}

/// Asks for `path`, and does not read its body of so many pieces, of which the origin has sent all.
async fn unread(setup: &mut Setup, path: &str, pieces: usize) -> CacheBody<OriginBody> {
    unread_of(setup, path, pieces, &[FRESH]).await
}

async fn unread_of(
    setup: &mut Setup,
    path: &str,
    pieces: usize,
    fields: &[(&str, &str)],
) -> CacheBody<OriginBody> {
    let asked = setup.get(path);
    let (mut origin, response) = streaming(fields);
    setup.call().await.answer(response);
    let body = asked.await.unwrap().unwrap().into_body();
    let sent = tokio::spawn(async move {
        for _ in 0..pieces {
            let _ = origin.send_data(vec![b'x'; PIECE].into()).await;
        }
    });
    settle().await;
    drop(sent);
    body
}

/// What is left of a body: so many bytes, or the error in which it ends.
async fn rest(body: CacheBody<OriginBody>) -> Result<usize, buttress_cache::BodyError> {
    Ok(body.collect().await?.to_bytes().len())
}

/// A piece shortly before one's patience ends is no way to hold others back for ever.
#[tokio::test(start_paused = true)]
async fn who_reads_a_little_each_time_is_waited_for_no_longer_in_all() {
    let mut setup = Setup::with(cache().largest_entry(64 << 10));
    let (fast, slow) = (setup.get("/a"), setup.get("/a"));
    let (mut origin, response) = streaming(&[FRESH]);
    setup.call().await.answer(response);
    let fast = fast.await.unwrap().unwrap().into_body();
    let mut slow = slow.await.unwrap().unwrap().into_body();
    let fast = tokio::spawn(rest(fast));
    let clock = TokioClock::starting_now();
    let slow = tokio::spawn(async move {
        loop {
            tokio::time::sleep(PATIENCE * 9 / 10).await;
            match slow.frame().await {
                Some(Ok(_)) => {}
                end => return end,
            }
        }
    });
    for _ in 0..64 {
        origin.send_data(vec![b'x'; PIECE].into()).await.unwrap();
    }
    drop(origin);
    assert_eq!(fast.await.unwrap().unwrap(), 64 * PIECE);
    let took = Duration::from_nanos(clock.now().as_nanos());
    assert!(took <= PATIENCE + Duration::from_millis(10), "{took:?}");
    let error = slow.await.unwrap().unwrap().unwrap_err();
    assert!(error.is_too_slow(), "{error}");
}

/// Time in which nobody waits is not counted.
#[tokio::test(start_paused = true)]
async fn who_is_slow_without_holding_anybody_back_is_not_cut_off() {
    let mut setup = Setup::with(cache().largest_entry(64 << 10));
    let mut body = unread(&mut setup, "/a", 32).await;
    for _ in 0..3 {
        tokio::time::sleep(PATIENCE * 9 / 10).await;
        body.frame().await.unwrap().unwrap();
    }
    assert!(rest(body).await.is_ok());
}

/// Within the budget, there is no hurry.
#[tokio::test(start_paused = true)]
async fn what_there_is_room_for_is_held() {
    let mut setup = Setup::with(cache().slow_readers(9 * PIECE));
    let stored = unread(&mut setup, "/a", 8).await;
    assert_eq!(setup.cache.stats().stored, 1);
    setup.cache.clear().await.unwrap();
    tokio::time::sleep(PATIENCE * 10).await;
    assert_eq!(rest(stored).await.unwrap(), 8 * PIECE);
}

/// Beyond it, what the store has is not held twice: it is there for as long as the store has it.
#[tokio::test(start_paused = true)]
async fn what_there_is_no_room_for_stays_as_long_as_it_is_stored() {
    for is_cleared in [false, true] {
        let mut setup = Setup::with(cache().slow_readers(4 * PIECE));
        let mut body = unread(&mut setup, "/a", 8).await;
        tokio::time::sleep(PATIENCE / 2).await;
        body.frame().await.unwrap().unwrap();
        tokio::time::sleep(PATIENCE).await;
        if is_cleared {
            setup.cache.clear().await.unwrap();
        }
        match rest(body).await {
            Ok(length) => assert!(!is_cleared && length > 0 && length < 8 * PIECE),
            Err(error) => assert!(is_cleared && error.is_too_slow(), "{error}"),
        }
    }
}

/// A 304 changes the head of what is stored, whose body is the same.
#[tokio::test(start_paused = true)]
async fn what_was_validated_meanwhile_is_stored_all_the_same() {
    let etag = ("etag", "\"1\"");
    // Before and after the time that whoever is slow has in any case.
    for waits in [false, true] {
        let mut setup = Setup::with(cache().slow_readers(4 * PIECE));
        let body = unread_of(&mut setup, "/a", 8, &[FRESH, etag]).await;
        for _ in 0..2 {
            if waits {
                tokio::time::sleep(PATIENCE * 2).await;
            }
            setup.wall.pass(61);
            let again = setup.fill("/a", status(304, &[FRESH, etag], "")).await;
            assert_eq!((again.status, again.body.len()), (200, 8 * PIECE));
        }
        assert_eq!(setup.heard("Validated"), 2);
        tokio::time::sleep(PATIENCE * 2).await;
        assert_eq!(rest(body).await.unwrap(), 8 * PIECE);
    }
}

/// A body that is not stored is held by nobody else.
#[tokio::test(start_paused = true)]
async fn who_does_not_read_what_outgrew_the_largest_is_cut_off_beyond_the_budget() {
    for (budget, ends_early, is_cut_off) in [
        (0, false, true),
        (0, true, true),
        (4 << 20, false, false),
        (4 << 20, true, false),
    ] {
        // What may wait for the slowest holds the rest of the body, or it does not.
        let (largest, pieces) = if ends_early { (2, 4) } else { (16, 64) };
        let cache = cache().largest_entry(largest * PIECE);
        let mut setup = Setup::with(cache.slow_readers(budget));
        let body = unread(&mut setup, "/a", pieces).await;
        assert_eq!(setup.heard("TooLarge"), 1);
        tokio::time::sleep(PATIENCE + Duration::from_millis(10)).await;
        settle().await;
        match rest(body).await {
            Ok(length) => assert_eq!((is_cut_off, length), (false, pieces * PIECE)),
            Err(error) => assert!(is_cut_off && error.is_too_slow(), "{error}"),
        }
    }
}

/// What is held for those who do not read leaves room for what is stored.
#[tokio::test(start_paused = true)]
async fn slow_readers_do_not_keep_others_from_being_stored() {
    let mut setup = Setup::with(cache().slow_readers(8 * PIECE));
    let mut unread_bodies = Vec::new();
    for n in 0..20 {
        unread_bodies.push(unread(&mut setup, &format!("/{n}"), 8).await);
        tokio::time::sleep(PATIENCE + Duration::from_millis(10)).await;
    }
    assert_eq!(setup.cache.stats().stored, 20);
    assert_eq!(setup.heard("NoRoom"), 0);
    // The first one's is held, and the others' is what the store has.
    setup.cache.clear().await.unwrap();
    let mut read = 0;
    for body in unread_bodies {
        read += usize::from(rest(body).await.is_ok());
    }
    assert_eq!(read, 1);
}

/// Whoever leaves, or reads on, gives back what was held.
#[tokio::test(start_paused = true)]
async fn what_was_held_is_given_back() {
    for leaves in [true, false] {
        let mut setup = Setup::with(cache().slow_readers(8 * PIECE));
        for n in 0..5 {
            let body = unread(&mut setup, &format!("/{n}"), 8).await;
            setup.cache.clear().await.unwrap();
            tokio::time::sleep(PATIENCE * 2).await;
            if leaves {
                drop(body);
            } else {
                assert_eq!(rest(body).await.unwrap(), 8 * PIECE, "{n}");
            }
        }
    }
}

/// What a body outgrew is held for as long as somebody lacks it, and not until the body ends.
#[tokio::test(start_paused = true)]
async fn what_everybody_has_read_is_held_for_nobody() {
    let cache = cache()
        .largest_entry(2 * PIECE)
        .slow_readers(PIECE + PIECE / 2);
    let mut setup = Setup::with(cache);
    let asked = setup.get("/endless");
    let (mut origin, response) = streaming(&[FRESH]);
    setup.call().await.answer(response);
    let mut endless = asked.await.unwrap().unwrap().into_body();
    for _ in 0..4 {
        origin.send_data(vec![b'x'; PIECE].into()).await.unwrap();
        crate::support::piece(&mut endless).await;
    }
    settle().await;
    assert_eq!(setup.heard("TooLarge"), 1);
    let unread = unread(&mut setup, "/a", 1).await;
    setup.cache.clear().await.unwrap();
    tokio::time::sleep(PATIENCE * 2).await;
    assert_eq!(rest(unread).await.unwrap(), PIECE);
}
