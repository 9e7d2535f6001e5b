//! The client against a server that refuses, over sockets.

use std::time::Duration;

use buttress::retry::{Ended, Report};
use buttress_by_hand::within;
use reqwest_client::Client;
use rude_server::{RudeServer, Script};

async fn server() -> RudeServer {
    let anywhere = "127.0.0.1:0".parse().unwrap();
    RudeServer::start(anywhere, Script::default())
        .await
        .unwrap()
}

fn ended(response: &reqwest::Response) -> Option<(Ended, u32)> {
    let report = response.extensions().get::<Report>();
    report.map(|report| (report.ended(), report.attempts()))
}

#[tokio::test]
async fn it_waits_what_it_was_told_and_succeeds() {
    let server = server().await;
    let client = Client::new().unwrap();
    for dialect in ["milliseconds", "openai", "azure", "discord", "google"] {
        let uri = server.uri(&format!("/{dialect}?refuse=2&wait=300ms&id={dialect}"));
        let request = client.reqwest().put(uri).body("a thing").build().unwrap();
        let response = within(client.execute(request)).await.unwrap();
        assert_eq!(response.status(), 200, "{dialect}");
        assert_eq!(ended(&response), Some((Ended::Success, 3)), "{dialect}");
        assert_eq!(
            within(response.text()).await.unwrap(),
            "a thing",
            "the body was sent again"
        );
        let visits = server.visits(dialect);
        let told =
            |pair: &[rude_server::Visit]| pair[1].at >= pair[0].at + Duration::from_millis(300);
        assert!(
            visits.len() == 3 && visits.windows(2).all(told),
            "{dialect}: {visits:?}"
        );
    }
}

/// A connection that is cut proves nothing: a PUT is repeated, a POST is not.
#[tokio::test]
async fn a_cut_connection_is_no_proof() {
    let server = server().await;
    let client = Client::new().unwrap();
    let put = client
        .reqwest()
        .put(server.uri("/cut?id=put"))
        .body("again")
        .build();
    let response = within(client.execute(put.unwrap())).await.unwrap();
    assert_eq!(ended(&response), Some((Ended::Success, 2)));
    let post = client
        .reqwest()
        .post(server.uri("/cut?id=post"))
        .body("once")
        .build();
    assert!(within(client.execute(post.unwrap())).await.is_err());
    assert_eq!(server.visits("post").len(), 1);
}

/// Over HTTP/2 reqwest would repeat both by itself.
#[tokio::test]
async fn what_was_not_processed_is_repeated_by_the_layer() {
    let server = server().await;
    let http2 = reqwest::Client::builder().http2_prior_knowledge();
    let client = Client::with(http2).unwrap();
    for refusal in ["refused-stream", "goaway"] {
        let uri = server.uri(&format!("/{refusal}?id={refusal}"));
        let post = client.reqwest().post(uri).body("once").build().unwrap();
        let response = within(client.execute(post)).await.unwrap();
        assert_eq!(ended(&response), Some((Ended::Success, 2)), "{refusal}");
        assert_eq!(server.visits(refusal).len(), 2, "{refusal}");
    }
}

/// What reqwest keeps: a pooled connection that the server has closed gives a request back unsent, and no layer hears of it.
/// Or it is sent into the void, if the server's word is late: then it is an attempt like any other.
#[tokio::test]
async fn what_was_never_sent_comes_once() {
    let server = server().await;
    let client = Client::new().unwrap();
    let get = async |id: &str| {
        let uri = server.uri(&format!("/ok?id={id}"));
        let request = client.reqwest().get(uri).build().unwrap();
        ended(&within(client.execute(request)).await.unwrap())
    };
    within(async {
        for round in 0.. {
            get(&format!("first-{round}")).await;
            // Its turn in the pace: who waits for that notices in good time.
            tokio::time::sleep(Duration::from_millis(40)).await;
            server.hang_up().await;
            let again = format!("again-{round}");
            let told = get(&again).await;
            assert_eq!(server.visits(&again).len(), 1);
            if told.is_none() {
                return;
            }
            assert_eq!(told, Some((Ended::Success, 2)));
        }
    })
    .await;
}

/// What reqwest follows no more.
#[tokio::test]
async fn a_redirect_of_a_body_is_handed_on() {
    let moved = "[dialects.moved]\nstatus = 307\nheaders = [\"location: /ok\"]";
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let server = RudeServer::start(anywhere, Script::parse(moved).unwrap());
    let server = server.await.unwrap();
    let client = Client::new().unwrap();
    let status = async |request: reqwest::RequestBuilder| {
        let answer = client.execute(request.build().unwrap());
        within(answer).await.unwrap().status()
    };
    let uri = server.uri("/moved?refuse=always");
    assert_eq!(status(client.reqwest().get(&uri)).await, 200);
    assert_eq!(
        status(client.reqwest().put(&uri).body("a thing")).await,
        307
    );
}

/// It was processed, and what it was to be followed by is another request.
#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_not_taken_for_a_request_that_was_not_sent() {
    // Nobody listens on port 1.
    let done = "[dialects.done]\nstatus = 303\nheaders = [\"location: http://127.0.0.1:1/\"]";
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let server = RudeServer::start(anywhere, Script::parse(done).unwrap());
    let server = server.await.unwrap();
    let client = Client::new().unwrap();
    let uri = server.uri("/done?refuse=always&id=done");
    let post = client.reqwest().post(uri).body("once").build().unwrap();
    let _ = within(client.execute(post)).await;
    assert_eq!(server.visits("done").len(), 1);
}
