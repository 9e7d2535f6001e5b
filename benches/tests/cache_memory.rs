//! The measurement of the cache's memory, with less to pass through it, holds the target.

use std::process::Command;

#[test]
fn what_passes_through_a_cache_takes_no_more_than_its_capacity() {
    let output = Command::new(env!("CARGO_BIN_EXE_cache_memory"))
        .args(["--capacity", "32", "--volume", "512"])
        .output()
        .unwrap();
    let row = String::from_utf8(output.stdout).unwrap();
    assert!(row.contains("| met |"), "{row}");
}
