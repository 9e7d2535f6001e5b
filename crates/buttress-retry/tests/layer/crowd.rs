//! Crowds do not come back together.

use std::time::Duration;

use buttress_core::Random;
use buttress_retry::{Budget, Exponential, Judgment, RetryDecision, RetryLayer, RetryPolicy};
use tokio::task::JoinSet;

use crate::support::{MS, NOW, S, Upstream, get, send, status, to, too_many};

/// T1 of the traps: elsewhere each session clones the generator, and all jitter alike.
#[test]
fn two_sessions_differ_and_a_thousand_fill_the_range() {
    let policy = RetryPolicy::builder()
        .backoff(Exponential::starting_at(100 * MS))
        .budget(Budget::unlimited())
        .random(Random::seeded(42))
        .build()
        .unwrap();
    let mut tenths = [0_u32; 10];
    let mut drawn = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        let RetryDecision::Retry { after } = policy.begin().attempted(Judgment::TRANSIENT) else {
            panic!("no retry")
        };
        assert!(after <= 100 * MS);
        drawn.insert(after);
        tenths[usize::try_from(after.as_micros() / 10_000).unwrap().min(9)] += 1;
    }
    assert!(drawn.len() > 990, "{} differ", drawn.len());
    assert!(
        tenths.iter().all(|&n| (60..=140).contains(&n)),
        "{tenths:?}"
    );
}

/// When the attempts of a crowd of 200 came that was refused together.
async fn crowd(layer: &RetryLayer, uri: impl Fn(u32) -> String) -> Vec<Duration> {
    let mut upstream = Upstream::new();
    for _ in 0..200 {
        upstream = upstream.answers(too_many("2"));
    }
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let (layer, upstream, request) = (layer.clone(), upstream.clone(), to(&uri(n)));
        tasks.spawn(async move { send(&layer, &upstream, request).await });
    }
    assert!(tasks.join_all().await.iter().all(|out| status(out) == 200));
    let mut times = upstream.times().split_off(200);
    times.sort();
    times
}

#[tokio::test(start_paused = true)]
async fn two_hundred_who_were_told_the_same_come_back_spread() {
    let layer = RetryLayer::http()
        .budget(Budget::unlimited())
        .random(Random::seeded(7))
        .build()
        .unwrap();
    let times = crowd(&layer, |n| format!("https://upstream-{n}.example/")).await;
    assert_eq!(times.len(), 200);
    // Never earlier than told, and within a quarter of the wait.
    assert!(
        times.iter().all(|&at| 2 * S <= at && at <= 2_501 * MS),
        "{times:?}"
    );
    // No hundredth of a second sees many of them: evenly, it would be four.
    let busiest = times.iter().map(|&at| {
        let soon = at + 10 * MS;
        times
            .iter()
            .filter(|&&other| at <= other && other < soon)
            .count()
    });
    let busiest = busiest.max().unwrap();
    assert!(busiest <= 15, "{busiest} of 200 came within 10 ms");
    let halfway = times.iter().filter(|&&at| at < 2_250 * MS).count();
    assert!(
        (70..=130).contains(&halfway),
        "{halfway} of 200 in the first half"
    );
}

/// Those who come to a parked upstream are a crowd, too: 200 of them wait for the word that one has heard.
#[tokio::test(start_paused = true)]
async fn two_hundred_who_were_held_back_come_spread() {
    let layer = RetryLayer::http()
        .random(Random::seeded(7))
        .build()
        .unwrap();
    let upstream = Upstream::new().answers(too_many("2"));
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let (layer, upstream) = (layer.clone(), upstream.clone());
        tasks.spawn(async move {
            tokio::time::sleep(n * MS).await;
            send(&layer, &upstream, get()).await
        });
    }
    assert!(tasks.join_all().await.iter().all(|out| status(out) == 200));
    let mut times = upstream.times();
    times.sort();
    assert_eq!((times.len(), times[0]), (201, NOW));
    // T8 of the traps: after the first one's 429 nobody called until its time was over.
    let times = &times[1..];
    assert!(times.iter().all(|&at| at >= 2 * S), "{times:?}");
    let busiest = times
        .windows(20)
        .filter(|window| window[19] - window[0] < 10 * MS);
    assert_eq!(busiest.count(), 0, "{times:?}");
}
