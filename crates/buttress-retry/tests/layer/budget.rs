//! T7 of the traps: the budget bites.

use std::sync::Arc;

use buttress_retry::{Budget, Ended, Replay, RetryLayer};
use tower::{Layer as _, ServiceExt as _};

use crate::support::{
    MS, S, Upstream, ended, get, http, post, put, report, send, status, too_many,
};

/// A thousand calls to an upstream that is down: how many requests it gets.
async fn load(layer: &RetryLayer) -> usize {
    let mut upstream = Upstream::new();
    for _ in 0..3_000 {
        upstream = upstream.says(500);
    }
    for _ in 0..1_000 {
        assert_eq!(status(&send(layer, &upstream, get()).await), 500);
    }
    upstream.calls()
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_down_gets_no_more_than_its_share() {
    for (ratio, requests) in [(0.1, 1_100), (0.4, 1_400), (0.6, 1_600), (0.9, 1_900)] {
        let budget = Budget::ratio(ratio).per_second(0).build().unwrap();
        let layer = http()
            .backoff(|_| std::time::Duration::ZERO)
            .budget(budget)
            .build()
            .unwrap();
        assert_eq!(load(&layer).await, requests, "{ratio}");
    }
}

/// What is there unless told otherwise: a fifth, and a hundred in ten seconds.
#[tokio::test(start_paused = true)]
async fn there_is_one_by_default() {
    let layer = RetryLayer::http()
        .backoff(|_| std::time::Duration::ZERO)
        .build()
        .unwrap();
    assert_eq!(load(&layer).await, 1_300);
}

#[tokio::test(start_paused = true)]
async fn several_policies_can_share_one() {
    let budget = Budget::ratio(1.0).per_second(0).build().unwrap();
    let layer = || {
        http()
            .max_attempts(2)
            .budget(budget.clone())
            .build()
            .unwrap()
    };
    let (one, other) = (layer(), layer());
    let upstream = Upstream::new().says(500).says(500).says(500);
    assert_eq!(
        ended(&send(&one, &upstream, get()).await),
        Some((Ended::Attempts, 2))
    );
    // One call each, of which the first one's was spent.
    assert_eq!(
        ended(&send(&other, &upstream, get()).await),
        Some((Ended::Success, 2))
    );
}

#[tokio::test(start_paused = true)]
async fn grpcs_throttling_stops_and_recovers() {
    let layer = http()
        .max_attempts(2)
        .budget(Budget::throttling(4, 0.5).unwrap())
        .build()
        .unwrap();
    // Each failure takes one of four: at two there are no more retries.
    let upstream = Upstream::new().says(500).says(500).says(500);
    assert_eq!(
        ended(&send(&layer, &upstream, get()).await),
        Some((Ended::Attempts, 2))
    );
    assert_eq!(
        ended(&send(&layer, &upstream, get()).await),
        Some((Ended::Budget, 1))
    );
    // Successes give it back: 1 + 4 × 0.5, and one more.
    for _ in 0..5 {
        assert_eq!(report(&send(&layer, &upstream, get()).await), None);
    }
    let upstream = Upstream::new().says(500);
    assert_eq!(
        ended(&send(&layer, &upstream, get()).await),
        Some((Ended::Success, 2))
    );
}

/// Also for a success that a retry brought about.
#[tokio::test(start_paused = true)]
async fn a_retry_that_works_gives_its_token_back() {
    let layer = http()
        .max_attempts(2)
        .budget(Budget::throttling(4, 1.0).unwrap())
        .build()
        .unwrap();
    for _ in 0..5 {
        let upstream = Upstream::new().says(500);
        let out = send(&layer, &upstream, get()).await;
        assert_eq!(ended(&out), Some((Ended::Success, 2)));
    }
}

/// A refactoring once disconnected a budget for months: all services of a layer share it.
#[tokio::test(start_paused = true)]
async fn services_and_clones_share_it() {
    let layer = Arc::new(
        http()
            .budget(Budget::ratio(0.0).per_second(1).build().unwrap())
            .max_attempts(2)
            .build()
            .unwrap(),
    );
    let mut retries = 0;
    for _ in 0..20 {
        let upstream = Upstream::new().says(500);
        send(&RetryLayer::clone(&layer), &upstream, get())
            .await
            .unwrap();
        retries += upstream.calls() - 1;
    }
    assert_eq!(retries, 10);
}

/// A refusal of this side says nothing of the server that gRPC's throttling is about.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_this_side_takes_no_token() {
    let layer = http()
        .max_attempts(2)
        .budget(Budget::throttling(4, 0.5).unwrap())
        .build()
        .unwrap();
    let refused = || {
        let mut response = crate::support::answer(503);
        buttress_http::LocalRefusal::new(None).mark(&mut response);
        response
    };
    for _ in 0..4 {
        let upstream = Upstream::new().answers(refused()).answers(refused());
        assert_eq!(
            ended(&send(&layer, &upstream, get()).await),
            Some((Ended::Attempts, 2))
        );
    }
}

