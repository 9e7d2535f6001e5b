//! The keys of the measurements.

use std::net::{IpAddr, Ipv4Addr};

/// The `n`-th address.
#[must_use]
pub fn ip(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))
}

/// The `n`-th text of 40 bytes.
#[must_use]
pub fn text(n: u32) -> String {
    format!("tenant-{n:033}")
}
