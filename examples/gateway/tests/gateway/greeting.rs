use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    raw::within,
    running::{Program, config_file},
};

/// The lines that the program prints, up to the last of its three commands.
pub(crate) async fn greeting(arguments: &[&str]) -> Vec<String> {
    let mut child = Program::command()
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut read = Vec::new();
    while read.iter().filter(is_command).count() < 3 {
        read.push(within(lines.next_line()).await.unwrap().unwrap());
    }
    read
}

fn is_command(line: &&String) -> bool {
    line.starts_with("  curl ")
}

#[tokio::test]
async fn says_where_it_listens_and_what_to_try() {
    let lines = greeting(&["--listen", "127.0.0.1:0"]).await;
    let url = lines[0].strip_prefix("listening on ").unwrap();
    assert!(!url.ends_with(":0"), "the real port");
    for command in lines.iter().filter(is_command) {
        assert!(command.contains(&format!("{url}/")), "{command}");
    }
    assert!(
        lines.iter().any(|line| line.ends_with(" (built in)")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn flags_override_the_file() {
    let file = config_file(
        "overridden.toml",
        "listen = '192.0.2.1:1'\nupstream = 'http://192.0.2.1:1'\nlimits.per_ip.quota = '7/min'\n",
    );
    let file = file.to_str().unwrap();
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "http://127.0.0.1:9",
        "--config",
        file,
    ];
    let lines = greeting(&flags).await;
    assert!(
        lines[0].starts_with("listening on http://127.0.0.1:"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "upstream: http://127.0.0.1:9");
    assert_eq!(lines[2], "limit per client: 7/min");
}

#[tokio::test]
async fn says_every_limit_and_no_key() {
    let file = config_file(
        "greeting.toml",
        "[limits.per_ip]\n[limits.per_key]\nquota = '60/min'\n\
         tiers.gold = { quota = '600/min', keys = ['s3cret'] }\n\
         [[limits.routes]]\npath = '/v1'\nquota = '10/min'\nshadow = true\n\
         [limits.global]\nquota = '1000/s'\n",
    );
    let lines = greeting(&[
        "--listen",
        "127.0.0.1:0",
        "--config",
        file.to_str().unwrap(),
    ])
    .await;
    let limits: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("limit "))
        .collect();
    assert_eq!(
        limits,
        [
            "limit per client: 5/s burst 10",
            "limit per key: 60/min",
            "limit per key of gold: 600/min",
            "limit of /v1: 10/min (shadow)",
            "limit of all: 1000/s",
        ]
    );
}
