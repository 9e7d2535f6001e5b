use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::PeerAddr;

/// The networks that the tables trust.
const TRUSTED: [&str; 3] = ["10.0.0.0/8", "192.0.2.7", "2001:db8:aaaa::/48"];

fn networks() -> TrustedProxies {
    TrustedProxies::networks(TRUSTED).unwrap()
}

fn hops(hops: usize) -> TrustedProxies {
    TrustedProxies::hops(hops).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn headers<V: AsRef<[u8]>>(name: &str, lines: impl IntoIterator<Item = V>) -> HeaderMap {
    let name: HeaderName = name.parse().unwrap();
    let lines = lines.into_iter();
    HeaderMap::from_iter(lines.map(|line| {
        let value = HeaderValue::from_bytes(line.as_ref()).unwrap();
        (name.clone(), value)
    }))
}

fn resolved(client_ip: &ClientIp, peer: &str, headers: &HeaderMap) -> IpAddr {
    client_ip.resolve(Some(ip(peer)), headers).unwrap()
}

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

#[test]
fn a_header_of_one_address() {
    let cf = ClientIp::header("CF-Connecting-IP", networks()).unwrap();
    let cases: [(&str, &[&str], &str, &str); 9] = [
        ("believed", &["203.0.113.7"], "10.0.0.1", "203.0.113.7"),
        ("v6", &["2001:db8::1"], "10.0.0.1", "2001:db8::1"),
        (
            "a trusted address, too",
            &["10.0.0.9"],
            "10.0.0.1",
            "10.0.0.9",
        ),
        ("missing", &[], "10.0.0.1", "10.0.0.1"),
        ("empty", &[""], "10.0.0.1", "10.0.0.1"),
        ("a list", &["1.1.1.1, 203.0.113.7"], "10.0.0.1", "10.0.0.1"),
        // The client's line and the proxy's: which is which?
        (
            "given twice",
            &["1.1.1.1", "203.0.113.7"],
            "10.0.0.1",
            "10.0.0.1",
        ),
        ("rubbish", &["rubbish"], "10.0.0.1", "10.0.0.1"),
        (
            "an untrusted peer's",
            &["1.1.1.1"],
            "203.0.113.9",
            "203.0.113.9",
        ),
    ];
    for (case, lines, peer, client) in cases {
        let headers = headers("cf-connecting-ip", lines);
        assert_eq!(resolved(&cf, peer, &headers), ip(client), "{case}");
    }
    let behind_any = ClientIp::header("x-real-ip", hops(1)).unwrap();
    let headers = headers("x-real-ip", ["203.0.113.7"]);
    assert_eq!(
        resolved(&behind_any, "192.0.2.1", &headers),
        ip("203.0.113.7")
    );
}

#[test]
fn only_the_header_that_was_named_is_read() {
    let mut all = headers("x-forwarded-for", ["1.1.1.1"]);
    all.extend(headers("forwarded", ["for=2.2.2.2"]));
    all.extend(headers("x-real-ip", ["3.3.3.3"]));
    let cases = [
        (ClientIp::peer(), "10.0.0.1"),
        (ClientIp::x_forwarded_for(networks()), "1.1.1.1"),
        (ClientIp::forwarded(networks()), "2.2.2.2"),
        (
            ClientIp::header("X-Real-IP", networks()).unwrap(),
            "3.3.3.3",
        ),
        (
            ClientIp::header("True-Client-IP", networks()).unwrap(),
            "10.0.0.1",
        ),
    ];
    for (client_ip, client) in cases {
        assert_eq!(
            resolved(&client_ip, "10.0.0.1", &all),
            ip(client),
            "{client_ip:?}"
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

/// The walk sees neither the 65th entry nor the byte 16 Ki from the right.
#[test]
fn the_walk_is_bounded() {
    let xff = ClientIp::x_forwarded_for(networks());
    let forwarded = ClientIp::forwarded(networks());
    let after = |trusted: usize| "1.2.3.4".to_owned() + &", 10.0.0.2".repeat(trusted);
    let resolved_xff =
        |line: String| resolved(&xff, "10.0.0.1", &headers("x-forwarded-for", [line]));
    let resolved_forwarded =
        |line: String| resolved(&forwarded, "10.0.0.1", &headers("forwarded", [line]));

    assert_eq!(resolved_xff(after(63)), ip("1.2.3.4"));
    assert_eq!(resolved_xff(after(64)), ip("10.0.0.2"));
    let lines = std::iter::once("1.2.3.4").chain(std::iter::repeat_n("10.0.0.2", 64));
    let many_lines = headers("x-forwarded-for", lines);
    assert_eq!(resolved(&xff, "10.0.0.1", &many_lines), ip("10.0.0.2"));

    let padded = |spaces: usize| format!("1.2.3.4,{}10.0.0.2", " ".repeat(spaces));
    assert_eq!(resolved_xff(padded(16_000)), ip("1.2.3.4"));
    assert_eq!(resolved_xff(padded(17_000)), ip("10.0.0.1"));
    let quoted = |length: usize| {
        format!(
            "for=1.2.3.4, for=10.0.0.2;host=\"{}\"",
            "\\\"".repeat(length)
        )
    };
    assert_eq!(resolved_forwarded(quoted(8_000)), ip("1.2.3.4"));
    assert_eq!(resolved_forwarded(quoted(9_000)), ip("10.0.0.1"));

    // Megabytes of anything: at once, and the last trusted hop.
    for filler in [
        ",",
        "10.0.0.2,",
        " ",
        "x",
        "1.1.1.1, ",
        "\"",
        "\\",
        "\\\"",
        "for=\"",
    ] {
        let long = filler.repeat((4 << 20) / filler.len());
        for tail in ["", ", 10.0.0.3"] {
            let started_at = resolved_xff(format!("{long}{tail}"));
            assert!(
                [
                    ip("10.0.0.1"),
                    ip("10.0.0.2"),
                    ip("10.0.0.3"),
                    ip("1.1.1.1")
                ]
                .contains(&started_at),
                "{filler}: {started_at}"
            );
        }
        assert_eq!(
            resolved_forwarded(format!("{long}, for=203.0.113.7")),
            ip("203.0.113.7")
        );
        let _ = resolved_forwarded(long);
    }
}

#[test]
fn a_request_without_a_peer_has_no_key() {
    let headers = headers("x-forwarded-for", ["1.2.3.4"]);
    for client_ip in [
        ClientIp::peer(),
        ClientIp::x_forwarded_for(networks()),
        ClientIp::x_forwarded_for(hops(1)),
        ClientIp::header("x-real-ip", hops(1)).unwrap(),
    ] {
        let missing = client_ip.resolve(None, &headers).unwrap_err();
        assert_eq!(missing.why(), "the address of the peer is not known");
    }
}

fn request(peer: Option<&str>) -> http::Request<()> {
    let mut request = http::Request::get("/")
        .header("x-forwarded-for", "2001:db8:1:2:3:4:5:6")
        .body(())
        .unwrap();
    if let Some(peer) = peer {
        let address = std::net::SocketAddr::new(ip(peer), 443);
        request.extensions_mut().insert(PeerAddr(address));
    }
    request
}

#[test]
fn is_keyed_by_the_network() {
    let label = |client_ip: &ClientIp, request: &http::Request<()>| {
        KeyWriter::label(|key| client_ip.extract(request.into(), key))
    };

    let client_ip = ClientIp::x_forwarded_for(networks());
    assert_eq!(
        label(&client_ip, &request(Some("10.0.0.1"))).as_deref(),
        Ok("2001:db8:1:2::")
    );
    assert_eq!(
        label(&client_ip, &request(Some("::ffff:1.2.3.4"))).as_deref(),
        Ok("1.2.3.4")
    );
    assert_eq!(
        client_ip.of((&request(Some("10.0.0.1"))).into()),
        Ok(ip("2001:db8:1:2:3:4:5:6"))
    );
    assert!(label(&client_ip, &request(None)).is_err());

    let wider = client_ip.ipv6_prefix(48).unwrap();
    assert_eq!(
        label(&wider, &request(Some("10.0.0.1"))).as_deref(),
        Ok("2001:db8:1::")
    );
}

#[test]
fn what_cannot_work_is_said_at_build_time() {
    for (bits, possible) in [
        (0, false),
        (1, true),
        (128, true),
        (129, false),
        (255, false),
    ] {
        let built = ClientIp::peer().ipv6_prefix(bits);
        assert_eq!(built.is_ok(), possible, "{bits}");
    }
    for name in ["", "a b", "x-réal-ip", "X-Forwarded-For", "forwarded"] {
        let error = ClientIp::header(name, hops(1)).unwrap_err();
        assert_eq!((error.field(), error.value()), ("header", name));
    }
}

/// Anything that a client can send in a header's value.
fn attack() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b','),
        Just(b'"'),
        Just(b'\\'),
        Just(b' '),
        Just(b';'),
        Just(b'='),
        0x20..0x7F_u8,
        0x80..=0xFF_u8,
    ];
    let pieces = prop_oneof![
        prop::collection::vec(byte, 0..20),
        Just(b"1.1.1.1,".to_vec()),
        Just(b"10.0.0.1,".to_vec()),
        Just(b"for=10.0.0.1,".to_vec()),
        Just(b"for=\"".to_vec()),
    ];
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// However the client prefixes the header, on the proxies' line or on its own, the answer is the same.
    #[test]
    fn a_client_cannot_change_its_address(
        before in prop::collection::vec(attack(), 0..4),
        on_the_line in attack(),
        client in any::<IpAddr>(),
        proxies in prop::collection::vec(any::<[u8; 3]>(), 0..4),
        peer in any::<[u8; 3]>(),
    ) {
        let proxy = |[a, b, c]: [u8; 3]| IpAddr::from([10, a, b, c]);
        let peer = proxy(peer);
        let client = client.to_canonical();
        prop_assume!(!networks().is_trusted(client, 0));

        let chain: Vec<IpAddr> = std::iter::once(client).chain(proxies.iter().copied().map(proxy)).collect();
        let lists = [
            ("x-forwarded-for", chain.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")),
            ("forwarded", chain.iter().map(|ip| match ip {
                IpAddr::V4(v4) => format!("for={v4}"),
                IpAddr::V6(v6) => format!("proto=https;for=\"[{v6}]:443\""),
            }).collect::<Vec<_>>().join(",")),
        ];
        for (name, list) in lists {
            let mut line = on_the_line.clone();
            line.extend_from_slice(b", ");
            line.extend_from_slice(list.as_bytes());
            let headers = headers(name, before.iter().cloned().chain([line]));
            for trusted in [networks(), hops(proxies.len() + 1)] {
                let client_ip = match name {
                    "forwarded" => ClientIp::forwarded(trusted),
                    _ => ClientIp::x_forwarded_for(trusted),
                };
                prop_assert_eq!(client_ip.resolve(Some(peer), &headers), Ok(client));
            }
        }
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says(
        lines in prop::collection::vec(attack(), 0..4),
        peer in any::<IpAddr>(),
    ) {
        let peer = peer.to_canonical();
        prop_assume!(!networks().is_trusted(peer, 0));
        for (name, client_ip) in [
            ("x-forwarded-for", ClientIp::x_forwarded_for(networks())),
            ("forwarded", ClientIp::forwarded(networks())),
            ("x-real-ip", ClientIp::header("x-real-ip", networks()).unwrap()),
        ] {
            let headers = headers(name, &lines);
            prop_assert_eq!(client_ip.resolve(Some(peer), &headers), Ok(peer));
        }
    }
}
