//! The server over a real socket, and what its clients make of a refusal.

use std::{process::Command, time::Duration};

use buttress::clock::ManualClock;
use buttress::{ClientIp, Policy, RateLimitLayer};
use grpc::{HelloRequest, hello::greeter_client::GreeterClient};
use tokio::net::TcpListener;
use tonic::Code;
use tonic_types::StatusExt as _;

#[tokio::test]
async fn a_refusal_is_resource_exhausted_and_tells_the_delay() {
    let clock = ManualClock::default();
    let policy = Policy::new("per-ip", "30/min burst 3").key(ClientIp::peer());
    let limit = RateLimitLayer::http(policy)
        .clock(clock.clone())
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(grpc::serve(listener, limit));
    let mut client = GreeterClient::connect(address).await.unwrap();
    let request = || HelloRequest {
        name: "you".to_owned(),
    };

    for _ in 0..3 {
        let reply = client.say_hello(request()).await.unwrap();
        assert!(reply.metadata().get("ratelimit").is_some());
        assert_eq!(reply.into_inner().message, "hello you");
    }
    clock.advance(Duration::from_millis(500));
    let status = client.say_hello(request()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), r#"the quota "per-ip" is used up"#);
    let wait = status
        .get_details_retry_info()
        .unwrap()
        .retry_delay
        .unwrap();
    assert_eq!(wait, Duration::from_millis(1_500));

    clock.advance(wait - Duration::from_nanos(1));
    assert_eq!(
        client.say_hello(request()).await.unwrap_err().code(),
        Code::ResourceExhausted
    );
    clock.advance(Duration::from_nanos(1));
    assert!(client.say_hello(request()).await.is_ok());
}

#[test]
fn the_program_gets_through() {
    let output = Command::new(env!("CARGO_BIN_EXE_grpc")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.matches("hello buttress").count() >= 3, "{text}");
    assert!(text.contains("used up"), "{text}");
    assert!(text.ends_with("hello again\n"), "{text}");
}
