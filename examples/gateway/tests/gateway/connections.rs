//! How many connections there may be.

use serde_json::json;

use crate::{
    raw::{Raw, RawUpstream, within},
    running::{Program, Running, config_file, look},
};

const GET: &str = "GET / HTTP/1.1\nHost: a\n\n";

async fn is_answered(client: &mut Raw) {
    client.send(GET).await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
    let length = head.one("content-length").parse().unwrap();
    client.read(length).await;
}

/// Until so many are open.
async fn open(gateway: &Running, count: u64) {
    within(async { while gateway.state().await["connections"]["open"] != count {} }).await;
}

#[tokio::test]
async fn one_client_has_so_many() {
    let gateway = Running::from("connections_per_client = 2\n").await;
    let (mut one, mut two) = (gateway.connect().await, gateway.connect().await);
    is_answered(&mut one).await;
    is_answered(&mut two).await;
    let mut three = gateway.connect().await;
    three.expect_end().await;
    is_answered(&mut one).await;
    drop(one);
    open(&gateway, 1).await;
    is_answered(&mut gateway.connect().await).await;
    let state = gateway.state().await;
    assert_eq!(state["connections"]["refused"], 1);
    assert_eq!(state["connections"]["most_per_client"], 2);
}

/// All clients come through it.
#[tokio::test]
async fn a_proxy_that_is_believed_has_any_number() {
    for exempt in [
        "client_ip = { source = 'x-forwarded-for', trusted = ['127.0.0.0/8'] }",
        "limits.allow = ['127.0.0.1']",
    ] {
        let gateway = Running::from(&format!("connections_per_client = 1\n{exempt}\n")).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut client = gateway.connect().await;
            is_answered(&mut client).await;
            held.push(client);
        }
        assert_eq!(gateway.state().await["connections"]["open"], 3);
    }
}

/// One who asks, and waits for room, as so many have by now.
async fn comes_when_full(gateway: &Running, waited: u64) -> Raw {
    let mut client = gateway.connect().await;
    client.send(GET).await;
    within(async { while gateway.state().await["connections"]["full"] != waited {} }).await;
    client
}

#[tokio::test]
async fn beyond_all_that_there_may_be_one_waits() {
    let gateway = Running::from("connections = 1\n").await;
    let mut one = gateway.connect().await;
    is_answered(&mut one).await;
    let mut two = comes_when_full(&gateway, 1).await;
    // Asked after it, and answered before.
    is_answered(&mut one).await;
    let state = gateway.state().await;
    assert_eq!(
        state["connections"],
        json!({ "open": 1, "most": 1, "most_per_client": 1_000, "full": 1, "refused": 0 })
    );
    drop(one);
    assert_eq!(two.head().await.first_line(), "HTTP/1.1 200 OK");

    // And where there may be more of them.
    let mut three = comes_when_full(&gateway, 2).await;
    gateway.reload("connections = 2\n").unwrap();
    assert_eq!(three.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn the_metrics_count_them() {
    for (name, text, refused, full) in [
        ("one-of-a-client.toml", "connections_per_client = 1\n", 1, 0),
        ("one-in-all.toml", "connections = 1\n", 0, 1),
    ] {
        let file = config_file(name, text);
        let program = Program::start(&["--config", file.to_str().unwrap()]).await;
        let mut client = Raw::connect(program.address).await;
        is_answered(&mut client).await;
        let mut other = Raw::connect(program.address).await;
        if refused > 0 {
            other.expect_end().await;
        }
        drop(other);
        let tells = async |open: u64| {
            let lines = [
                format!("gateway_connections {open}"),
                format!("gateway_connections_refused_total {refused}"),
                format!("gateway_connections_full_total {full}"),
            ];
            let all = async || {
                let metrics = look(program.admin, "/-/metrics").await;
                lines
                    .iter()
                    .all(|it| metrics.lines().any(|line| line == it))
            };
            within(async { while !all().await {} }).await;
        };
        tells(1).await;
        if refused > 0 {
            drop(client);
            tells(0).await;
        }
    }
}

#[tokio::test]
async fn a_tunnel_keeps_its_place() {
    let upstream = RawUpstream::bind().await;
    let url = format!("upstream = 'http://{}'\n", upstream.address());
    let gateway = Running::from(&format!("connections_per_client = 1\n{url}")).await;
    let (mut client, mut server) = gateway
        .ask(&upstream, "CONNECT a:1 HTTP/1.1\nHost: a:1\n\n")
        .await;
    server.send("HTTP/1.1 200 OK\n\nhi").await;
    client.head().await;
    client.expect("hi").await;
    gateway.connect().await.expect_end().await;
    drop(client);
    server.expect_end().await;
    drop(server);
    open(&gateway, 0).await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_who_waits() {
    let gateway = Running::from("connections = 1\n").await;
    let mut one = gateway.connect().await;
    is_answered(&mut one).await;
    let mut two = comes_when_full(&gateway, 1).await;
    drop(gateway);
    one.expect_end().await;
    two.expect_end().await;
}

#[cfg(unix)]
mod descriptors {
    use std::{
        path::{Path, PathBuf},
        process::Stdio,
    };

    use tokio::{
        io::{AsyncBufReadExt, BufReader},
        process::{Child, Command},
    };

    use crate::{raw::within, running::config_file};

    fn configured(name: &str, connections: u32) -> PathBuf {
        let text = format!("listen = '127.0.0.1:0'\nconnections = {connections}\n");
        config_file(name, &text)
    }

    /// The program, listening, with 300 descriptors at most.
    async fn started(file: &Path) -> Child {
        let mut child = Command::new("sh")
            .args([
                "-c",
                "ulimit -Sn 100 && ulimit -Hn 300 && exec \"$0\" --config \"$1\"",
            ])
            .args([env!("CARGO_BIN_EXE_gateway").as_ref(), file.as_os_str()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within(said.next_line()).await.unwrap().unwrap();
        assert!(line.starts_with("listening on "), "{line}");
        child
    }

    const TOO_FEW: &str = "may have 300 files open, and 200 connections take up to 400";

    /// Those that a shell grants are raised as far as they may be; where that is too few, the operator hears of it.
    #[tokio::test]
    async fn are_for_as_many_connections() {
        for (connections, is_told) in [(200, true), (150, false)] {
            let file = configured(&format!("descriptors-{connections}.toml"), connections);
            let mut child = started(&file).await;
            within(child.kill()).await.unwrap();
            let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
            let line = within(log.next_line()).await.unwrap().unwrap_or_default();
            assert_eq!(line.contains(TOO_FEW), is_told, "{line}");
        }
    }

    #[tokio::test]
    async fn that_are_too_few_are_told_at_a_reload_too() {
        let name = "descriptors-reloaded.toml";
        let mut child = started(&configured(name, 150)).await;
        configured(name, 200);
        let process = child.id().unwrap().to_string();
        let hung_up = Command::new("kill").args(["-HUP", &process]).status().await;
        assert!(hung_up.unwrap().success());
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut so_far = Vec::new();
        while !so_far.iter().any(|line: &String| line.contains("reloaded")) {
            so_far.push(within(log.next_line()).await.unwrap().unwrap());
        }
        assert!(
            so_far.iter().any(|line| line.contains(TOO_FEW)),
            "{so_far:?}"
        );
    }
}
