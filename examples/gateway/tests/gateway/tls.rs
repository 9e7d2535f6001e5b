//! Upstreams over TLS.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, routing::any};
use http::Version;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use crate::running::{Running, config_file};

/// An upstream for `localhost` that says in which version it was asked, and the file of its certificate.
async fn upstream(name: &str, protocols: &[&[u8]]) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = config_file(name, &made.cert.pem());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let tls = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let routes =
            Router::new().fallback(any(
                |version: Version| async move { format!("{version:?}") },
            ));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (tls, service) = (tls.clone(), TowerToHyperService::new(routes.clone()));
            tokio::spawn(async move {
                // A client that does not trust it breaks off here.
                if let Ok(stream) = tls.accept(stream).await {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                }
            });
        }
    });
    (address, file.display().to_string())
}

async fn asked(gateway: &Running) -> (String, String) {
    let mut client = gateway.connect().await;
    client
        .send("GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
        .await;
    let head = client.head().await;
    (head.first_line().to_owned(), client.rest().await)
}

#[tokio::test]
async fn an_upstream_is_who_its_certificate_says() {
    for (http2, protocol, version) in [
        (false, &b"http/1.1"[..], "HTTP/1.1"),
        (true, &b"h2"[..], "HTTP/2.0"),
    ] {
        let (address, ca) = upstream(&format!("tls-{http2}.pem"), &[protocol]).await;
        let port = address.port();
        let text = |host: &str, ca: &str| {
            format!("[[upstreams]]\nurl = 'https://{host}:{port}'\nhttp2 = {http2}\n{ca}\n")
        };
        let ca = format!("ca = '{ca}'");
        let gateway = Running::from(&text("localhost", &ca)).await;
        let (status, body) = asked(&gateway).await;
        assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", version));

        // It is not 127.0.0.1, and nobody whom the system knows.
        for text in [text("127.0.0.1", &ca), text("localhost", "")] {
            let gateway = Running::from(&format!("retry.attempts = 1\n{text}")).await;
            let (status, _) = asked(&gateway).await;
            assert_eq!(status, "HTTP/1.1 502 Bad Gateway");
        }
    }
}

#[tokio::test]
async fn a_wish_for_a_tunnel_reaches_an_upstream_of_http2_in_http1() {
    let (address, ca) = upstream("tls-both.pem", &[b"h2", b"http/1.1"]).await;
    let port = address.port();
    let gateway = Running::from(&format!(
        "[[upstreams]]\nurl = 'https://localhost:{port}'\nhttp2 = true\nca = '{ca}'\n"
    ))
    .await;
    let (status, body) = asked(&gateway).await;
    assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", "HTTP/2.0"));
    let mut client = gateway.connect().await;
    client
        .send("GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket\n\n")
        .await;
    // Which makes none, and says in which version it was asked.
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    client.expect("HTTP/1.1").await;
}

/// Certificates are renewed in the file that they stand in.
#[tokio::test]
async fn a_reload_reads_the_certificates_again() {
    let (address, right) = upstream("tls-right.pem", &[b"http/1.1"]).await;
    let (_, wrong) = upstream("tls-wrong.pem", &[b"http/1.1"]).await;
    let text = |path: &str| std::fs::read_to_string(path).unwrap();
    let file = config_file("tls-renewed.pem", &text(&wrong));
    let config = format!(
        "retry.attempts = 1\n[[upstreams]]\nurl = 'https://localhost:{}'\nca = '{}'\n",
        address.port(),
        file.display()
    );
    let gateway = Running::from(&config).await;
    assert_eq!(asked(&gateway).await.0, "HTTP/1.1 502 Bad Gateway");
    config_file("tls-renewed.pem", &text(&right));
    gateway.reload(&config).unwrap();
    assert_eq!(asked(&gateway).await.0, "HTTP/1.1 200 OK");

    std::fs::remove_file(&file).unwrap();
    let refused = gateway.reload(&config).unwrap_err();
    assert!(refused.starts_with("upstreams[0].ca: "), "{refused}");
    assert_eq!(asked(&gateway).await.0, "HTTP/1.1 200 OK", "as before");
}

#[tokio::test]
async fn a_file_without_a_certificate_is_refused() {
    let gateway = Running::from("").await;
    let empty = config_file("empty.pem", "");
    for (file, reason) in [
        (empty.to_str().unwrap(), "there is no certificate in it"),
        ("absent.pem", "absent.pem: "),
    ] {
        let text = format!("[[upstreams]]\nurl = 'https://a'\nca = '{file}'\n");
        let refused = gateway.reload(&text).unwrap_err();
        assert!(
            refused.starts_with("upstreams[0].ca: ") && refused.contains(reason),
            "{refused}"
        );
    }
}
