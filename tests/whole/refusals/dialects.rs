use std::time::Duration;

use buttress::retry::Ended;
use rude_server::Script;
use tokio::task::JoinSet;

use super::client::{Rehearsal, UNTOLD, Version, latest};

/// What a dialect tells.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tells {
    /// The wait, to the millisecond.
    Exactly,
    /// The wait or its end, rounded up to a second, by a clock that shows whole seconds.
    Seconds,
    /// That it is too much, and no time.
    Nothing,
    /// That another attempt is of no use.
    No,
}

fn tells(dialect: &str) -> Tells {
    match dialect {
        "milliseconds" | "openai" | "openai-ms" | "groq" | "cerebras" | "azure" | "aws-ms"
        | "discord-global" | "google" => Tells::Exactly,
        "silent"
        | "stripe"
        | "anthropic-overloaded"
        | "moonshot-overloaded"
        | "aws"
        | "s3"
        | "siliconflow"
        | "one-api" => Tells::Nothing,
        "stripe-no" | "openai-quota" | "openai-too-large" | "zhipu-balance" => Tells::No,
        _ => Tells::Seconds,
    }
}

/// The client waits what it was told, within the jitter, and then succeeds.
async fn is_obeyed(dialect: String, rehearsal: Rehearsal) {
    let tells = tells(&dialect);
    let wait = match tells {
        Tells::Exactly => Duration::from_millis(120),
        _ => Duration::from_secs(1),
    };
    let manner = format!(
        "/{dialect}?refuse=1&wait={}ms&id={dialect}",
        wait.as_millis()
    );
    let answer = rehearsal.get(&manner).await.unwrap();
    let (waits, visits) = (rehearsal.waits(), rehearsal.visits(&dialect));

    if tells == Tells::No {
        assert_eq!(visits.len(), 1, "{dialect}: it was not welcome");
        assert_eq!(waits, [], "{dialect}");
        assert_eq!(
            answer.report.map(|report| report.ended()),
            Some(Ended::GaveUp),
            "{dialect}"
        );
        assert!(
            answer.body.unwrap().starts_with(b"{\"error\""),
            "{dialect}: the refusal is handed on"
        );
        return;
    }
    let [refused, served] = &visits[..] else {
        panic!("{dialect}: {visits:?}")
    };
    let [planned] = waits[..] else {
        panic!("{dialect}: {waits:?}")
    };
    assert_eq!(answer.status, 200, "{dialect}");
    assert_eq!(
        answer.report.map(|report| report.attempts()),
        Some(2),
        "{dialect}"
    );

    let (least, most) = match tells {
        Tells::Exactly => (wait, wait),
        Tells::Seconds => (wait, wait + Duration::from_secs(2)),
        Tells::Nothing | Tells::No => (UNTOLD, UNTOLD),
    };
    assert!(planned >= least, "{dialect}: {planned:?}");
    assert!(planned <= latest(most), "{dialect}: {planned:?}");
    // The wait begins when the refusal has arrived, and the server's clock was read before it was sent.
    assert!(served.at - refused.at >= least, "{dialect}: {visits:?}");
}

async fn all_are_obeyed(version: Version) {
    let rehearsal = Rehearsal::new(version).await;
    let mut clients = JoinSet::new();
    for dialect in Script::default().dialects() {
        clients.spawn(is_obeyed(dialect.to_owned(), rehearsal.anew()));
    }
    assert!(clients.len() > 30);
    // Which one failed is told by its message.
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

#[tokio::test]
async fn over_http_1_every_dialect_is_obeyed() {
    all_are_obeyed(Version::Http1).await;
}

#[tokio::test]
async fn over_http_2_every_dialect_is_obeyed() {
    all_are_obeyed(Version::Http2).await;
}

/// Its dates are of tomorrow, but so is its `Date`.
#[tokio::test]
async fn a_server_whose_clock_is_wrong_is_obeyed_all_the_same() {
    let rehearsal = Rehearsal::new(Version::Http1).await;
    let mut clients = JoinSet::new();
    for dialect in ["date", "x-ratelimit-epoch", "github", "anthropic"] {
        let rehearsal = rehearsal.anew();
        clients.spawn(async move {
            let manner = format!("/{dialect}?skew=1day&id={dialect}");
            let answer = rehearsal.get(&manner).await.unwrap();
            assert_eq!(answer.status, 200, "{dialect}: {answer:?}");
            let waits = rehearsal.waits();
            assert!(
                waits.iter().all(|wait| *wait >= Duration::from_secs(1)
                    && *wait <= latest(Duration::from_secs(3))),
                "{dialect}: {waits:?}"
            );
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

/// A server may ask for hours; who has not so much time is answered at once.
#[tokio::test]
async fn a_wait_that_is_too_long_is_not_shortened() {
    let rehearsal = Rehearsal::new(Version::Http1).await;
    let policies = [
        rehearsal.http().max_wait(Duration::from_secs(60)),
        rehearsal
            .http()
            .max_wait(Duration::from_secs(86_400))
            .total_timeout(Duration::from_secs(60)),
    ];
    for (n, policy) in policies.into_iter().enumerate() {
        let manner = format!("/github?wait=2h&id={n}");
        let request = rehearsal
            .request("GET", &manner)
            .body(Default::default())
            .unwrap();
        let answer = rehearsal.send(policy, request).await.unwrap();
        assert_eq!(answer.status, 403);
        let ended = answer.report.map(|report| report.ended());
        assert_eq!(ended, Some([Ended::GaveUp, Ended::Deadline][n]));
        assert!(
            answer
                .body
                .unwrap()
                .starts_with(b"{\"message\":\"API rate limit exceeded")
        );
        assert_eq!(rehearsal.visits(&n.to_string()).len(), 1);
    }
    assert_eq!(rehearsal.waits(), []);
}
