//! Another configuration, without a restart.

use std::time::Duration;

use crate::{
    raw::{Raw, RawUpstream, within},
    running::Running,
};

const GET: &str = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n";
const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close\n\n";

async fn status(gateway: &Running) -> String {
    let mut client = gateway.connect().await;
    client.send(GET).await;
    let status = client.head().await.first_line().to_owned();
    client.rest().await;
    status
}

#[tokio::test]
async fn counters_stay() {
    let gateway = Running::from("limits.per_ip.quota = '2/h'\n").await;
    assert_eq!(status(&gateway).await, "HTTP/1.1 200 OK");
    let reloaded = gateway.reload("limits.per_ip.quota = '2/h'\ntimeouts.response = '5s'\n");
    reloaded.unwrap();
    assert_eq!(status(&gateway).await, "HTTP/1.1 200 OK");
    assert_eq!(status(&gateway).await, "HTTP/1.1 429 Too Many Requests");
    let state = gateway.state().await;
    assert_eq!(state["reloads"]["done"], 1);
    assert!(state["reloads"]["last"].is_string());
}

#[tokio::test]
async fn another_quota_keeps_what_was_used() {
    let text = |quota: &str| {
        format!(
            "limits.global.quota = '{quota}'\n\
             limits.per_key = {{ quota = '{quota}', tiers.gold = {{ quota = '{quota}', keys = ['gold'] }} }}\n\
             [[limits.routes]]\npath = '/v1'\nquota = '{quota}'\nby = 'key'\n"
        )
    };
    for (only, path, key) in [
        ("limits.per_ip", "/", ""),
        ("limits.global", "/", ""),
        ("limits.per_key", "/", "bronze"),
        ("limits.per_key.tiers.gold", "/", "gold"),
        ("limits.routes", "/v1/x", "gold"),
    ] {
        // Those others are not in the way.
        let text = |quota: &str| {
            let all = text("1000/h");
            match only {
                "limits.per_ip" => format!("limits.per_ip.quota = '{quota}'\n{all}"),
                "limits.global" => all.replacen("1000/h", quota, 1),
                "limits.per_key" => all.replacen(
                    "per_key = { quota = '1000/h",
                    &format!("per_key = {{ quota = '{quota}"),
                    1,
                ),
                "limits.per_key.tiers.gold" => all.replace(
                    "gold = { quota = '1000/h",
                    &format!("gold = {{ quota = '{quota}"),
                ),
                _ => all.replace("quota = '1000/h'\nby", &format!("quota = '{quota}'\nby")),
            }
        };
        let gateway = Running::from(&text("4/h")).await;
        let statuses = async |count: usize| {
            let mut statuses = Vec::new();
            for _ in 0..count {
                let mut client = gateway.connect().await;
                client
                    .send(&format!("GET {path} HTTP/1.1\nHost: a\nConnection: close\nAuthorization: Bearer {key}\n\n"))
                    .await;
                let head = client.head().await;
                statuses.push(head.first_line().split(' ').nth(1) == Some("429"));
            }
            statuses
        };
        assert_eq!(statuses(2).await, [false; 2], "{only}");
        // Half was used, and half is left of twice as much.
        gateway.reload(&text("8/h")).unwrap();
        assert_eq!(
            statuses(5).await,
            [false, false, false, false, true],
            "{only}"
        );
        // All was used, and a larger quota is no new one.
        gateway.reload(&text("16/h")).unwrap();
        assert_eq!(statuses(1).await, [true], "{only}");
    }
}

/// One that is only tried out is tuned as others are.
#[tokio::test]
async fn another_quota_of_a_limit_in_shadow() {
    let text = |quota: &str| format!("limits.per_ip = {{ quota = '{quota}', shadow = true }}\n");
    let gateway = Running::from(&text("2/h")).await;
    assert_eq!(status(&gateway).await, "HTTP/1.1 200 OK");
    gateway.reload(&text("8/h")).unwrap();
    // Half was used, and half is left of four times as much.
    for _ in 0..5 {
        assert_eq!(status(&gateway).await, "HTTP/1.1 200 OK");
    }
    let state = gateway.state().await;
    let shadow = &state["shadow_limits"][0];
    assert_eq!(shadow["quota"], "8/h");
    assert_eq!(shadow["would_refuse"], 1);
}

#[tokio::test]
async fn a_tier_takes_keys_in_and_lets_them_go() {
    let text = |keys: &str| {
        format!(
            "limits.per_key = {{ quota = '1/h', tiers.gold = {{ quota = '100/h', keys = [{keys}] }} }}\n"
        )
    };
    let gateway = Running::from(&text("'other'")).await;
    let refused = async || {
        let mut client = gateway.connect().await;
        client
            .send("GET / HTTP/1.1\nHost: a\nConnection: close\nAuthorization: Bearer me\n\n")
            .await;
        client.head().await.first_line() == "HTTP/1.1 429 Too Many Requests"
    };
    assert!(!refused().await && refused().await);
    gateway.reload(&text("'other', 'me'")).unwrap();
    // It had used all that it might for an hour, and has used all of the larger one.
    assert!(refused().await);
    gateway.reload(&text("'me', 'new'")).unwrap();
    assert!(refused().await);
    assert_eq!(gateway.state().await["reloads"]["done"], 2);
}

