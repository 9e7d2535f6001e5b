use std::{net::IpAddr, path::Path, time::Duration};

use gateway::{
    Config, ConfigFileError,
    config::{
        CallLogConfig, Fields, KeySource, MissingKey, SharedBy, Source, UnknownKey, Who, parse,
    },
};

use crate::{
    raw::within,
    running::{Program, config_file},
};

fn parsed(text: &str) -> Result<Config, ConfigFileError> {
    parse(text, Path::new("gateway.toml"))
}

/// The text, and the error that it must be.
const WRONG: &[(&str, &str)] = &[
    // What is no TOML, or no key of ours.
    ("listen = ", "gateway.toml:1: "),
    (
        "\nlisten = '127.0.0.1:1'\nlisten = '127.0.0.1:2'",
        "gateway.toml:3: ",
    ),
    (
        "\nlissten = '127.0.0.1:1'",
        "gateway.toml:2: lissten: unknown field `lissten`, expected",
    ),
    (
        "[limits]\nper_pi.quota = '1/s'",
        "gateway.toml:2: limits.per_pi: unknown field",
    ),
    (
        "[limits.per_ip]\n\nqouta = '1/s'",
        "gateway.toml:3: limits.per_ip.qouta: unknown field",
    ),
    (
        "[client_ip]\nsource = { heder = 'x' }",
        "gateway.toml:2: client_ip.source.heder: unknown variant",
    ),
    (
        "\"a\\nb\\u001b\" = 1",
        "gateway.toml:1: a\\nb\\u{1b}: unknown field `a\\nb\\u{1b}`",
    ),
    // Values of the wrong type.
    (
        "listen = 8080",
        "gateway.toml:1: listen: invalid type: integer `8080`, expected an address and a port such as",
    ),
    (
        "\nupstreams = []",
        "gateway.toml:2: upstreams: `[]` given, expected at least one",
    ),
    (
        "upstreams = ['http://a']",
        "gateway.toml:1: upstreams[0]: invalid type: string \"http://a\", expected a table with a `url`",
    ),
    (
        "upstream = 1",
        "gateway.toml:1: upstream: invalid type: integer",
    ),
    (
        "limits = 1",
        "gateway.toml:1: limits: invalid type: integer `1`, expected a table",
    ),
    (
        "[limits.per_ip]\nquota = 5",
        "gateway.toml:2: limits.per_ip.quota: invalid type: integer",
    ),
    (
        "[limits.per_ip]\nmax_keys = '5'",
        "gateway.toml:2: limits.per_ip.max_keys: invalid type: string",
    ),
    (
        "[limits.per_ip]\nmax_keys = -5",
        "gateway.toml:2: limits.per_ip.max_keys: invalid value",
    ),
    (
        "[limits]\nallow = '10.0.0.0/8'",
        "gateway.toml:2: limits.allow: invalid type: string",
    ),
    (
        "[limits.global]\nquota = '1/s'\nshadow = 'yes'",
        "gateway.toml:3: limits.global.shadow: invalid type: string",
    ),
    (
        "[limits.routes]\npath = '/'",
        "gateway.toml:1: limits.routes: invalid type: map",
    ),
    (
        "[timeouts]\nresponse = 30",
        "gateway.toml:2: timeouts.response: invalid type: integer",
    ),
    (
        "[client_ip]\ntrusted = '10.0.0.0/8'",
        "gateway.toml:2: client_ip.trusted: invalid type: string",
    ),
    // What is needed, and was left out.
    (
        "\n[limits.global]\nshadow = true",
        "gateway.toml:2: limits.global: missing field `quota`",
    ),
    (
        "\n[limits.per_key]\nkey = 'bearer'",
        "gateway.toml:2: limits.per_key: missing field `quota`",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\n[limits.per_key.tiers.gold]\nquota = '1/s'",
        "gateway.toml:3: limits.per_key.tiers.gold: missing field `keys`",
    ),
    (
        "[[limits.routes]]\npath = '/a'\nquota = '1/s'\n[[limits.routes]]\nquota = '1/s'",
        "gateway.toml:4: limits.routes[1]: missing field `path`",
    ),
    // Values that cannot be meant.
    (
        "listen = 'localhost:80'",
        "gateway.toml:1: listen: `localhost:80` given, expected an address and a port such as",
    ),
    (
        "upstream = 'ftp://a'",
        "gateway.toml:1: upstream: `ftp://a` given: expected `http://` or `https://`",
    ),
    ("upstream = 'http://a:99999'", "gateway.toml:1: upstream: "),
    (
        "[limits.per_ip]\nquota = 'many'",
        "gateway.toml:2: limits.per_ip.quota: ",
    ),
    (
        "[limits.per_ip]\nquota = '0/s'",
        "gateway.toml:2: limits.per_ip.quota: count: `0` given",
    ),
    (
        "limits = { per_ip = { quota = '1/s burst 0' } }",
        "gateway.toml:1: limits.per_ip.quota: burst: `0`",
    ),
    (
        "[limits.per_ip]\nfields = 'draft-99'",
        "gateway.toml:2: limits.per_ip.fields: unknown variant `draft-99`",
    ),
    (
        "[limits.per_ip]\nmax_keys = 10_000_001",
        "gateway.toml:2: limits.per_ip.max_keys: `10000001` given, expected 1 to",
    ),
    (
        "[limits.per_ip]\nmax_keys = 0",
        "gateway.toml:2: limits.per_ip.max_keys: `0` given, expected 1 to",
    ),
    (
        "[limits]\nmax_keys = 0",
        "gateway.toml:2: limits.max_keys: `0` given, expected 1 to",
    ),
    (
        "[limits]\nfields = 'draft-99'",
        "gateway.toml:2: limits.fields: unknown variant `draft-99`",
    ),
    (
        "[limits]\ndeny = ['10.0.0.0/8',\n'everybody']",
        "gateway.toml:3: limits.deny[1]: `everybody` given, expected a network",
    ),
    (
        "[limits]\nmax_keys = 5\ndeny = ['10.0.0.0/8']",
        "gateway.toml:3: limits.deny: refuses at the limit by address, expected `[limits.per_ip]` too",
    ),
    (
        "[limits]\nallow = ['::/0']",
        "gateway.toml:2: limits.allow[0]: `::/0` given, expected a network that not everybody is in",
    ),
    (
        "[limits.global]\nquota = '0/s'",
        "gateway.toml:2: limits.global.quota: count: `0` given",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\nkey = 'cookie'",
        "gateway.toml:3: limits.per_key.key: unknown variant `cookie`",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\nkey = { header = 'a b' }",
        "gateway.toml:3: limits.per_key.key.header: `a b` given, expected the name",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\nmissing = 'ignore'",
        "gateway.toml:3: limits.per_key.missing: unknown variant `ignore`",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\n[limits.per_key.tiers.gold]\nquota = 'much'\nkeys = []",
        "gateway.toml:4: limits.per_key.tiers.gold.quota: ",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\n[limits.per_key.tiers.gold]\nquota = '1/s'\nkeys = ['a',\n' s3cret']",
        "gateway.toml:6: limits.per_key.tiers.gold.keys[1]: expected visible ASCII",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\ntiers.gold = { quota = '1/s', keys = [''] }",
        "gateway.toml:3: limits.per_key.tiers.gold.keys[0]: expected visible ASCII",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\ntiers.gold = { quota = '1/s', keys = 's3cret' }",
        "gateway.toml:3: limits.per_key.tiers.gold.keys: expected a list of keys",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\ntiers.gold = { quota = '1/s', keys = ['a', ['s3cret']] }",
        "gateway.toml:3: limits.per_key.tiers.gold.keys: expected a list of keys",
    ),
    (
        "[[limits.routes]]\npath = 'v1'\nquota = '1/s'",
        "gateway.toml:2: limits.routes[0].path: `v1` given, expected a path such as",
    ),
    (
        "[[limits.routes]]\npath = '/v1/../v2'\nquota = '1/s'",
        "gateway.toml:2: limits.routes[0].path: `/v1/../v2` given, expected a path such as",
    ),
    (
        "[[limits.routes]]\npath = '/v1'\nquota = '1/s'\n[[limits.routes]]\npath = '/v2'\nquota = '1'",
        "gateway.toml:6: limits.routes[1].quota: ",
    ),
    (
        "[[limits.routes]]\npath = '/v1'\nquota = '1/s'\nby = 'colour'",
        "gateway.toml:4: limits.routes[0].by: unknown variant `colour`",
    ),
    (
        "[timeouts]\nresponse = '30'",
        "gateway.toml:2: timeouts.response: `30` is no duration",
    ),
    (
        "[timeouts]\nshutdown = '0s'",
        "gateway.toml:2: timeouts.shutdown: `0` given, expected",
    ),
    (
        "[client_ip]\nipv6_prefix = 0",
        "gateway.toml:2: client_ip.ipv6_prefix: `0` given, expected 1 to 128",
    ),
    (
        "[client_ip]\nipv6_prefix = 129",
        "gateway.toml:2: client_ip.ipv6_prefix: `129` given, expected 1 to 128",
    ),
    (
        "[client_ip]\nhops = 0",
        "gateway.toml:2: client_ip.hops: `0` given, expected 1 to 64",
    ),
    (
        "[client_ip]\nsource = 'leftmost'",
        "gateway.toml:2: client_ip.source: unknown variant `leftmost`",
    ),
    (
        "[client_ip]\nsource.header = 'a b'\nhops = 1",
        "gateway.toml:2: client_ip.source.header: `a b` given, expected the name",
    ),
    (
        "[client_ip]\nsource = { header = 'X-Forwarded-For' }\nhops = 1",
        "gateway.toml:2: client_ip.source.header: `X-Forwarded-For` given, expected a header of one address",
    ),
    (
        "[client_ip]\ntrusted = [\n  '10.0.0.0/8',\n  '10.0.0.0/33',\n]",
        "gateway.toml:4: client_ip.trusted[1]: `10.0.0.0/33` given, expected a network",
    ),
    (
        "[client_ip]\ntrusted = ['0.0.0.0/0']",
        "gateway.toml:2: client_ip.trusted[0]: `0.0.0.0/0` given",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\nunknown = 'ignore'",
        "gateway.toml:3: limits.per_key.unknown: unknown variant `ignore`",
    ),
    (
        "[[upstreams]]\nurl = 'http://a'\nca = 'ca.pem'",
        "gateway.toml:3: upstreams[0].ca: means nothing for an upstream at `http://`",
    ),
    (
        "[[upstreams]]\nname = 'a'",
        "gateway.toml:1: upstreams[0]: missing field `url`",
    ),
    (
        "[[upstreams]]\nurl = 'http://a'\nresponse = '0s'",
        "gateway.toml:3: upstreams[0].response: `0` given, expected",
    ),
    (
        "[[upstreams]]\nurl = 'http://a'\nname = ''",
        "gateway.toml:3: upstreams[0].name: expected a name",
    ),
    (
        "[[cache.routes]]\npath = 'v1'",
        "gateway.toml:2: cache.routes[0].path: `v1` given, expected a path such as",
    ),
    (
        "[[cache.routes]]\npath = '/v1'\n[[cache.routes]]\npath = '/v1'",
        "gateway.toml:4: cache.routes[1].path: `/v1` given twice",
    ),
    (
        "[[cache.routes]]\npath = '/v1'\nby = 'key'",
        "gateway.toml:3: cache.routes[0].by: expected `[limits.per_key]` too",
    ),
    (
        "[[cache.routes]]\npath = '/v1'\ncapacity = 1",
        "gateway.toml:3: cache.routes[0].capacity: `1` given, expected 1048576 to",
    ),
    (
        "[[cache.routes]]\npath = '/v1'\nstale_if_error = '0s'",
        "gateway.toml:3: cache.routes[0].stale_if_error: `0` given, expected",
    ),
    (
        "retry.attempts = 0",
        "gateway.toml:1: retry.attempts: `0` given, expected 1 to 100",
    ),
    (
        "[retry]\nbackoff = '1s'",
        "gateway.toml:1: retry.max_backoff: `250ms` given, expected",
    ),
    ("[retry]\nbudget = -1.0", "gateway.toml:2: retry.budget: "),
    (
        "[retry]\nmax_body = 100_000_000",
        "gateway.toml:2: retry.max_body: `100000000` given, expected at most",
    ),
    (
        "[retry]\nmax_wait = '2y'",
        "gateway.toml:2: retry.max_wait: ",
    ),
    (
        "circuit_breaker.failure_rate = 0.0",
        "gateway.toml:1: circuit_breaker.failure_rate: ",
    ),
    (
        "circuit_breaker.failure_rate = 1.5",
        "gateway.toml:1: circuit_breaker.failure_rate: ",
    ),
    (
        "[circuit_breaker]\nslow_after = '1s'\nslow_rate = 0.0",
        "gateway.toml:3: circuit_breaker.slow_rate: ",
    ),
    (
        "[circuit_breaker]\nminimum_calls = 0",
        "gateway.toml:2: circuit_breaker.minimum_calls: ",
    ),
    (
        "[circuit_breaker]\nprobes = 0",
        "gateway.toml:2: circuit_breaker.probes: `0` given, expected",
    ),
    (
        "[circuit_breaker]\nopen_for = '2m'",
        "gateway.toml:2: circuit_breaker.open_for: ",
    ),
    (
        "[circuit_breaker]\nwindow = '3000y'",
        "gateway.toml:2: circuit_breaker.window: ",
    ),
    (
        "[errors]\nopenai = ['/v1',\n'v2']",
        "gateway.toml:3: errors.openai[1]: `v2` given, expected a path such as",
    ),
    (
        "admin.listen = 'localhost'",
        "gateway.toml:1: admin.listen: `localhost` given, expected an address and a port such as",
    ),
    (
        "[call_log]\nfiles = 3",
        "gateway.toml:1: call_log: missing field `path`",
    ),
    (
        "[call_log]\npath = 'a'\nmax_bytes = 5",
        "gateway.toml:3: call_log.max_bytes: `5` given, expected 10000 to",
    ),
    (
        "[call_log]\npath = 'a'\nfiles = 0",
        "gateway.toml:3: call_log.files: `0` given, expected 1 to",
    ),
    (
        "[call_log]\npath = 'a'\nqueue = 0",
        "gateway.toml:3: call_log.queue: `0` given, expected 1 to",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\n[limits.per_key.tiers.'']\nquota = '1/s'\nkeys = []",
        "gateway.toml:3: limits.per_key.tiers.: expected a name",
    ),
    // Values that contradict each other.
    (
        "listen = '127.0.0.1:80'\n[admin]\nlisten = '127.0.0.1:80'",
        "gateway.toml:3: admin.listen: is `listen`, expected another address",
    ),
    (
        "upstream = 'http://a'\n[[upstreams]]\nurl = 'http://b'",
        "gateway.toml:1: upstream: is given beside `upstreams`",
    ),
    (
        "[[upstreams]]\nurl = 'http://a'\n[[upstreams]]\nurl = 'http://a'",
        "gateway.toml:3: upstreams[1].name: `a` given twice",
    ),
    (
        "[limits]\nmax_keys = 5\n[limits.per_ip]\nmax_keys = 5",
        "gateway.toml:4: limits.per_ip.max_keys: is `limits.max_keys`, which is given too",
    ),
    (
        "limits.fields = 'none'\nlimits.per_ip.fields = 'none'",
        "gateway.toml:2: limits.per_ip.fields: is `limits.fields`, which is given too",
    ),
    (
        "[limits.per_key]\nquota = '1/s'\n[limits.per_key.tiers.a]\nquota = '1/s'\nkeys = ['s3cret']\n\
         [limits.per_key.tiers.b]\nquota = '2/s'\nkeys = ['s3cret']",
        "gateway.toml:8: limits.per_key.tiers.b.keys[0]: stands in a tier already",
    ),
    (
        "[[limits.routes]]\npath = '/v1'\nquota = '1/s'\n[[limits.routes]]\npath = '/v1'\nquota = '1/h'",
        "gateway.toml:5: limits.routes[1].path: `/v1` given twice",
    ),
    (
        "[[limits.routes]]\npath = '/v1'\nquota = '1/s'\nby = 'key'",
        "gateway.toml:4: limits.routes[0].by: expected `[limits.per_key]` too",
    ),
    (
        "[client_ip]\n\nsource = 'forwarded'",
        "gateway.toml:3: client_ip.source: a header is only as true",
    ),
    (
        "[client_ip]\nhops = 1",
        "gateway.toml:2: client_ip.hops: means nothing while `source` is \"peer\"",
    ),
    (
        "client_ip.trusted = ['::1']",
        "gateway.toml:1: client_ip.trusted: means nothing while",
    ),
    (
        "[client_ip]\nsource = 'forwarded'\ntrusted = ['::1']\nhops = 1",
        "gateway.toml:4: client_ip.hops: expected either",
    ),
    (
        "[client_ip]\nsource = 'forwarded'\ntrusted = []",
        "gateway.toml:3: client_ip.trusted: `[]` given",
    ),
];

