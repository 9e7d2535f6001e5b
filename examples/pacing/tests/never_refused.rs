//! The program, as its users run it.

use std::process::Command;

#[test]
fn with_pacing_nobody_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_pacing")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let refused = |line: &str| -> usize {
        let rest = text
            .lines()
            .find_map(|text| text.strip_prefix(line))
            .unwrap();
        rest.trim().split(' ').next().unwrap().parse().unwrap()
    };
    assert!(refused("without pacing:") > 0, "{text}");
    assert_eq!(refused("with pacing:"), 0, "{text}");
}
