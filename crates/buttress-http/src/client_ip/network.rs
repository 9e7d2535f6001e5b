use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of `ip`: of an IPv6 address the leading `ipv6_prefix` bits, which are 1 to 128.
pub(super) fn network_of(ip: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match ip.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            if let Some(v4) = translated(v6) {
                return IpAddr::V4(v4);
            }
            let host_bits = 128_u32.saturating_sub(u32::from(ipv6_prefix));
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// The IPv4 address in one of the well-known prefix `64:ff9b::/96` (RFC 6052 §2.1). Cut as others are, the
/// whole of IPv4 behind a translator would be one client.
fn translated(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    const WELL_KNOWN: u128 = 0x0064_ff9b << 96;
    let bits = v6.to_bits();
    (bits & !u128::from(u32::MAX) == WELL_KNOWN).then(|| Ipv4Addr::from_bits(bits as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keyed at /128, one household has 2⁶⁴ quotas.
    #[test]
    fn ipv6_is_cut_and_ipv4_is_whole() {
        let cases = [
            ("192.0.2.255", 64, "192.0.2.255"),
            ("::ffff:192.0.2.255", 64, "192.0.2.255"),
            ("::ffff:192.0.2.255", 1, "192.0.2.255"),
            ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"),
            ("2001:db8:1:2ff:3:4:5:6", 56, "2001:db8:1:200::"),
            ("2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::"),
            ("2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6"),
            ("ffff::1", 1, "8000::"),
            ("64:ff9b::192.0.2.1", 64, "192.0.2.1"),
            ("64:ff9b::192.0.2.2", 48, "192.0.2.2"),
            ("64:ff9b:0:0:0:1:c000:201", 64, "64:ff9b::"),
        ];
        for (ip, prefix, network) in cases {
            assert_eq!(
                network_of(ip.parse().unwrap(), prefix),
                network.parse::<IpAddr>().unwrap(),
                "{ip}/{prefix}"
            );
        }
    }
}
