//! Connections to upstreams, over TLS where their address says so.

use std::{fs, path::Path, sync::Arc};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::config::UpstreamConfig;

pub(super) type Connector = HttpsConnector<HttpConnector>;

/// The one for the pool, in the version of HTTP that is configured, and one of HTTP/1.1.
///
/// The error is what is wrong with the certificates.
pub(super) fn connectors(config: &UpstreamConfig) -> Result<(Connector, Connector), String> {
    let tls = tls(config)?;
    let builder = || {
        HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
    };
    let pooled = if config.http2 {
        builder().enable_http2().wrap_connector(tcp())
    } else {
        builder().enable_http1().wrap_connector(tcp())
    };
    Ok((pooled, builder().enable_http1().wrap_connector(tcp())))
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    // What comes after is TLS.
    tcp.enforce_http(false);
    tcp
}

fn tls(config: &UpstreamConfig) -> Result<ClientConfig, String> {
    let roots = match &config.ca {
        Some(file) => of_file(file)?,
        None if config.url.is_tls() => of_the_system()?,
        None => RootCertStore::empty(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(tls.with_root_certificates(roots).with_no_client_auth())
}

fn of_file(file: &Path) -> Result<RootCertStore, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read(file).map_err(|error| wrong(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(roots)
}

fn of_the_system() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems have one or another that nobody can read.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("the system has no certificates, expected a file of them".to_owned());
    }
    Ok(roots)
}
