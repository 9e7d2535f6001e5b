use std::{fmt, net::IpAddr, str::FromStr};

use buttress_core::ConfigError;
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, de};

use super::reason;

/// A network such as `10.0.0.0/8`, or a single address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    text: String,
    network: IpNet,
}

impl Network {
    /// Whether `ip`, which is canonical, is in it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.network.contains(&ip)
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Network {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = |expected| ConfigError::new("network", text, expected);
        let network = text
            .parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(unmapped)
            .map_err(|_| wrong("a network such as `10.0.0.0/8`, or an address"))?;
        if network.prefix_len() == 0 {
            return Err(wrong("a network that not everybody is in"));
        }
        Ok(Self {
            text: text.to_owned(),
            network,
        })
    }
}

/// The IPv4-mapped part of IPv6 is IPv4, as the addresses are that are looked for in it.
fn unmapped(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(prefix) = v6.prefix_len().checked_sub(96)
    {
        Ipv4Net::new(v4, prefix).map_or(network, IpNet::V4)
    } else {
        network
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// A visitor, because an array's element has a line of its own only for errors that arise in one.
struct Text;

impl de::Visitor<'_> for Text {
    type Value = Network;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a network such as \"10.0.0.0/8\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Network, E> {
        text.parse().map_err(|error| E::custom(reason(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_whichever_clothes_the_network_came() {
        for (network, ip, is_in) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::ffff:10.0.0.1", "10.0.0.2", false),
            ("2001:db8::/32", "2001:db8:ffff::", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(
                parsed.contains(ip.parse().unwrap()),
                is_in,
                "{ip} in {network}"
            );
        }
    }

    #[test]
    fn everybody_is_no_network() {
        for everybody in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
            assert!(everybody.parse::<Network>().is_err(), "{everybody}");
        }
    }
}
