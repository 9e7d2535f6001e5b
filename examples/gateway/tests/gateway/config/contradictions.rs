//! Values that contradict each other.

use super::{Wrong, each_is_said};

const WRONG: &[Wrong] = &[
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
fn values_that_contradict_each_other_are_said() {
    each_is_said(WRONG);
}
