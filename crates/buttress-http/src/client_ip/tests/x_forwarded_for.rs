//! `X-Forwarded-For`, past networks and past a number of hops.

use super::*;

#[test]
fn x_forwarded_for_past_trusted_networks() {
    let client_ip = ClientIp::x_forwarded_for(networks());
    let cases: [(&str, &[&str], &str, &str); 28] = [
        ("no header", &[], "10.0.0.1", "10.0.0.1"),
        ("one proxy", &["203.0.113.7"], "10.0.0.1", "203.0.113.7"),
        // The leftmost entry is the client's to write.
        (
            "never the leftmost",
            &["1.1.1.1, 203.0.113.7"],
            "10.0.0.1",
            "203.0.113.7",
        ),
        (
            "an untrusted peer's header is ignored",
            &["1.1.1.1"],
            "203.0.113.9",
            "203.0.113.9",
        ),
        (
            "trusted entries are passed",
            &["203.0.113.7, 10.9.9.9, 192.0.2.7"],
            "10.0.0.1",
            "203.0.113.7",
        ),
        (
            "the neighbour of a trusted address is not",
            &["1.1.1.1, 192.0.2.8"],
            "10.0.0.1",
            "192.0.2.8",
        ),
        (
            "all lines are one list",
            &["1.1.1.1", "203.0.113.7", "10.0.0.2"],
            "10.0.0.1",
            "203.0.113.7",
        ),
        (
            "in order",
            &["203.0.113.7", "1.1.1.1, 203.0.113.8"],
            "10.0.0.1",
            "203.0.113.8",
        ),
        (
            "the whole chain is trusted",
            &["10.0.0.3, 10.0.0.2"],
            "10.0.0.1",
            "10.0.0.3",
        ),
        // An entry that is no address ends the walk; what is left of it is hearsay.
        (
            "rubbish is not skipped",
            &["1.1.1.1, rubbish"],
            "10.0.0.1",
            "10.0.0.1",
        ),
        (
            "rubbish after a hop",
            &["1.1.1.1, rubbish, 10.0.0.2"],
            "10.0.0.1",
            "10.0.0.2",
        ),
        (
            "rubbish left of the client",
            &["rubbish, 203.0.113.7"],
            "10.0.0.1",
            "203.0.113.7",
        ),
        ("unknown", &["1.1.1.1, unknown"], "10.0.0.1", "10.0.0.1"),
        ("hidden", &["1.1.1.1, _hidden"], "10.0.0.1", "10.0.0.1"),
        (
            "a Unix socket before us",
            &["1.1.1.1, unix:"],
            "10.0.0.1",
            "10.0.0.1",
        ),
        ("v4 with a port", &["1.2.3.4:5678"], "10.0.0.1", "1.2.3.4"),
        (
            "a trusted v4 with a port",
            &["1.2.3.4, 10.0.0.2:5678"],
            "10.0.0.1",
            "1.2.3.4",
        ),
        (
            "v6 with a port",
            &["[2001:db8::1]:5678"],
            "10.0.0.1",
            "2001:db8::1",
        ),
        (
            "a bare v6 has no port",
            &["2001:db8::1:5678"],
            "10.0.0.1",
            "2001:db8::1:5678",
        ),
        (
            "a trusted v6",
            &["1.2.3.4, 2001:db8:aaaa::5"],
            "2001:db8:aaaa::1",
            "1.2.3.4",
        ),
        ("a zone", &["fe80::1%eth0"], "10.0.0.1", "fe80::1"),
        ("a mapped v4", &["::ffff:1.2.3.4"], "10.0.0.1", "1.2.3.4"),
        (
            "a trusted mapped v4",
            &["1.2.3.4, ::ffff:10.0.0.2"],
            "10.0.0.1",
            "1.2.3.4",
        ),
        ("a mapped peer", &["1.2.3.4"], "::ffff:10.0.0.1", "1.2.3.4"),
        (
            "empty elements",
            &[",1.2.3.4 ,, \t, 10.0.0.2,"],
            "10.0.0.1",
            "1.2.3.4",
        ),
        ("empty lines", &["1.2.3.4", "", " "], "10.0.0.1", "1.2.3.4"),
        ("only empty elements", &[", ,", ","], "10.0.0.1", "10.0.0.1"),
        (
            "quotes are not of this header",
            &["1.1.1.1, \"1.2.3.4\""],
            "10.0.0.1",
            "10.0.0.1",
        ),
    ];
    for (case, lines, peer, client) in cases {
        let headers = headers("x-forwarded-for", lines);
        assert_eq!(resolved(&client_ip, peer, &headers), ip(client), "{case}");
    }
}

#[test]
fn x_forwarded_for_past_a_number_of_hops() {
    let cases: [(usize, &[&str], &str); 9] = [
        (1, &["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
        (2, &["1.1.1.1, 203.0.113.7, 198.51.100.1"], "203.0.113.7"),
        (2, &["1.1.1.1, 203.0.113.7", "198.51.100.1"], "203.0.113.7"),
        (
            3,
            &["203.0.113.7, 198.51.100.2, 198.51.100.1"],
            "203.0.113.7",
        ),
        // Fewer entries than proxies: the request took another way.
        (1, &[], "192.0.2.1"),
        (2, &["1.1.1.1"], "192.0.2.1"),
        (3, &["1.1.1.1, 203.0.113.7"], "192.0.2.1"),
        // No address where the client should be.
        (2, &["1.1.1.1, rubbish, 198.51.100.1"], "198.51.100.1"),
        (1, &["1.1.1.1, unknown"], "192.0.2.1"),
    ];
    for (n, lines, client) in cases {
        let client_ip = ClientIp::x_forwarded_for(hops(n));
        let headers = headers("x-forwarded-for", lines);
        assert_eq!(
            resolved(&client_ip, "192.0.2.1", &headers),
            ip(client),
            "{n}: {lines:?}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_are_an_entry_that_is_no_address() {
    let client_ip = ClientIp::x_forwarded_for(networks());
    let cases: [(&[u8], &str); 3] = [
        (b"\xff\xfe\x80, 203.0.113.7", "203.0.113.7"),
        (b"1.1.1.1, \xff\xfe\x80", "10.0.0.1"),
        ("1.1.1.1, १.२.३.४, 10.0.0.2".as_bytes(), "10.0.0.2"),
    ];
    for (line, client) in cases {
        let headers = headers("x-forwarded-for", [line]);
        assert_eq!(resolved(&client_ip, "10.0.0.1", &headers), ip(client));
    }
}
