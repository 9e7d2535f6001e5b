//! What operators see.

use serde_json::json;

use crate::{
    raw::{Raw, RawUpstream, within},
    running::{Program, Running, config_file, look},
};

const GET: &str = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n";
const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close\n\n";

#[tokio::test]
async fn the_metrics_count_calls_limits_and_circuits() {
    let upstream = RawUpstream::bind().await;
    let file = config_file(
        "metrics.toml",
        &format!(
            "limits.per_ip.quota = '2/h'\n[circuit_breaker]\n\
             [[upstreams]]\nname = 'main'\nurl = 'http://{}'\n[call_log]\npath = '{}'\n",
            upstream.address(),
            config_file("metrics.ndjson", "").display(),
        ),
    );
    let program = Program::start(&["--config", file.to_str().unwrap()]).await;
    for _ in 0..2 {
        let mut client = Raw::connect(program.address).await;
        client.send(GET).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(OK).await;
        client.head().await;
        client.expect_end().await;
    }
    let mut client = Raw::connect(program.address).await;
    client.send(GET).await;
    assert_eq!(
        client.head().await.first_line(),
        "HTTP/1.1 429 Too Many Requests"
    );
    client.rest().await;

    let metrics = look(program.admin, "/-/metrics").await;
    for line in [
        "http_server_requests_total{method=\"GET\",status=\"200\"} 2",
        "http_server_requests_total{method=\"GET\",status=\"429\"} 1",
        "http_server_active_requests 0",
        "http_server_request_duration_seconds_count{method=\"GET\"} 3",
        "rate_limiting_requests{rate_limiting_policy=\"per-ip\",rate_limiting_result=\"acquired\"} 2",
        "rate_limiting_requests{rate_limiting_policy=\"per-ip\",rate_limiting_result=\"refused\"} 1",
        "circuitbreaker_calls{name=\"main\",kind=\"successful\"} 2",
        "circuitbreaker_state{name=\"main\",state=\"closed\"} 1",
        "circuitbreaker_state{name=\"main\",state=\"open\"} 0",
        "circuitbreaker_failure_rate{name=\"main\"} 0",
        "# TYPE gateway_connections gauge",
        // What an alarm waits for is there before it happens.
        "gateway_connections_refused_total 0",
        "gateway_connections_full_total 0",
        "gateway_call_log_dropped_total 0",
        "gateway_reloads_total{result=\"done\"} 0",
        "gateway_reloads_total{result=\"refused\"} 0",
        "gateway_config_is_current 1",
    ] {
        assert!(
            metrics.lines().any(|it| it == line),
            "{line} is not in {metrics}"
        );
    }
}

#[tokio::test]
async fn the_state_tells_of_limits_upstreams_and_reloads() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::from(&format!(
        "limits.per_ip.quota = '7/min burst 9'\nlimits.global.quota = '5/s'\nupstream = 'http://{}/base'\n",
        upstream.address()
    ))
    .await;
    let (mut client, mut server) = gateway.ask(&upstream, GET).await;

    let state = gateway.state().await;
    assert_eq!(state["in_flight"], 1);
    let limits = state["limits"].as_array().unwrap();
    let limits: Vec<_> = limits
        .iter()
        .map(|limit| {
            (
                limit["name"].as_str().unwrap(),
                limit["quota"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(limits, [("per-ip", "7/min burst 9"), ("global", "5/s")]);
    let upstreams = state["upstreams"].as_array().unwrap();
    assert_eq!(upstreams.len(), 1);
    let address = upstream.address().to_string();
    assert_eq!(upstreams[0]["name"], *address);
    assert_eq!(upstreams[0]["url"], format!("http://{address}/base"));
    assert_eq!(upstreams[0]["breaker"]["state"], "closed");
    assert!(upstreams[0]["parked_ms"].is_null());
    assert!(state["call_log"].is_null());
    assert_eq!(state["reloads"]["done"], 0);

    let parked =
        "HTTP/1.1 429 Too Many Requests\nRetry-After: 60\nContent-Length: 0\nConnection: close\n\n";
    server.send(parked).await;
    client.head().await;
    client.expect_end().await;
    let state = gateway.state().await;
    assert_eq!(state["in_flight"], 0);
    let parked = state["upstreams"][0]["parked_ms"].as_u64().unwrap();
    assert!((40_000..=60_000).contains(&parked), "{parked}");
}

#[tokio::test]
async fn limits_in_shadow_stand_in_the_state_with_what_they_would_have_done() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::from(&format!(
        "limits.per_ip = {{ quota = '2/h', shadow = true }}\n\
         limits.global.quota = '9/s'\n\
         limits.routes = [{{ path = '/a', quota = '1/h', shadow = true }}, \
                          {{ path = '/b', quota = '5/s' }}, {{ path = '/c', quota = '6/s' }}]\n\
         upstream = 'http://{}'\n",
        upstream.address()
    ))
    .await;
    for _ in 0..3 {
        let (mut client, mut server) = gateway
            .ask(&upstream, "GET /a HTTP/1.1\nHost: a\nConnection: close\n\n")
            .await;
        server.send(OK).await;
        client.head().await;
    }
    let state = gateway.state().await;
    let told = json!([
        { "name": "per-ip", "quota": "2/h", "would_refuse": 1 },
        { "name": "per-route-shadow", "routes": [{ "path": "/a", "quota": "1/h" }], "would_refuse": 2 },
    ]);
    assert_eq!(state["shadow_limits"], told);
    let enforced = state["limits"].as_array().unwrap();
    let [routes, global] = &enforced[..] else {
        panic!("two that are enforced: {state}");
    };
    assert_eq!(routes["name"], "per-route");
    let told = json!([{ "path": "/b", "quota": "5/s" }, { "path": "/c", "quota": "6/s" }]);
    assert_eq!(routes["routes"], told);
    assert_eq!(
        (&global["name"], &global["quota"]),
        (&json!("global"), &json!("9/s"))
    );
}

#[tokio::test]
async fn clients_do_not_see_it() {
    let gateway = Running::from("").await;
    for path in ["/-/state", "/-/metrics"] {
        let mut client = gateway.connect().await;
        client
            .send(&format!(
                "GET {path} HTTP/1.1\nHost: a\nConnection: close\n\n"
            ))
            .await;
        assert_eq!(client.head().await.first_line(), "HTTP/1.1 404 Not Found");
        assert_eq!(client.rest().await, "", "the upstream's own");
    }
}

#[tokio::test]
async fn it_can_be_left_out() {
    let file = config_file("no_admin.toml", "admin.enabled = false\n");
    let lines = crate::greeting::greeting(&[
        "--listen",
        "127.0.0.1:0",
        "--config",
        file.to_str().unwrap(),
    ])
    .await;
    assert!(
        !lines.iter().any(|line| line.contains("operators")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn who_leaves_before_there_is_an_answer_is_counted_as_499() {
    let upstream = RawUpstream::bind().await;
    let url = format!("http://{}", upstream.address());
    let program = Program::start(&["--upstream", &url]).await;
    let mut client = Raw::connect(program.address).await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    server.head().await;
    drop(client);
    let counted = "http_server_requests_total{method=\"GET\",status=\"499\"} 1";
    within(async {
        while !look(program.admin, "/-/metrics")
            .await
            .lines()
            .any(|line| line == counted)
        {}
    })
    .await;
}
