//! The limits' fields on an answer, where two layers write them.
//!
//! A layer of `buttress-rate-limit` puts its own in the place of those that stand there. So the tenants' limits'
//! are set aside before the answer passes the limit by address, and put back after it: behind those of the
//! latter where the fields are lists (draft 11), else in their place, since a caller with a key wants to know
//! what is left to *it*.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header::Entry};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// All that `FieldStyle` may write.
static NAMES: [HeaderName; 8] = [
    POLICY,
    STANDING,
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// Fields that were set aside, with the places of their names; an extension of the response.
#[derive(Clone, Debug)]
struct Aside(Vec<(usize, HeaderValue)>);

/// Sets the tenants' fields aside.
pub(crate) fn set_aside<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    // Most of the names are not there, and to look one up costs more than to pass by all that are.
    let mut there = [false; NAMES.len()];
    for name in headers.keys() {
        if let Some(there) = place(name).and_then(|place| there.get_mut(place)) {
            *there = true;
        }
    }
    let mut aside = Vec::new();
    for (place, name) in NAMES.iter().enumerate() {
        if there.get(place) == Some(&true)
            && let Entry::Occupied(field) = headers.entry(name)
        {
            let (_, values) = field.remove_entry_mult();
            aside.extend(values.map(|value| (place, value)));
        }
    }
    if !aside.is_empty() {
        response.extensions_mut().insert(Aside(aside));
    }
    response
}

fn place(name: &HeaderName) -> Option<usize> {
    let text = name.as_str();
    let text = text.strip_prefix("x-").unwrap_or(text);
    if !text.starts_with("ratelimit") {
        return None;
    }
    NAMES.iter().position(|it| it == name)
}

/// Puts them back.
pub(crate) fn put_back<B>(mut response: Response<B>) -> Response<B> {
    let Some(Aside(aside)) = response.extensions_mut().remove() else {
        return response;
    };
    let headers = response.headers_mut();
    let mut before = None;
    for (place, value) in aside {
        let Some(name) = NAMES.get(place) else {
            continue;
        };
        match headers.get_mut(name) {
            None => {
                headers.insert(name, value);
            }
            // A further line of the tenants' own.
            Some(_) if before == Some(place) => {
                headers.append(name, value);
            }
            Some(first) => {
                // Draft 07's standing is no list; draft 11's begins with a name in quotation marks.
                let is_list = *name == POLICY || value.as_bytes().starts_with(b"\"");
                *first = if is_list {
                    joined(first, &value)
                } else {
                    value
                };
            }
        }
        before = Some(place);
    }
    response
}

fn joined(first: &HeaderValue, second: &HeaderValue) -> HeaderValue {
    let line = [first.as_bytes(), b", ", second.as_bytes()].concat();
    // Of two values, and so one.
    HeaderValue::from_maybe_shared(Bytes::from(line)).unwrap_or_else(|_| second.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_the_door(
        tenants: &[(&'static str, &'static str)],
        door: &[(&'static str, &'static str)],
    ) -> Vec<String> {
        let mut response = Response::new(());
        for &(name, value) in tenants {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        let mut response = set_aside(response);
        assert!(response.headers().is_empty());
        for &(name, value) in door {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        let response = put_back(response);
        let lines = response.headers().iter();
        let mut lines: Vec<_> = lines
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn lists_are_joined_and_the_tenants_is_told_else() {
        let draft_11 = after_the_door(
            &[
                ("ratelimit-policy", "\"b\";q=2;w=1"),
                ("ratelimit", "\"b\";r=1"),
            ],
            &[
                ("ratelimit-policy", "\"a\";q=3;w=1"),
                ("ratelimit", "\"a\";r=2"),
            ],
        );
        assert_eq!(
            draft_11,
            [
                "ratelimit-policy: \"a\";q=3;w=1, \"b\";q=2;w=1",
                "ratelimit: \"a\";r=2, \"b\";r=1"
            ]
        );
        let draft_07 = after_the_door(
            &[("ratelimit-policy", "2;w=1"), ("ratelimit", "limit=2")],
            &[("ratelimit-policy", "3;w=1"), ("ratelimit", "limit=3")],
        );
        assert_eq!(
            draft_07,
            ["ratelimit-policy: 3;w=1, 2;w=1", "ratelimit: limit=2"]
        );
        let refused = after_the_door(&[("x-ratelimit-remaining", "0")], &[]);
        assert_eq!(refused, ["x-ratelimit-remaining: 0"]);
        let lines = after_the_door(
            &[("ratelimit", "\"b\";r=1"), ("ratelimit", "\"c\";r=0")],
            &[("ratelimit", "\"a\";r=2")],
        );
        assert_eq!(
            lines,
            ["ratelimit: \"a\";r=2, \"b\";r=1", "ratelimit: \"c\";r=0"]
        );
    }
}
