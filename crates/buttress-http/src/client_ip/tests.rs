mod attacks;
mod bounds;
mod forwarded;
mod header;
mod key;
mod x_forwarded_for;

use http::HeaderValue;

use super::*;

/// The networks that the tables trust.
const TRUSTED: [&str; 3] = ["10.0.0.0/8", "192.0.2.7", "2001:db8:aaaa::/48"];

fn networks() -> TrustedProxies {
    TrustedProxies::networks(TRUSTED).unwrap()
}

fn hops(hops: usize) -> TrustedProxies {
    TrustedProxies::hops(hops).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn headers<V: AsRef<[u8]>>(name: &str, lines: impl IntoIterator<Item = V>) -> HeaderMap {
    let name: HeaderName = name.parse().unwrap();
    let lines = lines.into_iter();
    HeaderMap::from_iter(lines.map(|line| {
        let value = HeaderValue::from_bytes(line.as_ref()).unwrap();
        (name.clone(), value)
    }))
}

fn resolved(client_ip: &ClientIp, peer: &str, headers: &HeaderMap) -> IpAddr {
    client_ip.resolve(Some(ip(peer)), headers).unwrap()
}
