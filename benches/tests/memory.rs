//! The measurement of memory, with fewer keys, holds the targets.

use std::process::Command;

#[test]
fn keys_take_what_they_may() {
    let output = Command::new(env!("CARGO_BIN_EXE_memory"))
        .args(["--keys", "100000", "--flood", "300000"])
        .output()
        .unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.matches("| met |").count(), 3, "{table}");
}
