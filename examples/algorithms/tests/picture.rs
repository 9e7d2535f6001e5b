//! The program, as its users run it, and the picture that the README shows.

use std::process::Command;

fn drawn() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_algorithms"))
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_picture_in_the_readme_is_what_the_algorithms_do() {
    let shown = include_str!("../../../docs/algorithms.svg");
    assert!(
        drawn() == shown,
        "draw it again: cargo run -p algorithms > docs/algorithms.svg"
    );
}

/// What the documentation of the algorithms says, seen in the picture.
#[test]
fn each_algorithm_keeps_to_its_worst_case() {
    let svg = drawn();
    let description = svg
        .split_once("<desc>")
        .and_then(|(_, rest)| rest.split_once("</desc>"))
        .unwrap()
        .0;
    let most = |name: &str| -> u32 {
        let lane = description
            .split("; ")
            .find_map(|lane| lane.strip_prefix(name)?.strip_prefix(": "))
            .unwrap();
        let words: Vec<_> = lane.split(' ').collect();
        let position = words.iter().position(|word| *word == "most").unwrap();
        words[position + 1].parse().unwrap()
    };
    let quota = 6;
    assert!(most("GCRA, token bucket") > quota, "a burst, and the rate");
    assert_eq!(
        most("fixed window"),
        2 * quota,
        "two windows' worth at once"
    );
    assert_eq!(most("sliding window of 10"), quota);
    assert_eq!(most("sliding log"), quota);
    assert!(most("leaky bucket as queue") <= 1 + quota);
}
