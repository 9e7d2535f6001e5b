//! The limits' fields on an answer, where two layers write them.
//!
//! A layer of `buttress-rate-limit` puts its own in the place of those that stand there. So the tenants' limits'
//! are set aside before the answer passes the limit by address, and put back after it: behind those of the
//! latter where the fields are lists (draft 11), else in their place, since a caller with a key wants to know
//! what is left to *it*.

use http::{HeaderMap, HeaderName, HeaderValue, Response};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// All that `FieldStyle` may write.
const NAMES: [HeaderName; 8] = [
    POLICY,
    STANDING,
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// Fields that were set aside; an extension of the response.
#[derive(Clone, Debug)]
struct Aside(HeaderMap);

/// Sets the tenants' fields aside.
pub(crate) fn set_aside<B>(mut response: Response<B>) -> Response<B> {
    let mut aside = HeaderMap::new();
    for name in NAMES {
        for value in response.headers().get_all(&name) {
            aside.append(name.clone(), value.clone());
        }
        response.headers_mut().remove(&name);
    }
    if !aside.is_empty() {
        response.extensions_mut().insert(Aside(aside));
    }
    response
}

/// Puts them back.
pub(crate) fn put_back<B>(mut response: Response<B>) -> Response<B> {
    let Some(Aside(aside)) = response.extensions_mut().remove() else {
        return response;
    };
    let headers = response.headers_mut();
    for name in aside.keys() {
        let door = headers.remove(name);
        for value in aside.get_all(name) {
            // Draft 07's standing is no list; draft 11's begins with a name in quotation marks.
            let is_list = *name == POLICY || value.as_bytes().starts_with(b"\"");
            let value = match &door {
                Some(door) if is_list => joined(door, value),
                _ => value.clone(),
            };
            headers.append(name, value);
        }
    }
    response
}

fn joined(first: &HeaderValue, second: &HeaderValue) -> HeaderValue {
    let line = [first.as_bytes(), b", ", second.as_bytes()].concat();
    // Of two values, and so one.
    HeaderValue::from_bytes(&line).unwrap_or_else(|_| second.clone())
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
            response.headers_mut().insert(name, value.parse().unwrap());
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
    }
}
