//! The file.

use std::{fs, time::Duration};

use serde_json::Value;

use super::logged::Logged;
use crate::{
    raw::{RawUpstream, within},
    running::Running,
};

#[tokio::test]
async fn nothing_is_lost_where_files_are_set_aside() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before("rotated", &upstream, "limits.per_ip.quota = '1/h'").await;
    let file = logged.file.clone();
    drop(logged);
    for number in 1..4 {
        let _ = fs::remove_file(format!("{}.{number}", file.display()));
    }
    let _ = fs::remove_file(&file);
    let gateway = Running::from(&format!(
        "limits = {{ per_ip = {{}}, deny = ['127.0.0.1'] }}\n\
         call_log = {{ path = '{}', max_bytes = 10_000, files = 4 }}",
        file.display()
    ))
    .await;
    let calls = 100;
    let mut client = gateway.connect().await;
    for number in 0..calls {
        client
            .send(&format!("HEAD /{number} HTTP/1.1\nHost: a\n\n"))
            .await;
        client.head().await;
    }
    let read = || -> Vec<String> {
        let aside = (1..4)
            .rev()
            .map(|number| format!("{}.{number}", file.display()));
        aside
            .chain([file.display().to_string()])
            .filter_map(|name| fs::read_to_string(name).ok())
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    within(async {
        while read().len() < calls {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(fs::exists(format!("{}.1", file.display())).unwrap());
    for (number, line) in read().iter().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["path"], format!("/{number}"));
    }
    let state = gateway.state().await;
    assert_eq!(state["call_log"]["written"], calls);
    assert_eq!(state["call_log"]["dropped"], 0);
}