#[tokio::test]
async fn what_is_in_flight_finishes_and_what_comes_next_goes_elsewhere() {
    let (old, new) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let upstream = |upstream: &RawUpstream| format!("upstream = 'http://{}'\n", upstream.address());
    let gateway = Running::from(&upstream(&old)).await;
    let (mut first, mut server) = gateway.ask(&old, "GET / HTTP/1.1\nHost: a\n\n").await;
    server
        .send("HTTP/1.1 200 OK\nContent-Length: 4\n\nsl")
        .await;
    first.head().await;
    first.expect("sl").await;
    let (mut second, mut waiting) = gateway.ask(&old, GET).await;

    gateway.reload(&upstream(&new)).unwrap();
    server.send("ow").await;
    first.expect("ow").await;
    waiting.send(OK).await;
    assert_eq!(second.head().await.first_line(), "HTTP/1.1 200 OK");

    // The connection that was there before asks the new one, too.
    first.send(GET).await;
    let mut server = new.accept().await;
    server.head().await;
    server.send(OK).await;
    assert_eq!(first.head().await.first_line(), "HTTP/1.1 200 OK");
    assert!(old.is_left_alone().await);
}

#[tokio::test]
async fn a_circuit_stays_as_it_is() {
    let upstream = RawUpstream::bind().await;
    let text = format!(
        "[[upstreams]]\nname = 'main'\nurl = 'http://{}'\n",
        upstream.address()
    );
    let gateway = Running::from(&text).await;
    let (mut client, mut server) = gateway.ask(&upstream, GET).await;
    server
        .send("HTTP/1.1 429 Too Many Requests\nRetry-After: 60\nContent-Length: 0\nConnection: close\n\n")
        .await;
    client.head().await;
    gateway
        .reload(&format!("timeouts.response = '5s'\n{text}"))
        .unwrap();
    assert_eq!(status(&gateway).await, "HTTP/1.1 503 Service Unavailable");

    // Another rule is another circuit.
    gateway
        .reload(&format!("circuit_breaker.minimum_calls = 3\n{text}"))
        .unwrap();
    let (mut client, mut server) = gateway.ask(&upstream, GET).await;
    server.send(OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn connections_and_the_budget_for_retries_stay() {
    let upstream = RawUpstream::bind().await;
    let text = format!(
        "retry = {{ budget = 0.5, budget_per_second = 0, backoff = '1ms' }}\n\
         [[upstreams]]\nurl = 'http://{}'\n",
        upstream.address()
    );
    let broken = "HTTP/1.1 500 Internal Server Error\nContent-Length: 0\n\n";
    let gateway = Running::from(&text).await;
    let (mut client, mut server) = gateway.ask(&upstream, GET).await;
    server.send(broken).await;
    // One call earns half of a retry.
    assert_eq!(
        client.head().await.first_line(),
        "HTTP/1.1 500 Internal Server Error"
    );

    gateway
        .reload(&format!("timeouts.response = '5s'\n{text}"))
        .unwrap();
    let mut client = gateway.connect().await;
    client.send(GET).await;
    // Over the connection from before; and the second half makes it whole.
    server.head().await;
    server.send(broken).await;
    server.head().await;
    server.send(OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn what_cannot_change_is_refused() {
    let gateway = Running::from("").await;
    for (text, field) in [
        ("admin.listen = '127.0.0.1:1'\n", "admin: "),
        ("call_log.path = 'calls.ndjson'\n", "call_log: "),
    ] {
        let refused = gateway.reload(text).unwrap_err();
        assert!(refused.starts_with(field), "{refused}");
    }
    let state = gateway.state().await;
    assert_eq!(
        (&state["reloads"]["done"], &state["reloads"]["refused"]),
        (&0.into(), &2.into())
    );
    assert_eq!(status(&gateway).await, "HTTP/1.1 200 OK");
}

/// A park of an hour is not held against the host that the operator puts in the place of who asked for it.
#[tokio::test]
async fn a_circuit_goes_with_its_address() {
    let (old, new) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let text = |upstream: &RawUpstream| {
        let url = format!("http://{}", upstream.address());
        format!("retry.attempts = 1\n[[upstreams]]\nname = 'main'\nurl = '{url}'\n")
    };
    let gateway = Running::from(&text(&old)).await;
    let (mut client, mut server) = gateway.ask(&old, GET).await;
    server
        .send("HTTP/1.1 429 Too Many Requests\nRetry-After: 3600\nContent-Length: 0\nConnection: close\n\n")
        .await;
    client.head().await;
    assert_eq!(status(&gateway).await, "HTTP/1.1 503 Service Unavailable");

    gateway.reload(&text(&new)).unwrap();
    let (mut client, mut server) = gateway.ask(&new, GET).await;
    server.send(OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
}

/// The file may stand on a disk that hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_waits_for_a_file_to_be_read() {
    let gateway = Running::from("").await;
    let in_force = gateway.in_force();
    let (begins, begun) = tokio::sync::oneshot::channel();
    let (release, hangs) = std::sync::mpsc::channel::<()>();
    let reload = tokio::task::spawn_blocking(move || {
        let load = || {
            begins.send(()).unwrap();
            // Not for ever: who waits after all is to be seen, and holds a thread of the runtime.
            let _ = hangs.recv_timeout(Duration::from_secs(10));
            Err::<gateway::Config, _>("gone")
        };
        in_force.reload(load, ToString::to_string)
    });
    within(begun).await.unwrap();
    assert_eq!(gateway.state().await["reloads"]["refused"], 0);
    assert_eq!(status(&gateway).await, "HTTP/1.1 200 OK");
    drop(release);
    within(reload).await.unwrap().unwrap_err();
    assert_eq!(gateway.state().await["reloads"]["refused"], 1);
}

#[cfg(unix)]
mod by_signal {
    use serde_json::Value;

    use super::*;
    use crate::running::{Program, config_file, look};

    async fn status(program: &Program) -> String {
        let mut client = Raw::connect(program.address).await;
        client.send(GET).await;
        client.head().await.first_line().to_owned()
    }

    async fn reloads(program: &Program, which: &str) -> (u64, Value) {
        let state: Value = serde_json::from_str(&look(program.admin, "/-/state").await).unwrap();
        let reloads = &state["reloads"];
        (
            reloads[which].as_u64().unwrap(),
            reloads["last_error"].clone(),
        )
    }

    async fn hang_up(program: &Program, which: &str) -> Value {
        let (before, _) = reloads(program, which).await;
        program.signal("-HUP");
        within(async {
            loop {
                let (now, error) = reloads(program, which).await;
                if now > before {
                    return error;
                }
            }
        })
        .await
    }

    /// What is cut is cut when the file says so that was read last.
    #[tokio::test]
    async fn a_shutdown_is_as_long_as_was_said_last() {
        let upstream = RawUpstream::bind().await;
        let text = |bound: &str| {
            let url = format!("http://{}", upstream.address());
            format!("upstream = '{url}'\ntimeouts.shutdown = '{bound}'\n")
        };
        let name = "shutdown_reloaded.toml";
        let file = config_file(name, &text("1h"));
        let program = Program::start(&["--config", file.to_str().unwrap()]).await;
        let mut client = Raw::connect(program.address).await;
        client.send(GET).await;
        let mut server = upstream.accept().await;
        server.head().await;
        config_file(name, &text("10ms"));
        hang_up(&program, "done").await;
        program.signal("-TERM");
        client.expect_end().await;
        assert!(program.exit().await.success());
    }

    #[tokio::test]
    async fn a_good_file_comes_into_force_and_a_bad_one_does_not() {
        let name = "reloaded.toml";
        // Nobody listens there.
        let file = config_file(
            name,
            "upstream = 'http://127.0.0.1:9'\ncircuit_breaker = {}\n",
        );
        let program = Program::start(&["--config", file.to_str().unwrap()]).await;
        assert_eq!(status(&program).await, "HTTP/1.1 502 Bad Gateway");

        config_file(
            name,
            "upstream = 'http://127.0.0.1:10'\ncircuit_breaker = {}\n\
             limits = { per_ip = {}, deny = ['127.0.0.1'] }\n",
        );
        assert_eq!(hang_up(&program, "done").await, Value::Null);
        assert_eq!(status(&program).await, "HTTP/1.1 403 Forbidden");

        config_file(name, "\nlimits.deny = 'nobody'\n");
        let error = hang_up(&program, "refused").await;
        let expected = format!("{}:2: limits.deny: ", file.display());
        assert!(error.as_str().unwrap().starts_with(&expected), "{error}");
        assert_eq!(
            status(&program).await,
            "HTTP/1.1 403 Forbidden",
            "as before"
        );
        // A file that can be read, and cannot come into force.
        config_file(name, "\n\n[call_log]\npath = 'calls.ndjson'\n");
        let error = hang_up(&program, "refused").await;
        let expected = format!("{}:3: call_log: cannot change", file.display());
        assert!(error.as_str().unwrap().starts_with(&expected), "{error}");
        let metrics = look(program.admin, "/-/metrics").await;
        for line in [
            "circuitbreaker_state{name=\"127.0.0.1:9\",state=\"closed\"} 0",
            "circuitbreaker_state{name=\"127.0.0.1:10\",state=\"closed\"} 1",
            "gateway_reloads_total{result=\"done\"} 1",
            "gateway_reloads_total{result=\"refused\"} 2",
            "gateway_config_is_current 0",
        ] {
            assert!(metrics.lines().any(|it| it == line), "{metrics}");
        }
    }
}
