//! How far the walk goes.

use super::*;

/// The walk sees neither the 65th entry nor the byte 16 Ki from the right.
#[test]
fn the_walk_is_bounded() {
    let xff = ClientIp::x_forwarded_for(networks());
    let forwarded = ClientIp::forwarded(networks());
    let after = |trusted: usize| "1.2.3.4".to_owned() + &", 10.0.0.2".repeat(trusted);
    let resolved_xff =
        |line: String| resolved(&xff, "10.0.0.1", &headers("x-forwarded-for", [line]));
    let resolved_forwarded =
        |line: String| resolved(&forwarded, "10.0.0.1", &headers("forwarded", [line]));

    assert_eq!(resolved_xff(after(63)), ip("1.2.3.4"));
    assert_eq!(resolved_xff(after(64)), ip("10.0.0.2"));
    let lines = std::iter::once("1.2.3.4").chain(std::iter::repeat_n("10.0.0.2", 64));
    let many_lines = headers("x-forwarded-for", lines);
    assert_eq!(resolved(&xff, "10.0.0.1", &many_lines), ip("10.0.0.2"));

    let padded = |spaces: usize| format!("1.2.3.4,{}10.0.0.2", " ".repeat(spaces));
    assert_eq!(resolved_xff(padded(16_000)), ip("1.2.3.4"));
    assert_eq!(resolved_xff(padded(17_000)), ip("10.0.0.1"));
    let quoted = |length: usize| {
        format!(
            "for=1.2.3.4, for=10.0.0.2;host=\"{}\"",
            "\\\"".repeat(length)
        )
    };
    assert_eq!(resolved_forwarded(quoted(8_000)), ip("1.2.3.4"));
    assert_eq!(resolved_forwarded(quoted(9_000)), ip("10.0.0.1"));

    // Megabytes of anything: at once, and the last trusted hop.
    for filler in [
        ",",
        "10.0.0.2,",
        " ",
        "x",
        "1.1.1.1, ",
        "\"",
        "\\",
        "\\\"",
        "for=\"",
    ] {
        let long = filler.repeat((4 << 20) / filler.len());
        for tail in ["", ", 10.0.0.3"] {
            let started_at = resolved_xff(format!("{long}{tail}"));
            assert!(
                [
                    ip("10.0.0.1"),
                    ip("10.0.0.2"),
                    ip("10.0.0.3"),
                    ip("1.1.1.1")
                ]
                .contains(&started_at),
                "{filler}: {started_at}"
            );
        }
        assert_eq!(
            resolved_forwarded(format!("{long}, for=203.0.113.7")),
            ip("203.0.113.7")
        );
        let _ = resolved_forwarded(long);
    }
}
