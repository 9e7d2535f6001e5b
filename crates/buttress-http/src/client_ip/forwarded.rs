use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, header::FORWARDED};

use super::{
    node,
    walk::{Element, elements},
};

/// The `for` nodes of `Forwarded` (RFC 7239 §4) from right to left; `None` for an element that has none
/// or is malformed.
pub(super) fn nodes(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    elements(headers.get_all(FORWARDED).iter(), after_last_comma).map(|element| match element {
        Element::Text(text) => node::parse(&for_parameter(text)?),
        Element::Unreadable => None,
    })
}

/// Read from the right, as all of the list is: a quote that the client opened and never closed must not
/// swallow what the proxies wrote after it.
fn after_last_comma(line: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut end = line.len();
    while let Some((&byte, before)) = line.get(..end).and_then(<[u8]>::split_last) {
        match byte {
            b'"' if quoted => {
                let escapes = before.iter().rev().take_while(|&&b| b == b'\\').count();
                quoted = escapes % 2 == 1;
                // They need no second look; so a line of backslashes is read once.
                end -= escapes;
            }
            b'"' => quoted = true,
            b',' if !quoted => return Some(end),
            _ => {}
        }
        end -= 1;
    }
    (!quoted).then_some(0)
}

/// The value of the element's only `for`: `[pair] *( ";" [pair] )`, `pair = token "=" value`.
fn for_parameter(element: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut found = None;
    let mut rest = element;
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => return found,
            Some(b';') => {
                rest = rest.get(1..)?;
                continue;
            }
            Some(_) => {}
        }
        let equals = rest.iter().position(|&byte| byte == b'=')?;
        let (name, after) = (rest.get(..equals)?, rest.get(equals + 1..)?);
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return None;
        }
        let (value, after) = value(after)?;
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
        rest = after.trim_ascii_start();
        if !matches!(rest.first(), None | Some(b';')) {
            return None;
        }
    }
}

/// A value, and what follows it. Unquoted it may hold what a token may not, since many proxies write
/// `for=192.0.2.1:80`.
fn value(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|&byte| byte == b';');
        let (value, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
        let value = value.trim_ascii_end();
        return (!value.contains(&b'"')).then_some((Cow::Borrowed(value), rest));
    };
    let special = quoted
        .iter()
        .position(|&byte| matches!(byte, b'"' | b'\\'))?;
    let (plain, rest) = quoted.split_at_checked(special)?;
    if let Some(rest) = rest.strip_prefix(b"\"") {
        return Some((Cow::Borrowed(plain), rest));
    }
    let mut value = plain.to_vec();
    let mut rest = rest.iter();
    loop {
        match rest.next()? {
            b'"' => return Some((Cow::Owned(value), rest.as_slice())),
            b'\\' => value.push(*rest.next()?),
            &byte => value.push(byte),
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_for_parameter_is_found() {
        let cases: [(&str, &str); 12] = [
            ("for=192.0.2.60", "192.0.2.60"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            (
                "proto=http;For=\"[2001:db8:cafe::17]:4711\"",
                "[2001:db8:cafe::17]:4711",
            ),
            ("FOR=192.0.2.43:80", "192.0.2.43:80"),
            ("for=unknown", "unknown"),
            ("for=_gazonk", "_gazonk"),
            (";;for=a;", "a"),
            (" by=b ; for=a ; host=c ", "a"),
            ("host=\"for=x;for=y, for=z\";for=a", "a"),
            ("for=\"a\\\"\\\\b\"", "a\"\\b"),
            ("for=\"\"", ""),
            ("for=", ""),
        ];
        for (element, value) in cases {
            assert_eq!(
                for_parameter(element.as_bytes()).as_deref(),
                Some(value.as_bytes()),
                "{element}"
            );
        }
    }

    #[test]
    fn a_malformed_element_has_none() {
        for element in [
            "",
            ";",
            "by=a",
            "for",
            "=a",
            "192.0.2.1",
            "for=a;for=b",
            "for=a;FOR=a",
            "for=\"a",
            "for=\"a\\",
            "for=\"a\"b",
            "for=a\"b\"",
            "for =a",
            "f(r=a;for=b",
            "for=a;x",
        ] {
            assert_eq!(for_parameter(element.as_bytes()), None, "{element}");
        }
    }

    #[test]
    fn the_last_element_is_found_from_the_right() {
        let cases = [
            ("for=a", Some("for=a")),
            ("for=a,for=b", Some("for=b")),
            ("for=a,", Some("")),
            ("for=a, for=\"b,c\"", Some(" for=\"b,c\"")),
            ("for=a, for=\"b\\\",c\"", Some(" for=\"b\\\",c\"")),
            ("for=a, for=\"b\\\\\"", Some(" for=\"b\\\\\"")),
            // Never closed, on the left: no matter.
            ("for=\", for=b", Some(" for=b")),
            ("for=\"\\, for=b", Some(" for=b")),
            // Never opened.
            ("for=a, b\"", None),
            ("\"", None),
        ];
        for (line, element) in cases {
            let found = after_last_comma(line.as_bytes()).map(|start| &line[start..]);
            assert_eq!(found, element, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes: Vec<u8>, quoted in "[\\\\\",;=for ]{0,40}") {
            for bytes in [&bytes[..], quoted.as_bytes()] {
                let _ = after_last_comma(bytes);
                let _ = for_parameter(bytes);
            }
        }

        /// Whatever is put into a quoted string comes out of it.
        #[test]
        fn quoting_is_undone(value: Vec<u8>) {
            let mut element = b"a=b;for=\"".to_vec();
            for byte in &value {
                if matches!(byte, b'"' | b'\\') {
                    element.push(b'\\');
                }
                element.push(*byte);
            }
            element.push(b'"');
            let found = for_parameter(&element).map(Cow::into_owned);
            prop_assert_eq!(found, Some(value));
            let line = [&b"for=\", "[..], &element].concat();
            prop_assert_eq!(after_last_comma(&line), Some(6));
        }
    }
}
