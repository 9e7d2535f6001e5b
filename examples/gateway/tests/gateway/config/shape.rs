//! Files that are no TOML, have a key that there is not, a value of another type, or lack one.

use super::{Wrong, each_is_said};

const WRONG: &[Wrong] = &[
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
        "limits.preflight = true",
        "gateway.toml:1: limits.preflight: expected one of its words, in quotation marks",
    ),
    (
        "[[limits.routes]]\npath = '/a'\nquota = '1/s'\nby = 5",
        "gateway.toml:4: limits.routes[0].by: expected one of its words, in quotation marks",
    ),
    (
        "connections = 1.5",
        "gateway.toml:1: connections: invalid type: floating point `1.5`, expected a whole number, 1 to",
    ),
    (
        "[[cache.routes]]\npath = '/a'\ncapacity = '1 GiB'",
        "gateway.toml:3: cache.routes[0].capacity: invalid type: string \"1 GiB\", expected a whole number, 1048576 to 68719476736 bytes",
    ),
    (
        "timeouts.client_idle = 60",
        "gateway.toml:1: timeouts.client_idle: invalid type: integer `60`, expected a duration such as \"30s\" or \"500ms\", or \"off\"",
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
];

#[test]
fn what_is_not_of_the_files_shape_is_said() {
    each_is_said(WRONG);
}
