//! The key, what it is made of, and what cannot be made one.

use super::*;
use crate::PeerAddr;

#[test]
fn a_request_without_a_peer_has_no_key() {
    let headers = headers("x-forwarded-for", ["1.2.3.4"]);
    for client_ip in [
        ClientIp::peer(),
        ClientIp::x_forwarded_for(networks()),
        ClientIp::x_forwarded_for(hops(1)),
        ClientIp::header("x-real-ip", hops(1)).unwrap(),
    ] {
        let missing = client_ip.resolve(None, &headers).unwrap_err();
        assert_eq!(missing.why(), "the address of the peer is not known");
    }
}

fn request(peer: Option<&str>) -> http::Request<()> {
    let mut request = http::Request::get("/")
        .header("x-forwarded-for", "2001:db8:1:2:3:4:5:6")
        .body(())
        .unwrap();
    if let Some(peer) = peer {
        let address = std::net::SocketAddr::new(ip(peer), 443);
        request.extensions_mut().insert(PeerAddr(address));
    }
    request
}

#[test]
fn is_keyed_by_the_network() {
    let label = |client_ip: &ClientIp, request: &http::Request<()>| {
        KeyWriter::label(|key| client_ip.extract(request.into(), key))
    };

    let client_ip = ClientIp::x_forwarded_for(networks());
    assert_eq!(
        label(&client_ip, &request(Some("10.0.0.1"))).as_deref(),
        Ok("2001:db8:1:2::")
    );
    assert_eq!(
        label(&client_ip, &request(Some("::ffff:1.2.3.4"))).as_deref(),
        Ok("1.2.3.4")
    );
    assert_eq!(
        client_ip.of((&request(Some("10.0.0.1"))).into()),
        Ok(ip("2001:db8:1:2:3:4:5:6"))
    );
    assert!(label(&client_ip, &request(None)).is_err());

    let wider = client_ip.ipv6_prefix(48).unwrap();
    assert_eq!(
        label(&wider, &request(Some("10.0.0.1"))).as_deref(),
        Ok("2001:db8:1::")
    );
}

#[test]
fn what_cannot_work_is_said_at_build_time() {
    for (bits, possible) in [
        (0, false),
        (1, true),
        (128, true),
        (129, false),
        (255, false),
    ] {
        let built = ClientIp::peer().ipv6_prefix(bits);
        assert_eq!(built.is_ok(), possible, "{bits}");
    }
    for name in ["", "a b", "x-réal-ip", "X-Forwarded-For", "forwarded"] {
        let error = ClientIp::header(name, hops(1)).unwrap_err();
        assert_eq!((error.field(), error.value()), ("header", name));
    }
}
