#![cfg(unix)]

use tokio::net::unix::pipe;

use crate::{
    raw::{Raw, RawUpstream, within},
    running::{Program, config_file, look},
};

const SHUTDOWN_AT_ONCE: &str = "timeouts.shutdown = '50ms'\nlimits.per_ip.quota = '1000/s'\n";

#[tokio::test]
async fn what_is_in_flight_finishes() {
    for signal in ["-TERM", "-INT"] {
        let upstream = RawUpstream::bind().await;
        let url = format!("http://{}", upstream.address());
        let program = Program::start(&["--upstream", &url]).await;

        let mut idle = Raw::connect(program.address).await;
        idle.send("GET / HTTP/1.1\nHost: a\n\n").await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send("HTTP/1.1 200 OK\nContent-Length: 0\n\n").await;
        idle.head().await;
        let mut silent = Raw::connect(program.address).await;

        let mut client = Raw::connect(program.address).await;
        client.send("GET / HTTP/1.1\nHost: a\n\n").await;
        server.head().await;
        program.signal(signal);
        program.refuses().await;
        idle.expect_end().await;
        silent.expect_end().await;

        server
            .send("HTTP/1.1 200 OK\nContent-Length: 4\n\nsl")
            .await;
        client.head().await;
        client.expect("sl").await;
        server.send("ow").await;
        client.expect("ow").await;
        client.expect_end().await;
        assert!(program.exit().await.success());
    }
}

#[tokio::test]
async fn what_outlives_the_bound_is_cut() {
    let upstream = RawUpstream::bind().await;
    let url = format!("http://{}", upstream.address());
    let file = config_file("shutdown_at_once.toml", SHUTDOWN_AT_ONCE);
    let program = Program::start(&["--upstream", &url, "--config", file.to_str().unwrap()]).await;

    let mut tunnel = Raw::connect(program.address).await;
    tunnel.send("CONNECT a:1 HTTP/1.1\nHost: a:1\n\n").await;
    let mut far_end = upstream.accept().await;
    far_end.head().await;
    far_end.send("HTTP/1.1 200 OK\n\n").await;
    tunnel.head().await;
    let mut waiting = Raw::connect(program.address).await;
    waiting.send("GET / HTTP/1.1\nHost: a\n\n").await;
    let mut server = upstream.accept().await;
    server.head().await;

    program.signal("-TERM");
    program.refuses().await;
    tunnel.expect_end().await;
    far_end.expect_end().await;
    waiting.expect_end().await;
    server.expect_end().await;
    assert!(program.exit().await.success());
}

#[tokio::test]
async fn whoever_asks_twice_is_in_a_hurry() {
    let upstream = RawUpstream::bind().await;
    let url = format!("http://{}", upstream.address());
    let program = Program::start(&["--upstream", &url]).await;
    let mut client = Raw::connect(program.address).await;
    client.send("GET / HTTP/1.1\nHost: a\n\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    program.signal("-INT");
    program.refuses().await;
    program.signal("-INT");
    assert!(program.exit().await.success());
}

/// The file that it is told to read again may stand on a disk that hangs: here it is a pipe into which nobody writes.
#[tokio::test]
async fn what_is_still_read_is_not_waited_for() {
    // Of a process of its own: to write into a pipe that an earlier run has left would wait for ever.
    let name = format!("pipe-{}.toml", std::process::id());
    let file = config_file(&name, SHUTDOWN_AT_ONCE);
    let program = Program::start(&["--config", file.to_str().unwrap()]).await;
    std::fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    program.signal("-HUP");
    // Nobody can write before somebody reads.
    let writer = within(async {
        loop {
            match pipe::OpenOptions::new().open_sender(&file) {
                Ok(writer) => return writer,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    look(program.admin, "/-/state").await;
    program.signal("-TERM");
    assert!(program.exit().await.success());
    drop(writer);
    std::fs::remove_file(&file).unwrap();
}
