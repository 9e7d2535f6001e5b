use std::net::{IpAddr, Ipv6Addr};

/// The network of `ip`: of an IPv6 address the leading `ipv6_prefix` bits, which are 1 to 128.
pub(super) fn network_of(ip: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match ip.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let host_bits = 128_u32.saturating_sub(u32::from(ipv6_prefix));
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
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
