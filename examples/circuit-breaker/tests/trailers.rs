//! A tonic client over a real socket: the failure is in the trailers, and nowhere else.

use std::time::Duration;

use buttress_circuit_breaker::State;
use circuit_breaker::grpc::{Breaking, CountRequest, client};
use tokio::net::TcpListener;
use tonic::{Code, Status, transport::Endpoint};
use tonic_types::StatusExt as _;

#[tokio::test]
async fn a_failure_in_the_trailers_opens_the_circuit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = Breaking::default();
    tokio::spawn(server.clone().serve(listener));
    let channel = Endpoint::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let (mut counter, circuit) = client(channel).unwrap();

    for n in 0..3 {
        assert_eq!(circuit.state(), State::Closed, "after {n} calls");
        let answer = counter.count(CountRequest { to: 2 }).await;
        // So far all is well: the status of the HTTP response is 200, and numbers arrive as they are sent.
        let mut numbers = answer.unwrap().into_inner();
        for expected in [1, 2] {
            let number = numbers.message().await.unwrap().unwrap();
            assert_eq!(number.number, expected);
        }
        let status: Status = numbers.message().await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Internal, "the disk is full")
        );
    }

    assert_eq!(circuit.state(), State::Open);
    let refused = counter.count(CountRequest { to: 2 }).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let wait = refused
        .get_details_retry_info()
        .unwrap()
        .retry_delay
        .unwrap();
    assert!(
        wait > Duration::from_secs(20) && wait <= Duration::from_secs(30),
        "{wait:?}"
    );
    assert!(refused.metadata().get("grpc-retry-pushback-ms").is_some());
    assert_eq!(server.calls(), 3, "what is refused is not sent");
}
