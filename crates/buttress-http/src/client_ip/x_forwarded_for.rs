use std::net::IpAddr;

use http::{HeaderMap, HeaderName};

use super::{
    node,
    walk::{Element, elements},
};

pub(super) const NAME: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The entries of `X-Forwarded-For` from right to left; `None` for one that is no address.
pub(super) fn nodes(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    elements(headers.get_all(NAME).iter(), after_last_comma).map(|element| match element {
        Element::Text(text) => node::parse(text),
        Element::Unreadable => None,
    })
}

fn after_last_comma(line: &[u8]) -> Option<usize> {
    let comma = line.iter().rposition(|&byte| byte == b',');
    Some(comma.map_or(0, |comma| comma + 1))
}