/// What a parked upstream never sees earns no retries, which it would have to bear when it is back.
#[tokio::test(start_paused = true)]
async fn calls_that_are_not_made_earn_nothing() {
    let layer = http()
        .budget(Budget::ratio(0.5).per_second(0).build().unwrap())
        .build()
        .unwrap();
    let refusal = crate::support::too_many("600");
    send(&layer, &Upstream::new().answers(refusal), get())
        .await
        .unwrap();
    for _ in 0..100 {
        let out = send(&layer, &Upstream::new(), get()).await;
        assert_eq!(ended(&out), Some((Ended::Parked, 0)));
    }
    layer.unpark_all();
    let upstream = Upstream::new().says(500).says(500);
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(ended(&out), Some((Ended::Budget, 2)));
}

/// One retry a second.
fn one() -> Budget {
    let budget = Budget::ratio(0.0).per_second(1).over(S);
    budget.build().unwrap()
}

/// Can be sent again when that is asked, and no longer when it is done: its first attempt was still reading.
struct Fleeting;

impl<B> Replay<B> for Fleeting {
    type Attempt = B;
    type Kept = ();

    fn keep(&self, body: B) -> (B, ()) {
        (body, ())
    }

    fn can_repeat(&self, (): &()) -> bool {
        true
    }

    fn again(&self, (): &mut ()) -> Option<B> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_again_is_not_paid_for() {
    let budget = one();
    let layer = http().replay(Fleeting).budget(budget.clone());
    let upstream = Upstream::new().says(503);
    let service = layer.build().unwrap().layer(upstream);
    let out = service.oneshot(put("a thing")).await;
    assert_eq!(ended(&out), Some((Ended::NotReplayable, 1)));
    assert!(budget.try_retry());
    assert!(!budget.try_retry(), "there is only one");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_the_retry_does_not_pay_for_it() {
    let budget = one();
    let layer = http().budget(budget.clone()).build().unwrap();
    let upstream = Upstream::new().says(503).says(503).says(503);
    let left = tokio::time::timeout(50 * MS, send(&layer, &upstream, get())).await;
    assert!(left.is_err(), "it waits for 100 ms");
    // The second call may have it; and what was made stays paid for.
    let out = send(&layer, &upstream, get()).await;
    assert_eq!(ended(&out), Some((Ended::Budget, 2)));
}

#[tokio::test(start_paused = true)]
async fn who_finds_a_parked_upstream_does_not_pay() {
    let budget = one();
    let layer = http().budget(budget.clone()).build().unwrap();
    let failing = Upstream::new().says(503);
    let throttled = Upstream::new().answers(too_many("600"));
    let meanwhile = async {
        tokio::time::sleep(50 * MS).await;
        send(&layer, &throttled, post("")).await
    };
    let (out, _) = tokio::join!(send(&layer, &failing, get()), meanwhile);
    assert_eq!(
        (ended(&out), failing.calls()),
        (Some((Ended::Parked, 1)), 1)
    );
    assert!(budget.try_retry());
}

#[tokio::test(start_paused = true)]
async fn who_is_too_late_does_not_pay() {
    let budget = one();
    let layer = http()
        .budget(budget.clone())
        .total_timeout(500 * MS)
        .build()
        .unwrap();
    let permits = tower::limit::GlobalConcurrencyLimitLayer::new(1);
    let service = |upstream| layer.layer(permits.layer(upstream));
    let failing = service(Upstream::new().says(503));
    let hogging = service(Upstream::new().hangs());
    let meanwhile = async {
        tokio::time::sleep(50 * MS).await;
        hogging.oneshot(post("")).await
    };
    let (out, _) = tokio::join!(failing.oneshot(get()), meanwhile);
    assert_eq!(ended(&out), Some((Ended::Deadline, 1)));
    assert!(budget.try_retry());
}
