//! The client against a server that refuses, over sockets.

use std::{future::Future, time::Duration};

use buttress::retry::{Ended, Report};
use reqwest_client::Client;
use rude_server::{RudeServer, Script};

/// Long enough for any machine.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let deadline = Duration::from_secs(60);
    tokio::time::timeout(deadline, work).await.expect("in time")
}

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
        let response = in_time(client.execute(request)).await.unwrap();
        assert_eq!(response.status(), 200, "{dialect}");
        assert_eq!(ended(&response), Some((Ended::Success, 3)), "{dialect}");
        assert_eq!(
            in_time(response.text()).await.unwrap(),
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
    let response = in_time(client.execute(put.unwrap())).await.unwrap();
    assert_eq!(ended(&response), Some((Ended::Success, 2)));
    let post = client
        .reqwest()
        .post(server.uri("/cut?id=post"))
        .body("once")
        .build();
    assert!(in_time(client.execute(post.unwrap())).await.is_err());
    assert_eq!(server.visits("post").len(), 1);
}
