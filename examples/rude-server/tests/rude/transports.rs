use std::time::Duration;

use buttress_by_hand::within;
use http::StatusCode;
use http_body_util::BodyExt as _;
use rude_server::Answered;

use crate::client::{BOTH, Client, Version, read, root, server};

#[tokio::test]
async fn cut_is_no_answer_at_all() {
    let server = server().await;
    for version in BOTH {
        let client = Client::new(version);
        let uri = server.uri(&format!("/cut?id={version:?}"));
        let error = client.get(uri.clone()).await.unwrap_err();
        assert!(!error.is_connect(), "{version:?}: {error:?}");
        assert_eq!(client.status(uri).await, 200, "{version:?}");
        let answered = server
            .visits(&format!("{version:?}"))
            .iter()
            .map(|visit| visit.answered)
            .collect::<Vec<_>>();
        assert_eq!(answered, [Answered::Rudely, Answered::Served]);
    }
}

#[tokio::test]
async fn cut_body_breaks_off_after_it_began() {
    let server = server().await;
    for version in BOTH {
        let client = Client::new(version);
        let uri = server.uri(&format!("/cut-body?id={version:?}"));
        // Again and again: what was said before the cut must not be lost with it.
        for _ in 0..20 {
            let mut response = client.get(uri.clone()).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let first = response.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "ok\n", "{version:?}");
            assert!(
                read(response).await.is_err(),
                "{version:?}: it came to its end"
            );
            assert_eq!(client.status(uri.clone()).await, 200);
        }
    }
}

#[tokio::test]
async fn slow_makes_wait_for_the_headers_and_slow_body_for_the_rest() {
    let server = server().await;
    for version in BOTH {
        let client = Client::new(version);
        for (name, body) in [("slow", "ok\n"), ("slow-body", "ok\nat last\n")] {
            let (slow, after) = (
                format!("/{name}?wait=150ms&id={version:?}"),
                format!("/ok?id={version:?}"),
            );
            let response = client.get(server.uri(&slow)).await.unwrap();
            assert_eq!(read(response).await.unwrap().0, body);
            assert_eq!(client.status(server.uri(&after)).await, 200);
            let visits = server.visits(&format!("{version:?}"));
            let [.., begun, done] = &visits[..] else {
                panic!("{visits:?}")
            };
            assert!(
                done.at - begun.at >= Duration::from_millis(150),
                "{name}: {visits:?}"
            );
        }
    }
}

fn h2_error(error: &hyper_util::client::legacy::Error) -> &h2::Error {
    root(error).unwrap_or_else(|| panic!("{error:?}"))
}

#[tokio::test]
async fn a_refused_stream_proves_that_nothing_was_done() {
    let server = server().await;
    let client = Client::new(Version::Http2);
    let uri = server.uri("/refused-stream");
    let error = client.get(uri.clone()).await.unwrap_err();
    let error = h2_error(&error);
    assert!(error.is_reset() && error.is_remote(), "{error:?}");
    assert_eq!(error.reason(), Some(h2::Reason::REFUSED_STREAM));
    assert_eq!(client.status(uri).await, 200);
}

#[tokio::test]
async fn goaway_proves_it_too_on_a_new_connection_and_on_one_in_use() {
    let server = server().await;
    for earlier in [0, 3] {
        let client = Client::new(Version::Http2);
        for _ in 0..earlier {
            assert_eq!(client.status(server.uri("/ok")).await, 200);
        }
        let uri = server.uri(&format!("/goaway?id={earlier}"));
        let error = client.get(uri.clone()).await.unwrap_err();
        let error = h2_error(&error);
        assert!(error.is_go_away() && error.is_remote(), "{error:?}");
        assert_eq!(error.reason(), Some(h2::Reason::NO_ERROR));
        assert_eq!(client.status(uri).await, 200, "on another connection");
    }
}

#[tokio::test]
async fn reset_proves_nothing() {
    let server = server().await;
    let client = Client::new(Version::Http2);
    let error = client.get(server.uri("/reset")).await.unwrap_err();
    let error = h2_error(&error);
    assert!(error.is_reset() && error.is_remote(), "{error:?}");
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn what_only_http2_can_say_is_not_said_in_http1() {
    let server = server().await;
    let client = Client::new(Version::Http1);
    for name in ["refused-stream", "goaway", "reset"] {
        assert_eq!(
            client.status(server.uri(&format!("/{name}"))).await,
            505,
            "{name}"
        );
    }
}

/// What a client with a pool meets when the server was restarted.
#[tokio::test]
async fn hanging_up_closes_what_is_open_and_nothing_that_comes() {
    for version in BOTH {
        let server = server().await;
        let client = Client::new(version);
        assert_eq!(client.status(server.uri("/ok?id=a")).await, 200);
        let hanging = client.get(server.uri("/slow?wait=1h&id=b"));
        let hung_up = async {
            within(async {
                while server.visits("b").is_empty() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
            within(server.hang_up()).await;
        };
        let (answer, ()) = tokio::join!(hanging, hung_up);
        assert!(answer.is_err(), "{version:?}");
        // Nobody is left.
        within(server.hang_up()).await;
        let anew = Client::new(version);
        assert_eq!(anew.status(server.uri("/ok?id=c")).await, 200);
    }
}
