//! Futures that are dropped after any number of polls.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use buttress_cache::{CacheLayer, OnDisconnect};
use tower::{Service as _, ServiceExt as _};

use crate::support::{Setup, answer, empty, get, read, settle, streaming};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// Polls so often at most, letting everybody else have their turn in between, and drops what is left.
async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let std::task::Poll::Ready(out) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return Some(out);
        }
        settle().await;
    }
    None
}

/// Whoever is dropped, and when: the others are answered, and nothing is left under way.
#[tokio::test(start_paused = true)]
async fn leader_and_followers_may_leave_at_every_await() {
    for on_disconnect in [
        OnDisconnect::Abort,
        OnDisconnect::Finish {
            within: std::time::Duration::from_secs(5),
        },
    ] {
        for polls in 0..6 {
            for leader_leaves in [true, false] {
                let mut setup = Setup::with(CacheLayer::shared().on_disconnect(on_disconnect));
                let mut service = setup.service.clone();
                let first = service.ready().await.unwrap().call(empty(get("/a")));
                let mut service = setup.service.clone();
                let second = service.ready().await.unwrap().call(empty(get("/a")));
                let (leaves, stays) = if leader_leaves {
                    (first, second)
                } else {
                    (second, first)
                };

                let stays = tokio::spawn(stays);
                settle().await;
                let origin = tokio::spawn({
                    let call = setup.call().await;
                    async move {
                        settle().await;
                        let (mut origin, response) = streaming(&[FRESH]);
                        call.answer(response);
                        for word in ["one ", "two ", "three"] {
                            settle().await;
                            let _ = origin.send_data(word.into()).await;
                        }
                    }
                });
                // As far as the body, if there is one.
                if let Some(Ok(response)) = poll_and_drop(leaves, polls).await {
                    let (_, mut body) = response.into_parts();
                    let frame = http_body_util::BodyExt::frame(&mut body);
                    poll_and_drop(frame, polls.saturating_sub(2)).await;
                }
                let stayed = crate::support::collect(stays.await.unwrap().unwrap()).await;
                let case =
                    format!("{on_disconnect:?}, {polls} polls, leader leaves: {leader_leaves}");
                assert_eq!(stayed.body, "one two three", "{case}");
                origin.await.unwrap();
                settle().await;
                assert_eq!(setup.cache.stats().under_way, 0, "{case}");
                assert_eq!(setup.hit("/a").await.body, "one two three", "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_leave_nothing_is_left() {
    for polls in 0..4 {
        let mut setup = Setup::with(CacheLayer::shared().on_disconnect(OnDisconnect::Abort));
        let mut service = setup.service.clone();
        let first = service.ready().await.unwrap().call(empty(get("/a")));
        let mut service = setup.service.clone();
        let second = service.ready().await.unwrap().call(empty(get("/a")));
        assert!(poll_and_drop(first, polls).await.is_none());
        assert!(poll_and_drop(second, polls).await.is_none());
        settle().await;
        assert!(setup.call().await.is_cancelled());
        assert_eq!(setup.cache.stats().under_way, 0);
        // Who comes next begins anew.
        let asked = setup.get("/a");
        setup.call().await.answer(answer(&[FRESH], "body"));
        assert_eq!(read(asked).await.body, "body");
    }
}
