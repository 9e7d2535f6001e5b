//! Whatever the story, nothing is served that may not be.

use std::{collections::HashMap, time::Duration};

use buttress_cache::rfc9111::Options;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use proptest::{collection::vec, prelude::*};

use super::story::{Scene, scene};
use crate::{
    corpus::begin,
    simulator::{Answered, Ask, Asked, Outcome, Simulator},
};

fn headers<'a, V: AsRef<str> + 'a>(fields: impl IntoIterator<Item = (&'a str, V)>) -> HeaderMap {
    fields
        .into_iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value.as_ref()).unwrap(),
            )
        })
        .collect()
}

/// What the origin once said, and to whom.
struct Said {
    scene: Scene,
    request: HeaderMap,
    /// It may have other fields since.
    updated: bool,
    /// It may be outdated since, and is asked about before it is used, although it may be fresh.
    suspect: bool,
}

fn play(options: &Options, scenes: &[Scene]) -> Result<(), TestCaseError> {
    let mut cache = Simulator::new(options.clone());
    let mut now = begin();
    let mut said: HashMap<String, Said> = HashMap::new();
    for (number, scene) in scenes.iter().enumerate() {
        now += Duration::from_secs(scene.passed);
        let (method, uri): (Method, Uri) = (scene.method.parse().unwrap(), "/".parse().unwrap());
        let request = headers(scene.request.iter().copied());
        let ask = Ask {
            now,
            method: &method,
            uri: &uri,
            headers: &request,
            has_content: false,
        };
        let mut origin = |_: Asked<'_>| Answered {
            response: scene.status.map(|status| {
                let lines = scene
                    .cache_control
                    .iter()
                    .map(|line| ("cache-control", line.as_str()));
                let fields = headers(lines.chain(scene.response.iter().copied()));
                (
                    StatusCode::from_u16(status).unwrap(),
                    fields,
                    number.to_string().into_bytes(),
                )
            }),
            clean: true,
            delay: Duration::ZERO,
        };
        let outcome = cache.handle(&ask, &mut origin);
        let mut scene = scene.clone();
        if outcome.background {
            cache.revalidate(&ask, &mut origin);
            // That was a request of the cache's own.
            scene.request.retain(|(name, _)| *name != "cache-control");
        }
        let body = String::from_utf8(outcome.body.clone()).unwrap();
        if let Some(stored) = said.get(&body) {
            may_be_used(options, stored, &scenes[number], &request, &outcome)?;
        }
        // An answer to HEAD may bring other fields to all that is stored.
        if scene.method == "HEAD" {
            said.values_mut().for_each(|said| said.updated = true);
        }
        if !method.is_safe() && matches!(scene.status, None | Some(502 | 504)) {
            said.values_mut().for_each(|said| said.suspect = true);
        }
        said.insert(
            number.to_string(),
            Said {
                scene,
                request,
                updated: false,
                suspect: false,
            },
        );
    }
    Ok(())
}

/// That this response, which was said to another request, may answer this one.
fn may_be_used(
    options: &Options,
    stored: &Said,
    asked: &Scene,
    request: &HeaderMap,
    outcome: &Outcome,
) -> Result<(), TestCaseError> {
    let has = |name: &str| stored.scene.said.contains(&name);
    prop_assert!(!has("no-store") || has("must-understand"), "no-store");
    prop_assert!(
        !stored
            .scene
            .request
            .contains(&("cache-control", "no-store")),
        "the request's no-store"
    );
    prop_assert!(stored.scene.status != Some(429), "429");
    prop_assert!(!stored.scene.response.contains(&("vary", "*")), "Vary: *");
    if options.shared {
        prop_assert!(!has("private"), "private");
        prop_assert!(
            !stored
                .scene
                .response
                .iter()
                .any(|(name, _)| *name == "set-cookie"),
            "Set-Cookie"
        );
        let shared = has("public") || has("must-revalidate") || has("s-maxage");
        prop_assert!(
            shared || !stored.request.contains_key("authorization"),
            "another's Authorization"
        );
    }
    let stale = match outcome.how.as_str() {
        "max-stale" | "stale-while-revalidate" => true,
        // What is suspect stands in as if it were not; `functions` compares the two.
        "stale-if-error" | "unreachable" => !stored.suspect,
        _ => false,
    };
    let forbidden = has("must-revalidate")
        || has("no-cache")
        || (options.shared && (has("proxy-revalidate") || has("s-maxage")));
    // A 304, too, might have brought other fields since; without a validator none could.
    let validators = |(name, _): &(&str, &str)| matches!(*name, "etag" | "last-modified");
    if !stored.updated && !stored.scene.response.iter().any(validators) {
        for (_, names) in stored
            .scene
            .response
            .iter()
            .filter(|(name, _)| *name == "vary")
        {
            for name in names
                .split(',')
                .map(|name| name.trim().to_ascii_lowercase())
            {
                let before: Vec<_> = stored.request.get_all(&name).iter().collect();
                let after: Vec<_> = request.get_all(&name).iter().collect();
                prop_assert_eq!(before, after, "varies by {}", name);
            }
        }

        prop_assert!(!(stale && forbidden), "stale");
        prop_assert!(!(outcome.how == "fresh" && has("no-cache")), "no-cache");
    }
    let wants_validation = asked
        .request
        .iter()
        .find(|(name, _)| *name == "cache-control");
    prop_assert!(
        !(outcome.how == "fresh" && wants_validation == Some(&("cache-control", "no-cache"))),
        "the request's no-cache"
    );
    prop_assert!(outcome.headers.contains_key("age"), "Age");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_served_that_is_forbidden(shared: bool, scenes in vec(scene(), 2..8)) {
        let options = if shared { Options::shared() } else { Options::private() };
        play(&options, &scenes)?;
    }
}
