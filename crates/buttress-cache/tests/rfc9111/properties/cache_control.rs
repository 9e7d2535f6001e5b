//! `Cache-Control`, as it is meant and as it is written.

use proptest::{collection::vec, prelude::*, sample::select};

/// A directive as it is meant, and how it is written.
#[derive(Clone, Debug)]
struct Directive {
    name: &'static str,
    written: String,
}

/// Seldom the plain form: other case, whitespace, quotes.
fn directive() -> impl Strategy<Value = Directive> {
    let names = [
        "no-store",
        "no-cache",
        "private",
        "public",
        "must-revalidate",
        "proxy-revalidate",
        "must-understand",
        "immutable",
        "max-age",
        "s-maxage",
        "stale-while-revalidate",
        "stale-if-error",
        "extension",
    ];
    let seconds = select(vec![
        "0",
        "1",
        "60",
        "\"60\"",
        "3600",
        "99999999999",
        "-1",
        "x",
        "",
    ]);
    (
        select(names.to_vec()),
        seconds,
        any::<u64>(),
        select(vec!["", " ", "\t", "  \t"]),
    )
        .prop_map(|(name, seconds, case, space)| {
            let mut written: String = name
                .char_indices()
                .map(|(at, letter)| match case >> (at % 64) & 1 {
                    0 => letter,
                    _ => letter.to_ascii_uppercase(),
                })
                .collect();
            match name {
                "extension" => written.push_str("=\"no-store, private, max-age=9\""),
                "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error" => {
                    written = format!("{written}={seconds}");
                }
                _ => {}
            }
            let written = format!("{space}{written}{space}");
            Directive { name, written }
        })
}

/// Cache-Control as it is meant, and in how many lines it is written.
pub(super) fn cache_control() -> impl Strategy<Value = (Vec<&'static str>, Vec<String>)> {
    (vec(directive(), 0..5), any::<u8>()).prop_map(|(directives, breaks)| {
        let mut lines: Vec<String> = vec![String::new()];
        for (at, directive) in directives.iter().enumerate() {
            match lines.last_mut() {
                Some(line) if at == 0 || breaks >> at & 1 == 0 => {
                    *line = format!("{line},{}", directive.written);
                }
                _ => lines.push(directive.written.clone()),
            }
        }
        (
            directives.iter().map(|directive| directive.name).collect(),
            lines,
        )
    })
}
