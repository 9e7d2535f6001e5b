use std::{net::IpAddr, sync::Arc};

use buttress_core::ConfigError;
use ipnet::{IpNet, Ipv4Net};

use super::walk::MAX_ELEMENTS;

/// Whose word about the address before them is believed.
///
/// Neither form is safe if clients can reach the service past the proxies and connect from a trusted
/// address: whoever does writes the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies(Trust);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Trust {
    Networks(Arc<[IpNet]>),
    Hops(usize),
}

impl TrustedProxies {
    /// Proxies that are known by their networks, such as `10.0.0.0/8` or `2001:db8::/32`, or by single
    /// addresses. The better choice of the two: a request that did not come through them is not
    /// believed.
    ///
    /// # Errors
    ///
    /// Where one of them does not parse, where there is none (then [`ClientIp::peer`] is meant), and
    /// where one is `0.0.0.0/0` or `::/0`: with everybody trusted the client writes its own address.
    ///
    /// [`ClientIp::peer`]: super::ClientIp::peer
    pub fn networks<I>(networks: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let networks = networks
            .into_iter()
            .map(|network| network_from(network.as_ref()))
            .collect::<Result<Arc<[_]>, _>>()?;
        if networks.is_empty() {
            return Err(ConfigError::new("networks", "[]", "at least one network"));
        }
        Ok(Self(Trust::Networks(networks)))
    }

    /// A fixed number of proxies stands before the service, whatever their addresses: the client is the
    /// `hops`-th entry from the right. With one proxy that is the last entry.
    ///
    /// Only sound where every request comes through all of them. If the header has fewer entries, the
    /// request did not, and the peer is the client.
    ///
    /// # Errors
    ///
    /// Where `hops` is not in 1 to 64.
    pub fn hops(hops: usize) -> Result<Self, ConfigError> {
        if !(1..=MAX_ELEMENTS).contains(&hops) {
            return Err(ConfigError::new("hops", hops, "1 to 64 proxies"));
        }
        Ok(Self(Trust::Hops(hops)))
    }

    /// Whether `ip`, which is `distance` entries away from the peer, is believed. `ip` is canonical.
    pub(super) fn is_trusted(&self, ip: IpAddr, distance: usize) -> bool {
        match &self.0 {
            Trust::Networks(networks) => networks.iter().any(|network| network.contains(&ip)),
            Trust::Hops(hops) => distance < *hops,
        }
    }

    /// Who the client is where the list ends while everybody in it was trusted.
    pub(super) fn at_the_end(&self, peer: IpAddr, leftmost: IpAddr) -> IpAddr {
        match self.0 {
            Trust::Networks(_) => leftmost,
            // The header is shorter than promised, so nothing in it is vouched for.
            Trust::Hops(_) => peer,
        }
    }
}

/// A network or a single address; the IPv4-mapped part of IPv6 is IPv4, as addresses are.
fn network_from(text: &str) -> Result<IpNet, ConfigError> {
    const FIELD: &str = "networks";
    let network = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            ConfigError::new(FIELD, text, "a network such as `10.0.0.0/8`, or an address")
        })?;
    let network = match network {
        IpNet::V6(v6) => match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
            (Some(v4), Some(prefix)) => Ipv4Net::new(v4, prefix).map_or(network, IpNet::V4),
            _ => network,
        },
        IpNet::V4(_) => network,
    };
    if network.prefix_len() == 0 {
        return Err(ConfigError::new(
            FIELD,
            text,
            "a network that not everybody is in; if all that is known is the number of proxies, use `hops`",
        ));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(networks: &[&str], ip: &str) -> bool {
        TrustedProxies::networks(networks)
            .unwrap()
            .is_trusted(ip.parse().unwrap(), 0)
    }

    #[test]
    fn networks_and_addresses() {
        assert!(trusts(&["10.0.0.0/8"], "10.255.255.255"));
        assert!(!trusts(&["10.0.0.0/8"], "11.0.0.0"));
        assert!(
            trusts(&["10.9.9.9/8"], "10.0.0.1"),
            "host bits do not count"
        );
        assert!(trusts(&["192.0.2.1", "2001:db8::1"], "192.0.2.1"));
        assert!(trusts(&["192.0.2.1", "2001:db8::1"], "2001:db8::1"));
        assert!(!trusts(&["192.0.2.1", "2001:db8::1"], "2001:db8::2"));
        assert!(trusts(&["2001:db8::/32"], "2001:db8:ffff::"));
        assert!(trusts(&["::ffff:10.0.0.0/104"], "10.1.2.3"));
        assert!(trusts(&["::ffff:10.0.0.1"], "10.0.0.1"));
        assert!(!trusts(&["::ffff:10.0.0.1"], "10.0.0.2"));
    }

    #[test]
    fn what_cannot_work_is_said_at_build_time() {
        let expected = "a network such as `10.0.0.0/8`, or an address";
        for network in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "fe80::1%eth0",
            "proxy.internal",
            " 10.0.0.1",
        ] {
            let error = TrustedProxies::networks(["10.0.0.1", network]).unwrap_err();
            assert_eq!(
                (error.field(), error.value(), error.expected()),
                ("networks", network, expected)
            );
        }
        for everybody in ["0.0.0.0/0", "::/0", "10.0.0.0/0", "::ffff:0.0.0.0/96"] {
            let error = TrustedProxies::networks([everybody]).unwrap_err();
            assert_eq!((error.field(), error.value()), ("networks", everybody));
        }
        assert!(TrustedProxies::networks::<[&str; 0]>([]).is_err());
        for (hops, possible) in [
            (0, false),
            (1, true),
            (64, true),
            (65, false),
            (usize::MAX, false),
        ] {
            assert_eq!(TrustedProxies::hops(hops).is_ok(), possible, "{hops}");
        }
    }
}
