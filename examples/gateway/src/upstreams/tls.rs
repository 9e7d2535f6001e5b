//! Connections to upstreams, over TLS where their address says so.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::config::UpstreamConfig;

pub(super) type Connector = HttpsConnector<HttpConnector>;

/// What stands now in the file of certificates that an upstream has, if it has one.
///
/// The error is why it cannot be read.
pub(super) fn ca(config: &UpstreamConfig) -> Result<Option<Vec<u8>>, String> {
    let read = |file: &PathBuf| fs::read(file).map_err(|error| wrong(file, &error));
    config.ca.as_ref().map(read).transpose()
}

/// The one for the pool, in the version of HTTP that is configured, and one of HTTP/1.1. `ca` is what stands in the file of
/// certificates.
///
/// The error is what is wrong with the certificates.
pub(super) fn connectors(
    config: &UpstreamConfig,
    ca: Option<&[u8]>,
) -> Result<(Connector, Connector), String> {
    let tls = tls(config, ca)?;
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

fn tls(config: &UpstreamConfig, ca: Option<&[u8]>) -> Result<ClientConfig, String> {
    let roots = match config.ca.as_ref().zip(ca) {
        Some((file, ca)) => of_file(file, ca)?,
        None if config.url.is_tls() => of_the_system()?,
        None => RootCertStore::empty(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(tls.with_root_certificates(roots).with_no_client_auth())
}

fn of_file(file: &Path, text: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|error| wrong(file, &error))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(file, &error))?;
    }
    if roots.is_empty() {
        return Err(wrong(file, &"there is no certificate in it"));
    }
    Ok(roots)
}

fn wrong(file: &Path, error: &dyn fmt::Display) -> String {
    format!("{}: {error}", file.display())
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
