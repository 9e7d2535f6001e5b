use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest node: an IPv6 address in brackets, a zone, a port; generously.
const LONGEST: usize = 128;

/// Reads an address as proxies write it: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:80`; a zone (`%eth0`) is dropped, an IPv4-mapped IPv6 address is the IPv4 one.
///
/// `None` for everything else, RFC 7239's `unknown` and `_obfuscated` included.
pub(super) fn parse(node: &[u8]) -> Option<IpAddr> {
    if node.len() > LONGEST {
        return None;
    }
    let node = std::str::from_utf8(node).ok()?.trim_matches([' ', '\t']);
    let ip = if let Some(bracketed) = node.strip_prefix('[') {
        let (v6, port) = bracketed.split_once(']')?;
        if !port.is_empty() && !is_port(port.strip_prefix(':')?) {
            return None;
        }
        IpAddr::V6(ipv6(v6)?)
    } else {
        match node.split_once(':') {
            None => IpAddr::V4(node.parse().ok()?),
            // Of a bare IPv6 address the last colon is no port's: it has another one.
            Some((_, rest)) if rest.contains(':') => IpAddr::V6(ipv6(node)?),
            Some((v4, port)) => IpAddr::V4(is_port(port).then(|| v4.parse::<Ipv4Addr>().ok())??),
        }
    };
    Some(ip.to_canonical())
}

/// An address, perhaps with a zone (RFC 6874), which means something on the proxy's machine only.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let address = match text.split_once('%') {
        None => text,
        Some((_, "")) => return None,
        Some((address, _zone)) => address,
    };
    address.parse().ok()
}

/// RFC 7239 §6: `1*5DIGIT`, or an obfuscated port, which begins with an underscore.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(hidden) => !hidden.is_empty() && hidden.bytes().all(is_obfuscated),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit()),
    }
}

fn is_obfuscated(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_as_proxies_write_them() {
        let cases = [
            ("192.0.2.1", "192.0.2.1"),
            (" \t192.0.2.1 ", "192.0.2.1"),
            ("1.2.3.4:5678", "1.2.3.4"),
            ("1.2.3.4:_gazonk", "1.2.3.4"),
            ("2001:db8::17", "2001:db8::17"),
            ("2001:db8:cafe::17:4711", "2001:db8:cafe::17:4711"),
            ("::1", "::1"),
            ("[2001:db8::17]", "2001:db8::17"),
            ("[2001:DB8::17]:4711", "2001:db8::17"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:c000:201", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
            ("::192.0.2.1", "::192.0.2.1"),
        ];
        for (node, ip) in cases {
            assert_eq!(parse(node.as_bytes()), Some(ip.parse().unwrap()), "{node}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        let long = "1".repeat(1 << 20);
        for node in [
            "",
            " ",
            "unknown",
            "_hidden",
            "_SEVKISEK",
            "localhost",
            "unix:",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "256.1.1.1",
            "1.2.3.4/32",
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:_",
            "1.2.3.4:123456",
            "1.2.3.4%eth0",
            "1.2.3.4 5.6.7.8",
            "[1.2.3.4]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]80",
            "[2001:db8::1]:",
            "[2001:db8::1]:-1",
            "[]",
            "[",
            ":",
            ":80",
            "fe80::1%",
            "%eth0",
            "1:2:3:4:5:6:7:8:9",
            "2001:db8::1::2",
            "\"1.2.3.4\"",
            "١.2.3.4",
            long.as_str(),
        ] {
            assert_eq!(parse(node.as_bytes()), None, "{node}");
        }
        assert_eq!(parse(b"\xff\xfe"), None);
    }

    proptest! {
        #[test]
        fn every_address_is_read_in_every_form(ip: IpAddr, port: u16) {
            let read = |node: String| parse(node.as_bytes());
            let expected = Some(ip.to_canonical());
            prop_assert_eq!(read(ip.to_string()), expected);
            prop_assert_eq!(read(std::net::SocketAddr::new(ip, port).to_string()), expected);
            if ip.is_ipv6() {
                prop_assert_eq!(read(format!("[{ip}]")), expected);
                prop_assert_eq!(read(format!("{ip}%wlan0")), expected);
            }
        }

        #[test]
        fn no_bytes_are_a_panic(node: Vec<u8>) {
            let _ = parse(&node);
        }
    }
}
