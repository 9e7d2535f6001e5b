//! Headers of one address, and that no other is read than the one that was named.

use super::*;

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
