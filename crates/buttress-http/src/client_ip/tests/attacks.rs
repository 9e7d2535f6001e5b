//! Whatever a client writes.

use proptest::prelude::*;

use super::*;

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
