//! Whatever a client writes into the header, it cannot choose its address.
#![no_main]

use std::net::IpAddr;

use buttress_http::{ClientIp, TrustedProxies};
use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};
use libfuzzer_sys::fuzz_target;

const PROXY: [u8; 4] = [10, 0, 0, 1];
const CLIENT: [u8; 4] = [203, 0, 113, 7];

fuzz_target!(|input: &[u8]| {
    let trusted = || TrustedProxies::networks(["10.0.0.0/8"]).expect("a network");
    let proxy = IpAddr::from(PROXY);
    let client = IpAddr::from(CLIENT);
    let lists = [
        (
            ClientIp::x_forwarded_for(trusted()),
            HeaderName::from_static("x-forwarded-for"),
            &b", 203.0.113.7, 10.0.0.2:80"[..],
        ),
        (
            ClientIp::forwarded(trusted()),
            FORWARDED,
            b", proto=https;for=203.0.113.7, FOR=\"10.0.0.2:80\"",
        ),
    ];
    for (client_ip, name, written_by_proxies) in lists {
        // Each line of the input is a line of the header.
        let mut lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
        let headers = headers(&name, &lines);

        // An untrusted peer is the client; a trusted one never is an error.
        assert_eq!(client_ip.resolve(Some(client), &headers), Ok(client));
        assert!(client_ip.resolve(Some(proxy), &headers).is_ok());
        assert!(client_ip.resolve(None, &headers).is_err());

        // What the trusted proxies append, to the client's last line or after it, is what counts.
        let last = lines.pop().unwrap_or_default();
        let appended = [last, written_by_proxies].concat();
        let own_line = written_by_proxies;
        for tail in [vec![&appended[..]], vec![last, own_line]] {
            let headers = headers_of(&name, lines.iter().copied().chain(tail));
            assert_eq!(client_ip.resolve(Some(proxy), &headers), Ok(client));
        }
    }

    let single = ClientIp::header("x-real-ip", trusted()).expect("a header of one address");
    let headers = headers(&HeaderName::from_static("x-real-ip"), &[input]);
    assert_eq!(single.resolve(Some(client), &headers), Ok(client));
    if let Ok(ip) = single.resolve(Some(proxy), &headers) {
        // What was read as an address is canonical, and so is its network.
        assert_eq!(ip, ip.to_canonical());
        let network = single.network_of(ip);
        assert_eq!(network, single.network_of(network));
    }
});

fn headers(name: &HeaderName, lines: &[&[u8]]) -> HeaderMap {
    headers_of(name, lines.iter().copied())
}

/// Bytes that no header can hold are left out.
fn headers_of<'a>(name: &HeaderName, lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let values = lines.map(|line| {
        let printable: Vec<u8> = line
            .iter()
            .copied()
            .filter(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7F))
            .collect();
        HeaderValue::from_bytes(&printable).expect("filtered")
    });
    HeaderMap::from_iter(values.map(|value| (name.clone(), value)))
}
