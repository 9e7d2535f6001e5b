use std::{fs, path::PathBuf, time::Duration};

use gateway::config::parse;
use serde_json::Value;

use crate::{
    raw::{Raw, RawUpstream, within},
    running::Running,
};

pub(super) const GET: &str = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n";

/// A gateway before `upstream` that writes down its calls.
pub(crate) struct Logged {
    pub(crate) gateway: Running,
    pub(super) file: PathBuf,
}

impl Logged {
    pub(crate) async fn before(test: &str, upstream: &RawUpstream, more: &str) -> Self {
        let (file, text) = configured(test, upstream, more);
        Self {
            gateway: Running::from(&text).await,
            file,
        }
    }

    /// With none of the layers that a gateway without a file has, but retries.
    pub(super) async fn bare(test: &str, upstream: &RawUpstream, more: &str) -> Self {
        let (file, text) = configured(test, upstream, more);
        let text = format!("listen = '127.0.0.1:0'\n{text}");
        Self {
            gateway: Running::of(&parse(&text, "test".as_ref()).unwrap()).await,
            file,
        }
    }

    pub(crate) async fn connect(&self) -> Raw {
        self.gateway.connect().await
    }

    /// Both ends of a call that has come to the upstream.
    pub(super) async fn ask(&self, upstream: &RawUpstream, request: &str) -> (Raw, Raw) {
        self.gateway.ask(upstream, request).await
    }

    /// Waits until there are so many lines, and sees that there are no more.
    pub(crate) async fn records(&self, count: usize) -> Vec<Value> {
        let all_there = async {
            loop {
                let text = fs::read_to_string(&self.file).unwrap();
                if text.lines().count() >= count && text.ends_with('\n') {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let text = within(all_there).await;
        let records: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(records.len(), count, "{text}");
        records
    }
}

fn configured(test: &str, upstream: &RawUpstream, more: &str) -> (PathBuf, String) {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.ndjson"));
    let _ = fs::remove_file(&file);
    let once = if more.contains("retry.attempts") {
        ""
    } else {
        "retry.attempts = 1\n"
    };
    let text = format!(
        "{once}{more}\n[[upstreams]]\nname = 'main'\nurl = 'http://{}'\n[call_log]\npath = '{}'\n",
        upstream.address(),
        file.display()
    );
    (file, text)
}

/// The layers and their verdicts.
pub(crate) fn decisions(record: &Value) -> Vec<String> {
    let decisions = record["decisions"].as_array().unwrap().iter();
    decisions
        .map(|decision| {
            let text = |name: &str| decision[name].as_str().unwrap();
            format!("{} {}", text("layer"), text("verdict"))
        })
        .collect()
}
