//! The file that shows every key.

use std::{net::IpAddr, time::Duration};

use gateway::{
    Config,
    config::{CallLogConfig, Idle, KeySource, MissingKey, SharedBy, UnknownKey, Who},
};

use super::parsed;

#[test]
fn the_documented_file_is_the_defaults() {
    let documented = parsed(include_str!("../../../gateway.toml")).unwrap();
    let mut said = Config::default();
    said.limits.max_keys = said.limits.max_keys().ok();
    said.limits.fields = said.limits.fields().ok();
    let per_ip = said.limits.per_ip.as_mut().unwrap();
    per_ip.quota = per_ip.quota().ok();
    assert_eq!(format!("{documented:?}"), format!("{said:?}"));
}

#[test]
fn what_the_documented_file_has_in_comments_can_be_meant_too() {
    let uncommented: String = include_str!("../../../gateway.toml")
        .lines()
        .map(|line| format!("{}\n", uncommented(line)))
        .collect();
    let uncommented = uncommented
        .replace("hops =", "# hops =")
        .replace("upstream =", "# upstream =")
        .replace("source = \"peer\"", "source = \"x-forwarded-for\"");
    let config = parsed(&uncommented).unwrap();
    let [main, spare] = &config.upstreams()[..] else {
        panic!("two upstreams");
    };
    assert_eq!((main.name(), spare.name()), ("main", "spare"));
    assert_eq!(main.url.to_string(), "https://127.0.0.1:3000");
    assert!(!main.http2);
    assert_eq!(main.ca, Some("ca.pem".into()));
    assert_eq!(main.response, Some(config.timeouts.response));
    assert_eq!(main.idle, Some(config.timeouts.upstream_idle));
    assert_eq!(main.idle, Some(Idle::After(Duration::from_secs(300))));
    assert_eq!(config.call_log, Some(CallLogConfig::at("calls.ndjson")));
    let trusts = |ip: &str| config.client_ip.trusts(ip.parse::<IpAddr>().unwrap());
    assert!(trusts("10.1.2.3") && trusts("::ffff:10.1.2.3") && trusts("2001:db8::1"));
    assert!(!trusts("11.1.2.3"));

    let [cached] = &config.cache.routes[..] else {
        panic!("one cache");
    };
    assert_eq!(
        (&*cached.path, cached.by, cached.capacity),
        ("/v1/models", SharedBy::default(), 64 << 20)
    );
    assert_eq!(cached.stale_if_error, Some(Duration::from_secs(300)));
    let [chat] = &config.timeouts.routes[..] else {
        panic!("one path");
    };
    assert_eq!(
        (
            &*chat.path,
            chat.response,
            chat.client_idle,
            chat.upstream_idle
        ),
        (
            "/chat.Chat",
            Some(config.timeouts.response),
            Some(Idle::Off),
            Some(Idle::Off)
        )
    );
    let breaker = config.circuit_breaker.unwrap();
    assert_eq!(breaker.slow_after, Some(Duration::from_secs(5)));
    assert_eq!(breaker.probe_deadline, Some(config.timeouts.response));
    let per_key = config.limits.per_key.unwrap();
    assert_eq!(
        (
            per_key.key,
            per_key.missing,
            per_key.unknown,
            per_key.shadow
        ),
        (
            KeySource::default(),
            MissingKey::default(),
            UnknownKey::default(),
            false
        )
    );
    assert_eq!(per_key.tiers["gold"].keys[1].reveal(), "and-another");
    let [route] = &config.limits.routes[..] else {
        panic!("one route");
    };
    assert_eq!(
        (&*route.path, route.by),
        ("/v1/completions", Who::default())
    );
    assert!(!route.shadow && !config.limits.global.unwrap().shadow);
}

/// A line with what it has in a comment, if that is no prose.
fn uncommented(line: &str) -> &str {
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    match line.strip_prefix("# ") {
        Some(toml) if toml.starts_with('[') => toml,
        Some(toml)
            if toml
                .split_once(" = ")
                .is_some_and(|(name, _)| is_name(name)) =>
        {
            toml
        }
        _ => line,
    }
}
