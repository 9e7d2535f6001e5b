//! What a file chooses, and what is there where it does not.

use std::time::Duration;

use gateway::{
    Config,
    config::{Fields, Idle, Source},
};

use super::parsed;

#[test]
fn nothing_is_a_proxy_without_layers() {
    let config = parsed("").unwrap();
    assert!(config.limits.per_ip.is_none() && config.limits.per_key.is_none());
    assert!(config.limits.routes.is_empty() && config.limits.global.is_none());
    assert!(config.cache.routes.is_empty());
    assert!(config.retry.is_none() && config.circuit_breaker.is_none());
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert!(config.upstream.is_none());
    assert_eq!(config.client_ip.source, Source::Peer);
    assert_eq!(config.timeouts.response, Duration::from_secs(30));
}

#[test]
fn an_empty_table_is_a_layer_with_all_its_defaults() {
    let config = parsed("[limits.per_ip]\n[retry]\n[circuit_breaker]\n").unwrap();
    let usual = Config::default();
    assert_eq!(config, usual);
    let per_ip = config.limits.per_ip.unwrap();
    assert_eq!(per_ip.quota().unwrap(), "5/s burst 10".parse().unwrap());
}

#[test]
fn every_choice_can_be_made() {
    for (text, source) in [
        ("source = 'forwarded'\nhops = 64", Source::Forwarded),
        (
            "source = { header = 'X-Real-IP' }\ntrusted = ['::1']",
            Source::Header("X-Real-IP".into()),
        ),
        (
            "source.header = 'X-Real-IP'\nhops = 1",
            Source::Header("X-Real-IP".into()),
        ),
    ] {
        let config = parsed(&format!("[client_ip]\n{text}")).unwrap();
        assert_eq!(config.client_ip.source, source);
    }
    for (text, fields) in [
        ("draft-11", Fields::Draft11),
        ("editors-copy", Fields::EditorsCopy),
        ("draft-07", Fields::Draft07),
        ("draft-03", Fields::Draft03),
        ("x-rate-limit", Fields::XRateLimit),
        ("none", Fields::None),
    ] {
        for place in ["limits", "limits.per_ip"] {
            let config = parsed(&format!("{place}.fields = '{text}'")).unwrap();
            assert_eq!(config.limits.fields().unwrap(), fields);
        }
    }
    for place in ["limits", "limits.per_ip"] {
        let config = parsed(&format!("{place}.max_keys = 7")).unwrap();
        assert_eq!(config.limits.max_keys().unwrap(), 7);
    }
}

#[test]
fn what_may_stand_still_may_do_so_for_ever() {
    let config = parsed(
        "timeouts = { client_idle = 'off', upstream_idle = '100y' }\n\
         [[upstreams]]\nurl = 'http://a'\n[[upstreams]]\nurl = 'http://b'\nidle = 'off'",
    )
    .unwrap();
    assert_eq!(config.timeouts.client_idle.bound(), None);
    let longest = Idle::After(Duration::from_secs(100 * 31_557_600));
    assert_eq!(config.timeouts.upstream_idle, longest);
    assert_eq!(config.upstreams[0].idle, None);
    assert_eq!(config.upstreams[1].idle, Some(Idle::Off));
}

#[test]
fn keys_are_not_shown() {
    let config = parsed(
        "[limits.per_key]\nquota = '1/s'\ntiers.gold = { quota = '1/s', keys = ['s3cret'] }",
    );
    let shown = format!("{:?}", config.unwrap());
    assert!(shown.contains("gold") && shown.contains("***"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}
