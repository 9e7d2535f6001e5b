use std::time::Duration;

use buttress::retry::RetryLayer;
use buttress::{GrpcCode, grpc_status};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::client::{Answer, Policy, Rehearsal, UNTOLD, Version, latest};

const MESSAGE: &[u8] = b"\0\0\0\0\x02hi";

fn policy(rehearsal: &Rehearsal) -> Policy {
    rehearsal.policy(RetryLayer::grpc([
        GrpcCode::ResourceExhausted,
        GrpcCode::Unavailable,
    ]))
}

fn call(rehearsal: &Rehearsal, manner: &str) -> Request<Full<Bytes>> {
    rehearsal
        .request("POST", "/greet.Greeter/Hello")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("rude", manner)
        .body(Full::from(MESSAGE))
        .unwrap()
}

fn is_served(answer: &Answer) -> bool {
    answer.body.as_ref().is_ok_and(|body| body == MESSAGE)
        && answer.trailers.as_ref().and_then(grpc_status) == Some(GrpcCode::Ok)
}

#[tokio::test]
async fn trailers_only_refusals_are_waited_out() {
    for (name, told) in [
        ("grpc", Duration::from_millis(120)),
        ("grpc-pushback", Duration::from_millis(120)),
        ("grpc-silent", UNTOLD),
    ] {
        let rehearsal = Rehearsal::new(Version::Http2).await;
        let call = call(&rehearsal, &format!("{name}?refuse=2&wait=120ms&id=call"));
        let answer = rehearsal.send(policy(&rehearsal), call).await.unwrap();
        assert!(is_served(&answer), "{name}: {answer:?}");

        let (waits, visits) = (rehearsal.waits(), rehearsal.visits("call"));
        assert_eq!((waits.len(), visits.len()), (2, 3), "{name}: {waits:?}");
        for wait in waits {
            assert!(wait >= told && wait <= latest(told), "{name}: {wait:?}");
        }
        for pair in visits.windows(2) {
            assert!(pair[1].at - pair[0].at >= told, "{name}: {visits:?}");
        }
        let attempts: Vec<_> = visits
            .iter()
            .map(|visit| visit.headers.get("grpc-previous-rpc-attempts"))
            .collect();
        assert_eq!(attempts[0], None, "{name}");
        assert!(
            attempts[1].is_some_and(|count| count == "1"),
            "{name}: {attempts:?}"
        );
        assert!(
            attempts[2].is_some_and(|count| count == "2"),
            "{name}: {attempts:?}"
        );
    }
}

#[tokio::test]
async fn a_pushback_that_forbids_is_obeyed() {
    let rehearsal = Rehearsal::new(Version::Http2).await;
    let call = call(&rehearsal, "grpc-no?wait=20ms&id=call");
    let answer = rehearsal.send(policy(&rehearsal), call).await.unwrap();
    assert!(!is_served(&answer));
    assert_eq!(rehearsal.visits("call").len(), 1);
}

/// The headers commit the call, unless the caller said that it has one answer only.
#[tokio::test]
async fn a_refusal_in_the_trailers_is_seen_where_that_was_asked_for() {
    for asked in [false, true] {
        let rehearsal = Rehearsal::new(Version::Http2).await;
        let mut policy = policy(&rehearsal);
        if asked {
            policy = policy.await_trailers(1_024, Duration::from_secs(10), |_| true);
        }
        let call = call(&rehearsal, "grpc-trailers?wait=120ms&id=call");
        let answer = rehearsal.send(policy, call).await.unwrap();
        let visits = rehearsal.visits("call");
        if asked {
            assert!(is_served(&answer), "{answer:?}");
            let [refused, served] = &visits[..] else {
                panic!("{visits:?}")
            };
            assert!(
                served.at - refused.at >= Duration::from_millis(120),
                "{visits:?}"
            );
        } else {
            let status = answer.trailers.as_ref().and_then(grpc_status);
            assert_eq!(status, Some(GrpcCode::ResourceExhausted));
            assert_eq!(visits.len(), 1);
        }
    }
}
