use std::time::Duration;

use buttress::retry::Budget;
use buttress_by_hand::within;
use http_body_util::Full;
use tokio::task::JoinSet;

use super::client::{Rehearsal, Version, send};

/// Each is refused once, and told the same.
#[tokio::test]
async fn two_hundred_who_are_refused_together_do_not_come_back_together() {
    const TOLD: Duration = Duration::from_millis(400);
    let rehearsal = Rehearsal::new(Version::Http2).await;
    let policy = rehearsal
        .http()
        .spread(0.25, Duration::ZERO)
        .budget(Budget::unlimited())
        // Who is held back is not refused.
        .max_parks(0);
    let client = rehearsal.client(policy);
    let mut crowd = JoinSet::new();
    for n in 0..200 {
        let manner = format!("/milliseconds?wait=400ms&id={n}");
        let request = rehearsal
            .request("GET", &manner)
            .body(Full::default())
            .unwrap();
        crowd.spawn(send(client.clone(), request));
    }
    for answer in crowd.join_all().await {
        assert_eq!(answer.unwrap().status, 200);
    }

    // Never earlier than told, at most a quarter later, and evenly in between: of each tenth, some twenty.
    let waits = rehearsal.waits();
    assert_eq!(waits.len(), 200);
    assert!(
        waits
            .iter()
            .all(|wait| (TOLD..=TOLD * 5 / 4).contains(wait)),
        "{waits:?}"
    );
    let mut tenths = [0; 10];
    for wait in &waits {
        let tenth = (*wait - TOLD).as_millis() / 10;
        tenths[usize::try_from(tenth).unwrap().min(9)] += 1;
    }
    assert!(
        tenths.iter().all(|count| (5..=40).contains(count)),
        "{tenths:?}"
    );
    for n in 0..200 {
        let visits = rehearsal.visits(&n.to_string());
        let [refused, served] = &visits[..] else {
            panic!("{n}: {visits:?}")
        };
        assert!(served.at - refused.at >= TOLD, "{n}: {visits:?}");
    }
}

/// T8 of the traps: elsewhere retries, and everybody else, go on to a host that just said 429.
#[tokio::test]
async fn one_refusal_holds_everybody_back() {
    const TOLD: Duration = Duration::from_millis(400);
    let rehearsal = Rehearsal::new(Version::Http1).await;
    let client = rehearsal.client(rehearsal.http());
    let get = |manner: &str| {
        let request = rehearsal
            .request("GET", manner)
            .body(Full::default())
            .unwrap();
        tokio::spawn(send(client.clone(), request))
    };
    let first = get("/milliseconds?wait=400ms&id=first");
    within(async {
        while rehearsal.waits().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let others: Vec<_> = (0..5).map(|_| get("/ok?id=others")).collect();
    for call in others.into_iter().chain([first]) {
        assert_eq!(call.await.unwrap().unwrap().status, 200);
    }
    let (first, others) = (rehearsal.visits("first"), rehearsal.visits("others"));
    assert_eq!((first.len(), others.len()), (2, 5));
    let refused = &first[0];
    let returned = first[1..].iter().chain(&others);
    for visit in returned {
        assert!(visit.at - refused.at >= TOLD, "{first:?} {others:?}");
    }
}

/// A limit of one customer is not another's.
#[tokio::test]
async fn another_credential_is_not_held_back() {
    let rehearsal = Rehearsal::new(Version::Http1).await;
    let client = rehearsal.client(rehearsal.http());
    let get = |manner: &str, token: &str| {
        let request = rehearsal
            .request("GET", manner)
            .header("authorization", token);
        tokio::spawn(send(client.clone(), request.body(Full::default()).unwrap()))
    };
    // So long that nobody waits for it.
    let refused = get("/milliseconds?wait=10m&id=a", "Bearer a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(refused.status, 429);
    let other = get("/ok?id=b", "Bearer b").await.unwrap().unwrap();
    assert_eq!(
        (other.status.as_u16(), rehearsal.visits("b").len()),
        (200, 1)
    );
    let same = get("/ok?id=a2", "Bearer a").await.unwrap().unwrap();
    assert_eq!(
        (same.status.as_u16(), rehearsal.visits("a2").len()),
        (429, 0)
    );
}
