//! What is on its way into the store is on its way to the client first.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use buttress_cache::{CacheLayer, OnDisconnect};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt as _;

use crate::support::{Setup, answer, piece, response, settle, streaming};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test(start_paused = true)]
async fn the_first_byte_goes_at_once_and_nothing_is_stored_before_the_last() {
    let mut setup = Setup::shared();
    let asked = setup.get("/a");
    let (mut origin, response) = streaming(&[FRESH]);
    setup.call().await.answer(response);
    let mut body = asked.await.unwrap().unwrap().into_body();
    for word in ["one ", "two ", "three"] {
        origin.send_data(word.into()).await.unwrap();
        assert_eq!(piece(&mut body).await, word);
        assert_eq!(setup.cache.stats().stored, 0);
    }
    drop(origin);
    assert!(body.frame().await.is_none());
    assert_eq!(setup.hit("/a").await.body, "one two three");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_read_it_finds_it_in_the_store() {
    let mut setup = Setup::shared();
    // Of a known length: the reader knows without asking that it has all.
    let asked = setup.get("/a");
    setup
        .call()
        .await
        .answer(answer(&[FRESH, ("content-length", "4")], "body"));
    let mut body = asked.await.unwrap().unwrap().into_body();
    assert_eq!(body.size_hint().exact(), Some(4));
    assert_eq!(piece(&mut body).await, "body");
    assert_eq!(setup.cache.stats().stored, 1);
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_short_is_not_stored() {
    let mut setup = Setup::shared();
    let asked = setup.get("/a");
    let (mut origin, response) = streaming(&[FRESH, ("content-length", "10")]);
    setup.call().await.answer(response);
    let mut body = asked.await.unwrap().unwrap().into_body();
    origin.send_data("half".into()).await.unwrap();
    assert_eq!(piece(&mut body).await, "half");
    origin.abort("connection reset".into());
    let error = body.frame().await.unwrap().unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "connection reset");
    assert!(body.frame().await.is_none());
    settle().await;
    assert_eq!(setup.cache.stats().stored, 0);
    let _asked = setup.get("/a");
    assert_eq!(setup.calls().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_contradicts_its_content_length_is_not_stored() {
    for length in ["3", "5", "99999999999999999999"] {
        let mut setup = Setup::shared();
        let fields = [FRESH, ("content-length", length)];
        let read = setup.fill("/a", answer(&fields, "body")).await;
        assert_eq!(read.body, "body");
        settle().await;
        // One that is no number contradicts nothing.
        let stored = u64::from(length.len() > 10);
        assert_eq!(setup.cache.stats().stored, stored, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_outgrows_the_bound_streams_on_unstored() {
    let builder = CacheLayer::shared()
        .capacity(64 << 10)
        .largest_entry(4 << 10);
    let mut setup = Setup::with(builder);
    let asked = setup.get("/a");
    let (mut origin, response) = streaming(&[FRESH]);
    setup.call().await.answer(response);
    let mut body = asked.await.unwrap().unwrap().into_body();
    for _ in 0..64 {
        origin.send_data(vec![b'x'; 1 << 10].into()).await.unwrap();
        assert_eq!(piece(&mut body).await.len(), 1 << 10);
    }
    assert_eq!(setup.heard("TooLarge"), 1);
    // Nobody waits for what is not going to be stored.
    let _asked = setup.get("/a");
    assert_eq!(setup.calls().await.len(), 1);
    drop(origin);
    assert!(body.frame().await.is_none());
    assert_eq!(setup.cache.stats().stored, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_to_be_too_large_is_handed_on_untouched() {
    let builder = CacheLayer::shared()
        .capacity(64 << 10)
        .largest_entry(4 << 10);
    let mut setup = Setup::with(builder);
    let body = "x".repeat(5 << 10);
    let read = setup.fill("/a", answer(&[FRESH], &body)).await;
    assert_eq!(read.body.len(), 5 << 10);
    assert_eq!(read.cache_status(), "Buttress;fwd=uri-miss;fwd-status=200");
    assert_eq!(setup.heard("TooLarge"), 1);
}

#[tokio::test(start_paused = true)]
async fn events_are_never_held_nor_stored() {
    let mut setup = Setup::shared();
    let (leader, follower) = (setup.get("/events"), setup.get("/events"));
    let fields = [FRESH, ("content-type", "Text/Event-Stream; charset=utf-8")];
    let (mut origin, response) = streaming(&fields);
    setup.call().await.answer(response);
    let mut body = leader.await.unwrap().unwrap().into_body();
    for n in 0..1_000 {
        let event = format!("data: {n}\n\n");
        origin.send_data(event.clone().into()).await.unwrap();
        assert_eq!(piece(&mut body).await, event);
    }
    // The other has a stream of its own.
    let (_second, response) = streaming(&fields);
    setup.call().await.answer(response);
    assert!(follower.await.unwrap().is_ok());
    assert_eq!(setup.heard("Stream"), 2);
    // And if the client leaves, the origin is told.
    drop(body);
    assert!(
        origin.send_data("more".into()).await.is_err()
            || origin.send_data("more".into()).await.is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn trailers_reach_those_who_read() {
    let mut setup = Setup::shared();
    let asked = setup.get("/a");
    let (mut origin, response) = streaming(&[FRESH]);
    setup.call().await.answer(response);
    let reader = tokio::spawn(crate::support::collect(asked.await.unwrap().unwrap()));
    origin.send_data("body".into()).await.unwrap();
    let trailers = http::HeaderMap::from_iter([(http::header::ETAG, "\"t\"".parse().unwrap())]);
    origin.send_trailers(trailers.clone()).await.unwrap();
    drop(origin);
    let read = reader.await.unwrap();
    assert_eq!(
        (read.body.as_str(), read.trailers),
        ("body", Some(trailers))
    );
    assert_eq!(setup.hit("/a").await.body, "body");
}

/// Leaves in the middle of a body. Whether the origin could send the rest, and what is stored then.
async fn leave_in_mid_body(on_disconnect: OnDisconnect, after: Duration) -> (bool, u64) {
    let mut setup = Setup::with(CacheLayer::shared().on_disconnect(on_disconnect));
    let asked = setup.get("/a");
    let (mut origin, response) = streaming(&[FRESH]);
    setup.call().await.answer(response);
    let mut body = asked.await.unwrap().unwrap().into_body();
    origin.send_data("half ".into()).await.unwrap();
    assert_eq!(piece(&mut body).await, "half ");
    drop(body);
    settle().await;
    tokio::time::sleep(after).await;
    let could_send = origin.send_data("and half".into()).await.is_ok();
    drop(origin);
    settle().await;
    (could_send, setup.cache.stats().stored)
}

#[tokio::test(start_paused = true)]
async fn who_leaves_ends_the_fetch_or_lets_it_finish_as_configured() {
    let finish = OnDisconnect::Finish {
        within: Duration::from_secs(5),
    };
    let soon = Duration::from_secs(4);
    assert_eq!(
        leave_in_mid_body(OnDisconnect::Abort, Duration::ZERO).await,
        (false, 0)
    );
    assert_eq!(leave_in_mid_body(finish, soon).await, (true, 1));
    assert_eq!(leave_in_mid_body(finish, soon * 2).await, (false, 0));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_the_answer_cancels_the_call_or_not_as_configured() {
    for (on_disconnect, cancelled) in [
        (OnDisconnect::Abort, true),
        (
            OnDisconnect::Finish {
                within: Duration::from_secs(5),
            },
            false,
        ),
    ] {
        let mut setup = Setup::with(CacheLayer::shared().on_disconnect(on_disconnect));
        let asked = setup.get("/a");
        let call = setup.call().await;
        asked.abort();
        settle().await;
        assert_eq!(call.is_cancelled(), cancelled);
        if !cancelled {
            call.answer(answer(&[FRESH], "for the next"));
            settle().await;
            assert_eq!(setup.hit("/a").await.body, "for the next");
        }
    }
}

/// A body of no length at all must not look like one that goes on.
#[tokio::test(start_paused = true)]
async fn an_empty_body_is_stored_and_is_at_its_end() {
    let mut setup = Setup::shared();
    let asked = setup.get("/a");
    let empty = http_body_util::Empty::new().map_err(|never| match never {});
    setup
        .call()
        .await
        .answer(response(204, &[FRESH], empty.boxed_unsync()));
    let answered = asked.await.unwrap().unwrap();
    settle().await;
    assert!(answered.body().is_end_stream());
    assert_eq!(setup.hit("/a").await.status, 204);
}

/// All there at once, but who could have known.
struct Surprise(Option<Bytes>);

impl http_body::Body for Surprise {
    type Data = Bytes;
    type Error = crate::support::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_at_once_without_a_length_is_stored_if_it_fits() {
    for (length, fits) in [(2 << 10, true), (5 << 10, false)] {
        let builder = CacheLayer::shared()
            .capacity(64 << 10)
            .largest_entry(4 << 10);
        let mut setup = Setup::with(builder);
        let asked = setup.get("/a");
        let body = Surprise(Some(vec![b'x'; length].into()));
        setup
            .call()
            .await
            .answer(response(200, &[FRESH], body.boxed_unsync()));
        assert_eq!(crate::support::read(asked).await.body.len(), length);
        assert_eq!(setup.cache.stats().stored, u64::from(fits));
        assert_eq!(setup.heard("TooLarge"), usize::from(!fits));
    }
}

/// What streams on unstored is nobody else's business: another variant is validated meanwhile.
#[tokio::test(start_paused = true)]
async fn an_endless_body_does_not_keep_another_variant_from_being_validated() {
    let builder = CacheLayer::shared()
        .capacity(64 << 10)
        .largest_entry(4 << 10);
    let mut setup = Setup::with(builder);
    let fields = [
        ("cache-control", "max-age=60, stale-while-revalidate=600"),
        ("vary", "accept-language"),
    ];
    let of = |language: &str| {
        crate::support::empty(crate::support::get("/a").header("accept-language", language))
    };
    let asked = setup.ask(of("de"));
    setup.call().await.answer(answer(&fields, "deutsch"));
    crate::support::read(asked).await;
    setup.wall.pass(61);

    let asked = setup.ask(of("en"));
    let (mut origin, response) = streaming(&fields);
    setup.call().await.answer(response);
    let mut endless = asked.await.unwrap().unwrap().into_body();
    for _ in 0..2 {
        origin.send_data(vec![b'x'; 3 << 10].into()).await.unwrap();
        piece(&mut endless).await;
    }
    assert_eq!(setup.heard("TooLarge"), 1);

    let stale = crate::support::read(setup.ask(of("de"))).await;
    assert_eq!(stale.body, "deutsch");
    assert_eq!(setup.calls().await.len(), 1, "it is not validated");
}
