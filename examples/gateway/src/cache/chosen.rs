//! Answers that are chosen by what only this gateway tells the upstream.
//!
//! A cache compares what clients sent (RFC 9111 §4.1), and the gateway writes its fields further in. To `X-Forwarded-For` and
//! `Forwarded` the client's address is appended there: two clients that sent none are alike here, and the upstream was told of
//! two. So an answer that varies by one of these is for nobody else.

use http::{
    HeaderMap, HeaderValue,
    header::{FORWARDED, VARY},
};

use crate::forwarded::X_FORWARDED_FOR;

/// Says that no field of a request tells whom else the answer is for, if it is chosen by one of those.
pub(super) fn mark(answer: &mut HeaderMap) {
    let lines = answer.get_all(VARY).into_iter();
    let mut names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let is_ours = names.any(|name| {
        let name = name.trim_ascii();
        [X_FORWARDED_FOR, FORWARDED]
            .iter()
            .any(|ours| name.eq_ignore_ascii_case(ours.as_str().as_bytes()))
    });
    if is_ours {
        answer.append(VARY, HeaderValue::from_static("*"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_by_the_clients_address_is_for_nobody_else() {
        for (line, expected) in [
            ("X-Forwarded-For", true),
            ("Accept, forwarded", true),
            ("Accept", false),
            ("X-Forwarded-Proto, X-Forwarded-Format", false),
        ] {
            let mut answer = HeaderMap::new();
            answer.append(VARY, HeaderValue::from_static("Accept-Encoding"));
            answer.append(VARY, HeaderValue::from_static(line));
            mark(&mut answer);
            let is_marked = answer.get_all(VARY).iter().any(|line| line == "*");
            assert_eq!(is_marked, expected, "{line}");
        }
    }
}
