use std::time::Duration;

use http::HeaderMap;
use proptest::prelude::*;
use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parser};

use super::*;

const TWO: [QuotaItem<'static>; 2] = [
    QuotaItem::new("burst", 100, 60),
    QuotaItem::new("daily", 1_000, 86_400),
];

fn item(remaining: u64, retry_after_ms: u64, reset_after_ms: u64) -> LimitItem {
    LimitItem {
        remaining,
        retry_after: Duration::from_millis(retry_after_ms),
        reset_after: Duration::from_millis(reset_after_ms),
    }
}

fn written(style: FieldStyle, policies: &[QuotaItem<'_>], items: &[LimitItem]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    RateLimitFields::build(style, policies)
        .unwrap()
        .write(&mut headers, items);
    headers
}

fn shown(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect()
}

#[test]
fn each_dialect_in_its_own_words() {
    let policy = r#""burst";q=100;w=60, "daily";q=1000;w=86400"#;
    let items = [item(9, 0, 54_600), item(500, 0, 43_200_000)];
    let cases: [(FieldStyle, &[(&str, &str)]); 6] = [
        (
            FieldStyle::Draft11,
            &[
                ("ratelimit-policy", policy),
                ("ratelimit", r#""burst";r=9;t=55, "daily";r=500;t=43200"#),
            ],
        ),
        (
            FieldStyle::EditorsCopy,
            &[
                ("ratelimit-policy", policy),
                ("ratelimit", r#""burst";a=9;w=55, "daily";a=500;w=43200"#),
            ],
        ),
        (
            FieldStyle::Draft07,
            &[
                ("ratelimit-policy", "100;w=60, 1000;w=86400"),
                ("ratelimit", "limit=100, remaining=9, reset=55"),
            ],
        ),
        (
            FieldStyle::Draft03,
            &[
                ("ratelimit-limit", "100"),
                ("ratelimit-remaining", "9"),
                ("ratelimit-reset", "55"),
            ],
        ),
        (
            FieldStyle::XRateLimit,
            &[
                ("x-ratelimit-limit", "100"),
                ("x-ratelimit-remaining", "9"),
                ("x-ratelimit-reset", "55"),
            ],
        ),
        (FieldStyle::None, &[]),
    ];
    for (style, expected) in cases {
        assert_eq!(shown(&written(style, &TWO, &items)), expected, "{style:?}");
    }
    assert_eq!(FieldStyle::default(), FieldStyle::Draft11);
}

/// With nothing remaining `t` is the wait, as in `Retry-After`; else the time until the quota is whole.
/// Truncated, it would invite the caller too early.
#[test]
fn the_reset_is_rounded_up() {
    let cases = [
        (item(0, 0, 60_000), "r=0;t=1"),
        (item(0, 1, 60_000), "r=0;t=1"),
        (item(0, 1_001, 60_000), "r=0;t=2"),
        (item(1, 1_001, 59_001), "r=1;t=60"),
        (item(100, 0, 0), "r=100;t=0"),
    ];
    for (item, expected) in cases {
        let headers = written(FieldStyle::Draft11, &TWO[..1], &[item]);
        assert_eq!(headers["ratelimit"], format!(r#""burst";{expected}"#));
    }
}

#[test]
fn one_policy_is_told_of_where_there_is_room_for_one() {
    let cases = [
        (
            [item(9, 0, 0), item(8, 0, 0)],
            "limit=1000, remaining=8, reset=0",
        ),
        (
            [item(8, 0, 0), item(9, 0, 0)],
            "limit=100, remaining=8, reset=0",
        ),
        // Both are used up: the longer wait counts, as it does in Retry-After.
        (
            [item(0, 1_000, 0), item(0, 9_000, 0)],
            "limit=1000, remaining=0, reset=9",
        ),
        (
            [item(0, 9_000, 0), item(0, 1_000, 0)],
            "limit=100, remaining=0, reset=9",
        ),
        // Wholly alike: the first.
        (
            [item(5, 0, 0), item(5, 0, 0)],
            "limit=100, remaining=5, reset=0",
        ),
    ];
    for (items, expected) in cases {
        let headers = written(FieldStyle::Draft07, &TWO, &items);
        assert_eq!(headers["ratelimit"], expected, "{items:?}");
    }
}

#[test]
fn what_is_there_is_replaced() {
    for style in [
        FieldStyle::Draft11,
        FieldStyle::EditorsCopy,
        FieldStyle::Draft07,
        FieldStyle::Draft03,
        FieldStyle::XRateLimit,
    ] {
        let fields = RateLimitFields::build(style, &TWO).unwrap();
        let mut headers = HeaderMap::new();
        fields.write(&mut headers, &[item(1, 0, 0), item(2, 0, 0)]);
        let names: Vec<_> = headers.keys().cloned().collect();
        for name in &names {
            headers.append(name, "another limiter's".parse().unwrap());
        }
        fields.write(&mut headers, &[item(1, 0, 0), item(2, 0, 0)]);
        for name in &names {
            assert_eq!(headers.get_all(name).iter().count(), 1, "{style:?} {name}");
        }
    }
}

#[test]
fn what_is_there_goes_on_behind() {
    let one = [QuotaItem::new("door", 9, 60)];
    let write = |style, there: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for &(name, value) in there {
            headers.append(name, value.parse().unwrap());
        }
        let fields = RateLimitFields::build(style, &one).unwrap();
        fields.write_before(&mut headers, &[]);
        assert_eq!(headers.len(), there.len());
        fields.write_before(&mut headers, &[item(1, 0, 0)]);
        let lines = headers.iter();
        let mut lines: Vec<_> = lines
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.join("\n")
    };
    let alone = "ratelimit-policy: \"door\";q=9;w=60\nratelimit: \"door\";r=1;t=0";
    assert_eq!(write(FieldStyle::Draft11, &[]), alone);
    assert_eq!(
        write(
            FieldStyle::Draft11,
            &[
                ("ratelimit", r#""b";r=1"#),
                ("ratelimit", r#""c";r=0"#),
                ("ratelimit-policy", r#""b";q=2;w=1"#),
            ]
        ),
        "ratelimit-policy: \"door\";q=9;w=60, \"b\";q=2;w=1\n\
         ratelimit: \"door\";r=1;t=0, \"b\";r=1, \"c\";r=0"
    );
    // Another style's.
    let old = [
        ("ratelimit", "limit=2, remaining=1"),
        ("ratelimit-policy", "2;w=1"),
    ];
    assert_eq!(write(FieldStyle::Draft11, &old), alone);
    assert_eq!(
        write(FieldStyle::Draft07, &old),
        "ratelimit-policy: 9;w=60, 2;w=1\nratelimit: limit=2, remaining=1"
    );
    let new = [
        ("ratelimit", r#""b";r=1"#),
        ("ratelimit-policy", r#""b";q=2;w=1"#),
    ];
    assert_eq!(
        write(FieldStyle::Draft07, &new),
        "ratelimit-policy: 9;w=60\nratelimit: limit=9, remaining=1, reset=0"
    );
    let three = [
        ("x-ratelimit-limit", "2"),
        ("x-ratelimit-remaining", "1"),
        ("x-ratelimit-reset", "0"),
    ];
    assert_eq!(
        write(FieldStyle::XRateLimit, &three),
        "x-ratelimit-limit: 2\nx-ratelimit-remaining: 1\nx-ratelimit-reset: 0"
    );
    assert_eq!(
        write(FieldStyle::XRateLimit, &[]),
        "x-ratelimit-limit: 9\nx-ratelimit-remaining: 1\nx-ratelimit-reset: 0"
    );
}

#[test]
fn what_has_no_counterpart_is_left_out() {
    let more = [item(1, 0, 0), item(2, 0, 0), item(0, 0, 0)];
    let headers = written(FieldStyle::Draft11, &TWO, &more);
    assert_eq!(headers["ratelimit"], r#""burst";r=1;t=0, "daily";r=2;t=0"#);
    let headers = written(FieldStyle::Draft07, &TWO, &more);
    assert_eq!(headers["ratelimit"], "limit=100, remaining=1, reset=0");
    let headers = written(FieldStyle::Draft11, &TWO, &more[..1]);
    assert_eq!(headers["ratelimit"], r#""burst";r=1;t=0"#);
    for style in [
        FieldStyle::Draft11,
        FieldStyle::Draft07,
        FieldStyle::Draft03,
    ] {
        assert!(written(style, &TWO, &[]).is_empty());
        assert!(written(style, &[], &more).is_empty());
    }
}

#[test]
fn what_cannot_be_written_is_said_at_build_time() {
    let unnamable = "printable ASCII, at least one character";
    let cases = [
        (vec![QuotaItem::new("", 1, 1)], "name", "", unnamable),
        (
            vec![QuotaItem::new("höchst", 1, 1)],
            "name",
            "höchst",
            unnamable,
        ),
        (
            vec![QuotaItem::new("a\r\nb", 1, 1)],
            "name",
            r"a\r\nb",
            unnamable,
        ),
        (
            vec![QuotaItem::new("a\x7f", 1, 1)],
            "name",
            r"a\u{7f}",
            unnamable,
        ),
        (
            vec![TWO[0], TWO[1], TWO[0]],
            "name",
            "burst",
            "a name of its own per policy",
        ),
        (
            vec![TWO[0], QuotaItem::new("Burst", 1, 1)],
            "name",
            "Burst",
            "a name of its own per policy",
        ),
        (
            vec![QuotaItem::new("a", 1, 0)],
            "window_seconds",
            "0",
            "at least 1",
        ),
    ];
    for (policies, field, value, expected) in cases {
        for style in [FieldStyle::Draft11, FieldStyle::None] {
            let error = RateLimitFields::build(style, &policies).unwrap_err();
            assert_eq!(
                (error.field(), error.value(), error.expected()),
                (field, value, expected)
            );
        }
    }
}

#[test]
fn other_units_are_named() {
    let policies = [
        QuotaItem::new("in", 1 << 20, 1).unit(QuotaUnit::ContentBytes),
        QuotaItem::new("at once", 8, 1).unit(QuotaUnit::ConcurrentRequests),
        QuotaItem::new("calls", 8, 1).unit(QuotaUnit::Requests),
    ];
    let headers = written(FieldStyle::Draft11, &policies, &[item(1, 0, 0)]);
    assert_eq!(
        headers["ratelimit-policy"],
        r#""in";q=1048576;w=1;qu="content-bytes", "at once";q=8;w=1;qu="concurrent-requests", "calls";q=8;w=1"#
    );
}

fn list(headers: &HeaderMap, name: &str) -> Vec<Item> {
    let list: List = Parser::new(headers[name].as_bytes()).parse().unwrap();
    let entries = list.into_iter().map(|entry| match entry {
        ListEntry::Item(item) => item,
        ListEntry::InnerList(inner) => panic!("an inner list: {inner:?}"),
    });
    entries.collect()
}

fn integer_of(item: &Item, name: &str) -> i64 {
    match item.params.get(name) {
        Some(BareItem::Integer(number)) => i64::from(*number),
        other => panic!("{name}: {other:?}"),
    }
}

fn capped(number: u64) -> i64 {
    i64::try_from(number.min(999_999_999_999_999)).unwrap()
}

proptest! {
    /// An independent parser of RFC 9651 reads what was meant, whatever the names and the numbers are.
    #[test]
    fn structured_fields_are_read_as_they_were_meant(
        told in prop::collection::btree_map(
            // No two of them differ by case alone.
            "[ -@\\[-~]{1,20}",
            (any::<u64>(), 1_u64.., any::<u64>(), any::<Duration>(), any::<Duration>()),
            1..6,
        )
    ) {
        let policies: Vec<_> = told
            .iter()
            .map(|(name, &(quota, window, ..))| QuotaItem::new(name, quota, window))
            .collect();
        let items: Vec<_> = told
            .values()
            .map(|&(.., remaining, retry_after, reset_after)| LimitItem {
                remaining, retry_after, reset_after,
            })
            .collect();

        for (style, remaining, reset) in [
            (FieldStyle::Draft11, "r", "t"),
            (FieldStyle::EditorsCopy, "a", "w"),
        ] {
            let headers = written(style, &policies, &items);
            let read = list(&headers, "ratelimit-policy");
            prop_assert_eq!(read.len(), policies.len());
            for (read, meant) in read.iter().zip(&policies) {
                prop_assert_eq!(read.bare_item.as_string().map(sfv::StringRef::as_str), Some(meant.name));
                prop_assert_eq!(integer_of(read, "q"), capped(meant.quota));
                prop_assert_eq!(integer_of(read, "w"), capped(meant.window_seconds));
                prop_assert_eq!(read.params.len(), 2);
            }
            let read = list(&headers, "ratelimit");
            prop_assert_eq!(read.len(), policies.len());
            for ((read, meant), item) in read.iter().zip(&policies).zip(&items) {
                prop_assert_eq!(read.bare_item.as_string().map(sfv::StringRef::as_str), Some(meant.name));
                prop_assert_eq!(integer_of(read, remaining), capped(item.remaining));
                prop_assert!(integer_of(read, reset) >= i64::from(item.remaining == 0));
                prop_assert_eq!(read.params.len(), 2);
            }
        }

        let headers = written(FieldStyle::Draft07, &policies, &items);
        for (read, meant) in list(&headers, "ratelimit-policy").iter().zip(&policies) {
            prop_assert_eq!(read.bare_item.as_integer().map(i64::from), Some(capped(meant.quota)));
            prop_assert_eq!(integer_of(read, "w"), capped(meant.window_seconds));
        }
        let read: Dictionary = Parser::new(headers["ratelimit"].as_bytes()).parse().unwrap();
        prop_assert_eq!(
            read.keys().map(|key| key.as_str()).collect::<Vec<_>>(),
            ["limit", "remaining", "reset"]
        );
    }
}
