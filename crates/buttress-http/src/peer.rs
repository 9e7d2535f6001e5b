use std::net::SocketAddr;

use http::Extensions;

/// The address at the other end of the socket, as a request's extension.
///
/// For servers that attach no connect info of their own: insert it per connection, and
/// [`peer_addr`] finds it. A server on a Unix socket inserts an address of its choice, such as
/// `127.0.0.1:0`, where the headers of whoever connects there are to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// The address at the other end of the socket, if anybody attached it.
///
/// Looked for in this order: [`PeerAddr`]; with the feature `axum` its `ConnectInfo<SocketAddr>`; with
/// the feature `tonic` its `TcpConnectInfo`.
#[inline]
#[must_use]
pub fn peer_addr(extensions: &Extensions) -> Option<SocketAddr> {
    if let Some(address) = attached(extensions) {
        return Some(*address);
    }
    #[cfg(feature = "tonic")]
    if let Some(info) = extensions.get::<tonic::transport::server::TcpConnectInfo>() {
        return info.remote_addr();
    }
    None
}

/// As [`peer_addr`] finds it, where it is an extension as it stands.
#[inline]
pub(crate) fn attached(extensions: &Extensions) -> Option<&SocketAddr> {
    if let Some(PeerAddr(address)) = extensions.get() {
        return Some(address);
    }
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(address)) = extensions.get() {
        return Some(address);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7);

    #[test]
    fn is_absent_where_nobody_attached_it() {
        assert_eq!(peer_addr(&Extensions::new()), None);
    }

    #[test]
    fn is_found_where_we_attached_it() {
        let mut extensions = Extensions::new();
        extensions.insert(PeerAddr(ADDRESS));
        assert_eq!(peer_addr(&extensions), Some(ADDRESS));
    }

    #[cfg(feature = "axum")]
    #[test]
    fn is_found_where_axum_attached_it() {
        let mut extensions = Extensions::new();
        extensions.insert(axum::extract::ConnectInfo(ADDRESS));
        assert_eq!(peer_addr(&extensions), Some(ADDRESS));

        let mine = SocketAddr::from(([192, 0, 2, 1], 1));
        extensions.insert(PeerAddr(mine));
        assert_eq!(
            peer_addr(&extensions),
            Some(mine),
            "what we attached goes first"
        );
    }

    #[cfg(feature = "tonic")]
    #[test]
    fn is_found_where_tonic_attached_it() {
        let mut extensions = Extensions::new();
        extensions.insert(tonic::transport::server::TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(ADDRESS),
        });
        assert_eq!(peer_addr(&extensions), Some(ADDRESS));
    }
}
