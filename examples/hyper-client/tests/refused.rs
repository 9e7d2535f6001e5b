//! The client against a server that refuses, over sockets.

use std::time::Duration;

use buttress::retry::{Ended, Report};
use buttress_by_hand::within;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use rude_server::{RudeServer, Script};
use tower::ServiceExt as _;

async fn server() -> RudeServer {
    let anywhere = "127.0.0.1:0".parse().unwrap();
    RudeServer::start(anywhere, Script::default())
        .await
        .unwrap()
}

/// The status, the body, and why it ended after how many attempts.
async fn ask(
    server: &RudeServer,
    method: Method,
    manner: &str,
) -> (u16, Bytes, Option<(Ended, u32)>) {
    let client = hyper_client::client(|_| ()).unwrap();
    let body = Full::from("a thing");
    let request = Request::builder()
        .method(method)
        .uri(server.uri(manner))
        .body(body)
        .unwrap();
    let response = within(client.oneshot(request)).await.unwrap();
    let report = response.extensions().get::<Report>();
    let ended = report.map(|report| (report.ended(), report.attempts()));
    let status = response.status().as_u16();
    let body = within(response.into_body().collect()).await.unwrap();
    (status, body.to_bytes(), ended)
}

#[tokio::test]
async fn it_waits_what_it_was_told_and_succeeds() {
    let server = server().await;
    let wait = Duration::from_millis(300);
    for dialect in ["milliseconds", "openai", "groq", "discord", "google"] {
        let manner = format!("/{dialect}?refuse=2&wait=300ms&id={dialect}");
        let (status, body, ended) = ask(&server, Method::PUT, &manner).await;
        assert_eq!(
            (status, ended),
            (200, Some((Ended::Success, 3))),
            "{dialect}"
        );
        assert_eq!(body, "a thing", "the body was sent again");
        let visits = server.visits(dialect);
        assert_eq!(visits.len(), 3, "{dialect}");
        for pair in visits.windows(2) {
            assert!(pair[1].at >= pair[0].at + wait, "{dialect}: {visits:?}");
        }
    }
}

#[tokio::test]
async fn whole_seconds_too() {
    let server = server().await;
    let (status, _, ended) = ask(&server, Method::GET, "/seconds?wait=1s&id=s").await;
    assert_eq!((status, ended), (200, Some((Ended::Success, 2))));
    let visits = server.visits("s");
    assert!(
        visits[1].at >= visits[0].at + Duration::from_secs(1),
        "{visits:?}"
    );
}

/// A connection that is cut proves nothing: a PUT is repeated, a POST is not.
#[tokio::test]
async fn a_cut_connection_is_no_proof() {
    let server = server().await;
    let (status, ..) = ask(&server, Method::PUT, "/cut?id=put").await;
    assert_eq!((status, server.visits("put").len()), (200, 2));

    let client = hyper_client::client(|_| ()).unwrap();
    let request = Request::post(server.uri("/cut?id=post"))
        .body(Full::from("once"))
        .unwrap();
    assert!(within(client.oneshot(request)).await.is_err());
    assert_eq!(server.visits("post").len(), 1);
}

/// A pooled connection that the server has closed: what hyper would send again by itself, unseen by budget, pace and report,
/// is an attempt like any other.
#[tokio::test]
async fn nothing_is_repeated_behind_the_layers() {
    let server = server().await;
    let client = hyper_client::client(|_| ()).unwrap();
    let ask = async |manner: &str| {
        let request = Request::get(server.uri(manner)).body(Full::default());
        let response = within(client.clone().oneshot(request.unwrap())).await;
        let response = response.unwrap();
        let attempts = response.extensions().get::<Report>().map(Report::attempts);
        within(response.into_body().collect()).await.unwrap();
        attempts
    };
    for round in 0..5 {
        let (first, again) = (format!("first-{round}"), format!("again-{round}"));
        // On a new connection in any case, and so is that of the second request.
        server.hang_up().await;
        ask(&format!("/ok?id={first}")).await;
        // Its turn in the pace: who waits for that notices in good time.
        tokio::time::sleep(Duration::from_millis(40)).await;
        server.hang_up().await;
        let attempts = ask(&format!("/ok?id={again}")).await;
        assert_eq!((attempts, server.visits(&again).len()), (Some(2), 1));
    }
}

/// Waiting does not refill a billing quota.
#[tokio::test]
async fn it_gives_up_where_waiting_does_not_help() {
    let server = server().await;
    let (status, body, ended) = ask(&server, Method::GET, "/openai-quota?id=q").await;
    assert_eq!((status, ended), (429, Some((Ended::GaveUp, 1))));
    assert!(!body.is_empty(), "what was looked at is handed on");
    assert_eq!(server.visits("q").len(), 1);
}
