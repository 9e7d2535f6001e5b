//! Whose request is it: the client's address, past the proxies that are trusted.
//!
//! A header is only as true as whoever wrote it, so it is read like this:
//!
//! 1. All lines of **one** header, the one that the deployment's proxies set, are one list. There is no
//!    list of headers to try: what a proxy does not set, the client sets.
//! 2. The walk starts at the socket's peer and goes through the list from right to left, because each
//!    proxy appends at the right whom it heard from.
//! 3. It goes on past what is [trusted](TrustedProxies). The first address that is not, is the client. If
//!    the peer itself is not trusted, it is the client, and the header is not looked at.
//! 4. An entry that is no address (`unknown`, `_hidden`, rubbish) ends the walk at the last trusted hop.
//!    It is not skipped: what stands left of it, nobody has vouched for. Only empty list elements are
//!    skipped, as RFC 9110 §5.6.1.2 asks.
//! 5. Only if the whole chain is trusted, the leftmost entry is the client.
//! 6. The walk ends after 64 elements or 16 KiB, likewise at the last trusted hop.
//!
//! So whatever a client writes into the header, it stands left of what the proxies wrote, and is not
//! reached. What is keyed by is the [network](ClientIp::network_of): an IPv6 client owns a /64 or more, and
//! may use a fresh address for every request.

mod forwarded;
mod network;
mod node;
#[cfg(test)]
mod tests;
mod trust;
mod walk;
mod x_forwarded_for;

use std::{
    any::Any,
    net::{IpAddr, SocketAddr},
};

use buttress_core::{ConfigError, ExtractKey, KeyWriter, MissingKey};
use http::{
    HeaderMap, HeaderName,
    header::{FORWARDED, HeaderValue},
};

pub use self::trust::TrustedProxies;
use self::walk::walk;
use crate::{Head, peer::attached, peer_addr};

/// Finds the client's address; as an [extractor](ExtractKey), keys by its network. See the
/// [module](self) for the rules.
///
/// ```
/// use std::net::IpAddr;
/// use buttress_http::{ClientIp, TrustedProxies};
/// use http::{HeaderMap, HeaderValue};
///
/// let behind_a_balancer = ClientIp::x_forwarded_for(TrustedProxies::networks(["10.0.0.0/8"])?);
///
/// // The client claims to be 1.1.1.1; the balancer knows better.
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", HeaderValue::from_static("1.1.1.1, 203.0.113.7"));
/// let balancer = IpAddr::from([10, 0, 0, 2]);
/// let client = behind_a_balancer.resolve(Some(balancer), &headers).unwrap();
/// assert_eq!(client, IpAddr::from([203, 0, 113, 7]));
/// # Ok::<(), buttress_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIp {
    source: Source,
    ipv6_prefix: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Peer,
    XForwardedFor(TrustedProxies),
    Forwarded(TrustedProxies),
    Header(HeaderName, TrustedProxies),
}

/// What the least customer of most providers is given.
const IPV6_PREFIX: u8 = 64;

impl ClientIp {
    /// The socket's peer. No header is believed: for a service that clients reach directly.
    #[must_use]
    pub const fn peer() -> Self {
        Self::from_source(Source::Peer)
    }

    /// `X-Forwarded-For`, as most proxies and load balancers write it.
    #[must_use]
    pub const fn x_forwarded_for(trusted: TrustedProxies) -> Self {
        Self::from_source(Source::XForwardedFor(trusted))
    }

    /// The `for` parameters of `Forwarded` (RFC 7239).
    #[must_use]
    pub const fn forwarded(trusted: TrustedProxies) -> Self {
        Self::from_source(Source::Forwarded(trusted))
    }

