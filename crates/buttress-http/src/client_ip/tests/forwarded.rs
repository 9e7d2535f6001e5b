//! `Forwarded`.

use super::*;

#[test]
fn forwarded_past_trusted_networks() {
    let client_ip = ClientIp::forwarded(networks());
    let cases: [(&str, &[&str], &str, &str); 24] = [
        ("no header", &[], "10.0.0.1", "10.0.0.1"),
        ("v4", &["for=203.0.113.7"], "10.0.0.1", "203.0.113.7"),
        (
            "never the leftmost",
            &["for=1.1.1.1, for=203.0.113.7"],
            "10.0.0.1",
            "203.0.113.7",
        ),
        (
            "an untrusted peer's header is ignored",
            &["for=1.1.1.1"],
            "203.0.113.9",
            "203.0.113.9",
        ),
        (
            "v6 in quotes",
            &["for=\"[2001:db8:cafe::17]\""],
            "10.0.0.1",
            "2001:db8:cafe::17",
        ),
        (
            "v6 and port",
            &["For=\"[2001:db8:cafe::17]:4711\""],
            "10.0.0.1",
            "2001:db8:cafe::17",
        ),
        (
            "v4 and port",
            &["for=\"192.0.2.43:80\""],
            "10.0.0.1",
            "192.0.2.43",
        ),
        (
            "v4 and a hidden port",
            &["for=\"192.0.2.43:_x\""],
            "10.0.0.1",
            "192.0.2.43",
        ),
        (
            "without quotes",
            &["for=[2001:db8::1]:80"],
            "10.0.0.1",
            "2001:db8::1",
        ),
        (
            "a mapped v4",
            &["for=\"[::ffff:1.2.3.4]\""],
            "10.0.0.1",
            "1.2.3.4",
        ),
        (
            "parameters without case",
            &["PROTO=https;FOR=1.2.3.4;By=\"_x\""],
            "10.0.0.1",
            "1.2.3.4",
        ),
        (
            "spaces",
            &["for=1.1.1.1 ,\t proto=http ; for=1.2.3.4 "],
            "10.0.0.1",
            "1.2.3.4",
        ),
        (
            "trusted entries are passed",
            &["for=1.2.3.4;by=x, for=10.0.0.2;proto=http"],
            "10.0.0.1",
            "1.2.3.4",
        ),
        (
            "all lines are one list",
            &["for=1.1.1.1", "for=1.2.3.4", "for=10.0.0.2"],
            "10.0.0.1",
            "1.2.3.4",
        ),
        (
            "unknown",
            &["for=1.1.1.1, for=unknown, for=10.0.0.2"],
            "10.0.0.1",
            "10.0.0.2",
        ),
        (
            "hidden",
            &["for=1.1.1.1, for=_SEVKISEK"],
            "10.0.0.1",
            "10.0.0.1",
        ),
        (
            "no for",
            &["for=1.1.1.1, by=203.0.113.43"],
            "10.0.0.1",
            "10.0.0.1",
        ),
        (
            "two for",
            &["for=1.1.1.1;for=1.2.3.4"],
            "10.0.0.1",
            "10.0.0.1",
        ),
        ("a bare address", &["1.2.3.4"], "10.0.0.1", "10.0.0.1"),
        (
            "empty elements",
            &[",for=1.2.3.4,, for=10.0.0.2 , "],
            "10.0.0.1",
            "1.2.3.4",
        ),
        (
            "a quoted comma",
            &["for=1.2.3.4;host=\"a, for=1.1.1.1\""],
            "10.0.0.1",
            "1.2.3.4",
        ),
        (
            "an escaped quote",
            &["for=1.2.3.4;host=\"a\\\", for=1.1.1.1\""],
            "10.0.0.1",
            "1.2.3.4",
        ),
        // Read from the left, the client's open quote would swallow what the proxy wrote.
        (
            "a quote left open",
            &["for=\"1.1.1.1, for=1.2.3.4"],
            "10.0.0.1",
            "1.2.3.4",
        ),
        (
            "a quote left open on a line",
            &["for=\"1.1.1.1", "for=1.2.3.4\""],
            "10.0.0.1",
            "10.0.0.1",
        ),
    ];
    for (case, lines, peer, client) in cases {
        let headers = headers("forwarded", lines);
        assert_eq!(resolved(&client_ip, peer, &headers), ip(client), "{case}");
    }
}
