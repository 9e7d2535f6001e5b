//! Values that cannot be meant.

use super::{Wrong, each_is_said};

const WRONG: &[Wrong] = &[
    (
        "listen = 'localhost:80'",
        "gateway.toml:1: listen: `localhost:80` given, expected an address and a port such as",
    ),
    (
        "connections = 0",
        "gateway.toml:1: connections: `0` given, expected 1 to 1000000",
    ),
    (
        "connections_per_client = 1_000_001",
        "gateway.toml:1: connections_per_client: `1000001` given, expected 1 to 1000000",
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
        "gateway.toml:2: retry.max_body: `100000000` given, expected 0 to 16777216 bytes",
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
        "[circuit_breaker]\nprobe_deadline = '0s'",
        "gateway.toml:2: circuit_breaker.probe_deadline: `0` given, expected more",
    ),
    (
        "[circuit_breaker]\nprobe_deadline = '2y'",
        "gateway.toml:2: circuit_breaker.probe_deadline: `",
    ),
    (
        "[circuit_breaker]\nthrottled = 'nobody'",
        "gateway.toml:2: circuit_breaker.throttled: unknown variant `nobody`",
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
        "[errors]\ncors = ['https://app.example',\n'https://app.example/']",
        "gateway.toml:3: errors.cors[1]: `https://app.example/` given, expected \"*\", or an origin as browsers write it",
    ),
    (
        "errors.cors = ['app.example']",
        "gateway.toml:1: errors.cors[0]: `app.example` given",
    ),
    (
        "errors.cors = ['https://app.example:443']",
        "gateway.toml:1: errors.cors[0]: `https://app.example:443` given",
    ),
    (
        "errors.cors = ['https://App.example']",
        "gateway.toml:1: errors.cors[0]: `https://App.example` given",
    ),
    (
        "errors.cors = ['https://*.example']",
        "gateway.toml:1: errors.cors[0]: `https://*.example` given",
    ),
    (
        "[errors]\ncors = ['https://app.example',\n'*']",
        "gateway.toml:3: errors.cors[1]: `*` given beside others, expected it alone",
    ),
    (
        "errors.cors = ['null']",
        "gateway.toml:1: errors.cors[0]: `null` given",
    ),
    (
        "limits.preflight = 'ignore'",
        "gateway.toml:1: limits.preflight: unknown variant `ignore`",
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
    (
        "[[timeouts.routes]]\npath = 'chat'",
        "gateway.toml:2: timeouts.routes[0].path: `chat` given, expected a path such as",
    ),
    (
        "[[timeouts.routes]]\npath = '/a'\n[[timeouts.routes]]\npath = '/a'",
        "gateway.toml:4: timeouts.routes[1].path: `/a` given twice",
    ),
    (
        "[[timeouts.routes]]\npath = '/a'\nclient_idle = 'never'",
        "gateway.toml:3: timeouts.routes[0].client_idle: `never` is no duration",
    ),
    (
        "[[timeouts.routes]]\nresponse = '1s'",
        "gateway.toml:1: timeouts.routes[0]: missing field `path`",
    ),
    (
        "[timeouts]\nclient_idle = 'never'",
        "gateway.toml:2: timeouts.client_idle: `never` is no duration",
    ),
    (
        "[timeouts]\nupstream_idle = '0s'",
        "gateway.toml:2: timeouts.upstream_idle: `0` given, expected",
    ),
    (
        "[timeouts]\nresponse = '101y'",
        "gateway.toml:2: timeouts.response: `101y` given, expected at most 100 years",
    ),
    (
        "[limits.per_ip]\nmax_keys = -5",
        "gateway.toml:2: limits.per_ip.max_keys: `-5` given, expected 1 to 10000000, of",
    ),
    (
        "connections = -1",
        "gateway.toml:1: connections: `-1` given, expected 1 to 1000000",
    ),
    (
        "retry.attempts = -1",
        "gateway.toml:1: retry.attempts: `-1` given, expected 0 to",
    ),
    (
        "[client_ip]\nipv6_prefix = 300",
        "gateway.toml:2: client_ip.ipv6_prefix: `300` given, expected 1 to 128",
    ),
    (
        "[[upstreams]]\nurl = 'http://a'\nidle = 'on'",
        "gateway.toml:3: upstreams[0].idle: `on` is no duration",
    ),
];

#[test]
fn a_value_that_cannot_be_meant_is_said() {
    each_is_said(WRONG);
}