    /// A header of **one** address, such as `CF-Connecting-IP`, `True-Client-IP` or `X-Real-IP`, that
    /// the proxy replaces. Believed if the peer is trusted; under [`TrustedProxies::hops`] it always is.
    ///
    /// Where it is missing, given twice, or is not one address, the peer is the client.
    ///
    /// # Errors
    ///
    /// Where `name` is no header's name, or is that of a list, which has a constructor of its own.
    pub fn header(name: &str, trusted: TrustedProxies) -> Result<Self, ConfigError> {
        let parsed: HeaderName = name
            .parse()
            .map_err(|_| ConfigError::new("header", name, "the name of an HTTP header"))?;
        if parsed == FORWARDED || parsed == x_forwarded_for::NAME {
            return Err(ConfigError::new(
                "header",
                name,
                "a header of one address; for a list use `forwarded` or `x_forwarded_for`",
            ));
        }
        Ok(Self::from_source(Source::Header(parsed, trusted)))
    }

    const fn from_source(source: Source) -> Self {
        Self {
            source,
            ipv6_prefix: IPV6_PREFIX,
        }
    }

    /// How many leading `bits` of an IPv6 address are one client; 64 by default. Use 56 or 48 where the
    /// provider gives that much to each customer.
    ///
    /// # Errors
    ///
    /// Where `bits` is not in 1 to 128.
    pub fn ipv6_prefix(mut self, bits: u8) -> Result<Self, ConfigError> {
        if !(1..=128).contains(&bits) {
            return Err(ConfigError::new("ipv6_prefix", bits, "1 to 128 bits"));
        }
        self.ipv6_prefix = bits;
        Ok(self)
    }

    /// Whether the client is the socket's peer, whatever the headers say.
    #[must_use]
    #[inline]
    pub const fn is_peer(&self) -> bool {
        matches!(self.source, Source::Peer)
    }

    /// The client's address, given the socket's `peer`. An IPv4 address in IPv6's clothes
    /// (`::ffff:192.0.2.1`) comes out as IPv4.
    ///
    /// # Errors
    ///
    /// [`MissingKey`] where the peer is not known: then there is nobody to vouch for a header.
    pub fn resolve(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<IpAddr, MissingKey> {
        let peer = peer
            .ok_or(MissingKey::new("the address of the peer is not known"))?
            .to_canonical();
        Ok(match &self.source {
            Source::Peer => peer,
            Source::XForwardedFor(trusted) => walk(trusted, peer, x_forwarded_for::nodes(headers)),
            Source::Forwarded(trusted) => walk(trusted, peer, forwarded::nodes(headers)),
            Source::Header(name, trusted) if trusted.is_trusted(peer, 0) => {
                single(headers, name).unwrap_or(peer)
            }
            Source::Header(..) => peer,
        })
    }

    /// The client's address, of a request whose peer somebody attached: see
    /// [`peer_addr`](crate::peer_addr()).
    ///
    /// # Errors
    ///
    /// [`MissingKey`] where nobody did.
    pub fn of(&self, head: &Head) -> Result<IpAddr, MissingKey> {
        let peer = peer_addr(head.extensions()).map(|address| address.ip());
        self.resolve(peer, head.headers())
    }

    /// The network that stands for a client: an IPv4 address itself, also one that a translator wrote as
    /// `64:ff9b::192.0.2.1` (RFC 6052), the first address of an IPv6
    /// address's [prefix](Self::ipv6_prefix).
    #[must_use]
    pub fn network_of(&self, ip: IpAddr) -> IpAddr {
        network::network_of(ip, self.ipv6_prefix)
    }
}

/// The network of the client.
impl ExtractKey<Head> for ClientIp {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        // The usual case by itself: handed from function to function, an address of either kind takes
        // longer than hashing it.
        if let (Source::Peer, Some(SocketAddr::V4(peer))) =
            (&self.source, attached(from.extensions()))
        {
            key.ip(IpAddr::V4(*peer.ip()));
            return Ok(());
        }
        key.ip(self.network_of(self.of(from)?));
        Ok(())
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        other.downcast_ref() == Some(self)
    }
}

/// The one address of the one line of a header.
fn single(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => node::parse(HeaderValue::as_bytes(line)),
        _ => None,
    }
}
