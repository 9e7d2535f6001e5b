//! The client against a server that refuses, over sockets.

use std::time::Duration;

use buttress_by_hand::within;
use rude_server::{RudeServer, Script, Visit};
use tonic::{Code, Request, Status, transport::Endpoint};
use tonic_client::{Said, client};

async fn server() -> RudeServer {
    let anywhere = "127.0.0.1:0".parse().unwrap();
    RudeServer::start(anywhere, Script::default())
        .await
        .unwrap()
}

async fn say(server: &RudeServer, manner: &str) -> Result<String, Status> {
    let channel = Endpoint::new(format!("http://{}", server.addr())).unwrap();
    let mut client = client(channel.connect_lazy()).unwrap();
    let words = "hello".to_owned();
    let mut request = Request::new(Said { words });
    request
        .metadata_mut()
        .insert("rude", manner.parse().unwrap());
    let response = within(client.say(request)).await?;
    Ok(response.into_inner().words)
}

fn previous_attempts(visits: &[Visit]) -> Vec<Option<&str>> {
    visits
        .iter()
        .map(|visit| {
            let told = visit.headers.get("grpc-previous-rpc-attempts")?;
            told.to_str().ok()
        })
        .collect()
}

#[tokio::test]
async fn it_waits_what_it_was_told_and_succeeds() {
    let server = server().await;
    for refusal in ["grpc", "grpc-pushback", "grpc-trailers"] {
        let manner = format!("{refusal}?refuse=2&wait=300ms&id={refusal}");
        assert_eq!(say(&server, &manner).await.unwrap(), "hello", "{refusal}");
        let visits = server.visits(refusal);
        assert_eq!(
            previous_attempts(&visits),
            [None, Some("1"), Some("2")],
            "{refusal}"
        );
        for pair in visits.windows(2) {
            let waited = pair[1].at.saturating_sub(pair[0].at);
            assert!(
                waited >= Duration::from_millis(300),
                "{refusal}: {visits:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_stream_that_was_refused_is_tried_again() {
    let server = server().await;
    for refusal in ["refused-stream", "goaway"] {
        let manner = format!("{refusal}?id={refusal}");
        assert_eq!(say(&server, &manner).await.unwrap(), "hello", "{refusal}");
        // By the layer: of what a library below would send again, the server would not be told the number.
        let visits = server.visits(refusal);
        assert_eq!(previous_attempts(&visits), [None, Some("1")], "{refusal}");
    }
}

#[tokio::test]
async fn a_server_that_wants_no_retry_gets_none() {
    let server = server().await;
    let status = say(&server, "grpc-no?id=no").await.unwrap_err();
    assert!(
        matches!(status.code(), Code::Unavailable | Code::ResourceExhausted),
        "{status}"
    );
    assert_eq!(server.visits("no").len(), 1);
}