#[test]
fn an_error_names_file_line_field_and_reason() {
    for (text, expected) in WRONG {
        let error = parsed(text).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text:?}: {error}");
        assert!(!error.contains(char::is_control), "one line: {error}");
        assert!(
            !error.contains("s3cret"),
            "a key is not to be told: {error}"
        );
    }
}

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
fn the_documented_file_is_the_defaults() {
    let documented = parsed(include_str!("../../gateway.toml")).unwrap();
    let mut said = Config::default();
    said.limits.max_keys = said.limits.max_keys().ok();
    said.limits.fields = said.limits.fields().ok();
    let per_ip = said.limits.per_ip.as_mut().unwrap();
    per_ip.quota = per_ip.quota().ok();
    assert_eq!(format!("{documented:?}"), format!("{said:?}"));
}

#[test]
fn what_the_documented_file_has_in_comments_can_be_meant_too() {
    let uncommented: String = include_str!("../../gateway.toml")
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
    let breaker = config.circuit_breaker;
    assert_eq!(breaker.unwrap().slow_after, Some(Duration::from_secs(5)));
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

#[test]
fn keys_are_not_shown() {
    let config = parsed(
        "[limits.per_key]\nquota = '1/s'\ntiers.gold = { quota = '1/s', keys = ['s3cret'] }",
    );
    let shown = format!("{:?}", config.unwrap());
    assert!(shown.contains("gold") && shown.contains("***"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
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

#[tokio::test]
async fn the_program_says_it_and_fails() {
    let file = config_file("wrong.toml", "\n[limits.per_ip]\nquota = 'many'\n");
    let path = file.to_str().unwrap();
    let output = within(Program::command().args(["--config", path]).output())
        .await
        .unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with(&format!("{path}:3: limits.per_ip.quota: ")),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);

    let output = within(
        Program::command()
            .args(["--config", "absent.toml"])
            .output(),
    )
    .await
    .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.starts_with("absent.toml: cannot be read: "),
        "{said}"
    );
}
