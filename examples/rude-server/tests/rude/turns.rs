use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use rude_server::{Answered, RudeServer, Script};

use crate::client::{Client, Version, read, scripted, server};

async fn statuses(server: &RudeServer, manner: &str, count: usize) -> Vec<u16> {
    let client = Client::new(Version::Http1);
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(client.status(server.uri(manner)).await);
    }
    statuses
}

#[tokio::test]
async fn it_refuses_as_often_as_it_is_told_and_begins_anew() {
    let server = server().await;
    assert_eq!(
        statuses(&server, "/openai?refuse=2", 6).await,
        [429, 429, 200, 429, 429, 200]
    );
    assert_eq!(statuses(&server, "/openai", 3).await, [429, 200, 429]);
    assert_eq!(statuses(&server, "/openai?refuse=0", 2).await, [200, 200]);
    assert_eq!(
        statuses(&server, "/openai?refuse=always", 3).await,
        [429, 429, 429]
    );
}

#[tokio::test]
async fn an_id_counts_together_what_differs() {
    let server = server().await;
    assert_eq!(statuses(&server, "/openai?id=a", 1).await, [429]);
    assert_eq!(statuses(&server, "/github?id=a", 1).await, [200]);
    assert_eq!(statuses(&server, "/github?id=b", 1).await, [403]);
}

#[tokio::test]
async fn for_a_while_it_refuses_everybody_and_tells_what_is_left_of_it() {
    let server = server().await;
    let client = Client::new(Version::Http1);
    let uri = server.uri("/milliseconds?for=300ms&id=a");
    let mut last = 301;
    loop {
        let response = client.get(uri.clone()).await.unwrap();
        if response.status() == 200 {
            break;
        }
        let left: u64 = response.headers()["retry-after-ms"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(left <= last, "{left} after {last}");
        last = left;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let visits = server.visits("a");
    let (first, served) = (&visits[0], &visits[visits.len() - 1]);
    assert!(
        served.at - first.at >= Duration::from_millis(300),
        "{visits:?}"
    );
}

#[tokio::test]
async fn chance_is_the_same_with_the_same_seed() {
    let of_seed = async |seed| {
        let server = scripted(Script::default().seed(seed)).await;
        statuses(&server, "/any?chance=0.5", 40).await
    };
    let (one, again, other) = (of_seed(1).await, of_seed(1).await, of_seed(2).await);
    assert_eq!(one, again);
    assert_ne!(one, other);
    let served = one.iter().filter(|status| **status == 200).count();
    assert!((8..=32).contains(&served), "{one:?}");
}

#[tokio::test]
async fn visits_tell_who_came_and_what_they_brought() {
    let server = server().await;
    let client = Client::new(Version::Http2);
    for _ in 0..2 {
        let request = Request::post(server.uri("/v1/messages"))
            .header("rude", "anthropic?id=mine")
            .header("idempotency-key", "\"k\"")
            .body(Full::new(Bytes::from_static(b"hello")))
            .unwrap();
        let response = client.send(request).await.unwrap();
        if response.status() == 200 {
            assert_eq!(read(response).await.unwrap().0, "hello");
        }
    }
    let visits = server.visits("mine");
    let [refused, served] = &visits[..] else {
        panic!("{visits:?}")
    };
    assert_eq!(
        (refused.answered, served.answered),
        (Answered::Rudely, Answered::Served)
    );
    assert_eq!(served.method, "POST");
    assert_eq!(served.headers["idempotency-key"], "\"k\"");
    assert_eq!(served.body, "hello");
    assert!(served.at > refused.at);
    assert!(server.visits("others").is_empty());
}

#[tokio::test]
async fn what_makes_no_sense_is_answered_with_what_does() {
    let server = server().await;
    let client = Client::new(Version::Http1);
    let text = async |path| {
        let response = client.get(server.uri(path)).await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            String::from_utf8(read(response).await.unwrap().0.to_vec()).unwrap(),
        )
    };
    let (status, error) = text("/openai?wait=soon").await;
    assert_eq!(status, 400);
    assert!(error.contains("wait=soon"), "{error}");
    let (status, error) = text("/polite").await;
    assert_eq!(status, 404);
    assert!(
        error.contains("polite") && error.contains("anthropic\n"),
        "{error}"
    );
    let (status, names) = text("/").await;
    assert_eq!(status, 200);
    assert!(
        names.contains("goaway\n") && names.contains("draft-11\n"),
        "{names}"
    );
}

#[tokio::test]
async fn a_script_gives_paths_a_manner_and_adds_dialects() {
    let script = "
        [paths]
        '/v1/chat/completions' = 'ours?refuse=2&wait=3s&id=chat'
        [dialects.ours]
        status = 420
        headers = ['x-calm-down-for: {seconds}']
    ";
    let server = scripted(Script::parse(script).unwrap()).await;
    let client = Client::new(Version::Http1);
    let response = client
        .get(server.uri("/v1/chat/completions?stream=true"))
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 420);
    assert_eq!(response.headers()["x-calm-down-for"], "3");
    assert_eq!(
        statuses(&server, "/v1/chat/completions", 2).await,
        [420, 200]
    );
    assert_eq!(server.visits("chat").len(), 3);
}
