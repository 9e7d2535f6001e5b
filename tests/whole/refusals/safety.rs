use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use rude_server::Answered;

use super::client::{Rehearsal, Version};

/// What may have been done in part, and how it looks to a client.
const PROVES_NOTHING: [&str; 5] = ["silent", "openai", "seconds", "cut", "reset"];

#[tokio::test]
async fn a_post_is_not_repeated_where_it_may_have_been_processed() {
    let rehearsal = Rehearsal::new(Version::Http2).await;
    for name in PROVES_NOTHING {
        let answer = rehearsal
            .post(&format!("/{name}?wait=20ms&id={name}"), "pay")
            .await;
        assert!(
            answer.is_err() || answer.is_ok_and(|answer| answer.status == 429),
            "{name}"
        );
        assert_eq!(rehearsal.visits(name).len(), 1, "{name}");
    }
    assert_eq!(rehearsal.waits(), []);
}

#[tokio::test]
async fn a_post_is_repeated_where_it_was_not() {
    for name in ["refused-stream", "goaway"] {
        let rehearsal = Rehearsal::new(Version::Http2).await;
        let answer = rehearsal
            .post(&format!("/{name}?refuse=2&id=post"), "pay")
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(
            answer.body.unwrap(),
            "pay",
            "{name}: the same body each time"
        );
        let visits = rehearsal.visits("post");
        let answered: Vec<_> = visits.iter().map(|visit| visit.answered).collect();
        assert_eq!(
            answered,
            [Answered::Rudely, Answered::Rudely, Answered::Served],
            "{name}"
        );
        assert!(
            visits.iter().all(|visit| visit.body == "pay"),
            "{name}: {visits:?}"
        );
    }
}

#[tokio::test]
async fn a_post_with_a_key_is_repeated_with_the_same_key() {
    for version in [Version::Http1, Version::Http2] {
        let rehearsal = Rehearsal::new(version).await;
        for name in ["milliseconds", "cut"] {
            let request = rehearsal
                .request("POST", &format!("/{name}?refuse=2&wait=20ms&id={name}"))
                .header("idempotency-key", "\"8e03978e\"")
                .body(Full::new(Bytes::from_static(b"pay")));
            let answer = rehearsal
                .send(rehearsal.http(), request.unwrap())
                .await
                .unwrap();
            assert_eq!(answer.body.unwrap(), "pay", "{name}");
            let visits = rehearsal.visits(name);
            assert_eq!(visits.len(), 3, "{name}");
            for visit in visits {
                assert_eq!(visit.headers["idempotency-key"], "\"8e03978e\"", "{name}");
                assert_eq!(visit.body, "pay", "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_get_is_repeated_when_nothing_came_back() {
    for (version, name) in [
        (Version::Http1, "cut"),
        (Version::Http2, "cut"),
        (Version::Http2, "reset"),
        (Version::Http2, "goaway"),
    ] {
        let rehearsal = Rehearsal::new(version).await;
        let answer = rehearsal
            .get(&format!("/{name}?refuse=2&id=get"))
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(rehearsal.visits("get").len(), 3, "{name}");
    }
}

/// What breaks off has begun: the caller has part of it.
#[tokio::test]
async fn an_answer_that_breaks_off_is_the_callers() {
    for version in [Version::Http1, Version::Http2] {
        let rehearsal = Rehearsal::new(version).await;
        let answer = rehearsal.get("/cut-body?id=get").await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.body.is_err());
        assert_eq!(rehearsal.visits("get").len(), 1);
    }
}

#[tokio::test]
async fn an_attempt_that_is_too_slow_is_dropped_and_repeated() {
    let rehearsal = Rehearsal::new(Version::Http1).await;
    let policy = rehearsal
        .http()
        .attempt_timeout(Duration::from_millis(300))
        // On a machine that stands still for so long, a prompt answer is too slow as well.
        .max_attempts(10);
    let request = rehearsal
        .request("GET", "/slow?wait=1h&id=slow")
        .body(Full::default());
    let answer = rehearsal.send(policy, request.unwrap()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(rehearsal.visits("slow").len() >= 2);
}
