use std::net::IpAddr;

use buttress_http::{ClientIp, TrustedProxies};
use serde::{Deserialize, Deserializer};

use super::{Network, Violation, number::whole, reason};

/// Whose request it is: where the client's address stands, and whose word about it is believed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct ClientIpConfig {
    /// Where it stands.
    pub source: Source,
    /// The networks of the proxies in front of this one; needed, or `hops` is, unless the source is the
    /// peer.
    pub trusted: Option<Vec<Network>>,
    /// How many proxies stand in front of this one, whatever their addresses.
    #[serde(deserialize_with = "hops")]
    pub hops: Option<usize>,
    /// How many leading bits of an IPv6 address are one client.
    #[serde(deserialize_with = "ipv6_prefix")]
    pub ipv6_prefix: u8,
}

/// Where the client's address stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Source {
    /// The socket's peer is the client.
    Peer,
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// A header of one address, such as `CF-Connecting-IP`.
    Header(String),
}

impl Default for ClientIpConfig {
    fn default() -> Self {
        Self {
            source: Source::Peer,
            trusted: None,
            hops: None,
            ipv6_prefix: 64,
        }
    }
}

impl ClientIpConfig {
    /// Whether `peer` is a proxy whose word about the request is believed.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.hops.is_some()
            || self
                .trusted
                .iter()
                .flatten()
                .any(|trusted| trusted.contains(peer))
    }

    /// The rule that finds the client.
    ///
    /// # Errors
    ///
    /// Where the fields contradict each other.
    pub fn build(&self) -> Result<ClientIp, Violation> {
        let rule = match (&self.source, self.trusted()?) {
            (Source::Peer, None) => ClientIp::peer(),
            (Source::Peer, Some(_)) => {
                let field = if self.hops.is_some() {
                    "hops"
                } else {
                    "trusted"
                };
                return Err(Violation::new(
                    format!("client_ip.{field}"),
                    "means nothing while `source` is \"peer\", expected a `source` that names a header",
                ));
            }
            (_, None) => {
                return Err(Violation::new(
                    "client_ip.source",
                    "a header is only as true as whoever wrote it, expected `trusted` or `hops` beside it",
                ));
            }
            (Source::XForwardedFor, Some(trusted)) => ClientIp::x_forwarded_for(trusted),
            (Source::Forwarded, Some(trusted)) => ClientIp::forwarded(trusted),
            (Source::Header(name), Some(trusted)) => ClientIp::header(name, trusted)
                .map_err(|error| Violation::new("client_ip.source.header", reason(&error)))?,
        };
        rule.ipv6_prefix(self.ipv6_prefix)
            .map_err(|error| Violation::new("client_ip.ipv6_prefix", reason(&error)))
    }

    fn trusted(&self) -> Result<Option<TrustedProxies>, Violation> {
        match (&self.trusted, self.hops) {
            (None, None) => Ok(None),
            (Some(networks), None) => TrustedProxies::networks(networks.iter().map(Network::text))
                .map(Some)
                .map_err(|error| Violation::new("client_ip.trusted", reason(&error))),
            (None, Some(hops)) => TrustedProxies::hops(hops)
                .map(Some)
                .map_err(|error| Violation::new("client_ip.hops", reason(&error))),
            (Some(_), Some(_)) => Err(Violation::new(
                "client_ip.hops",
                "expected either `trusted` or `hops`, not both",
            )),
        }
    }
}

fn hops<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    whole(deserializer, 1..=64, "").map(Some)
}

fn ipv6_prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    whole(deserializer, 1..=128, "")
}
