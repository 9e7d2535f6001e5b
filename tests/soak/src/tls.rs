//! Who the upstream that speaks TLS is: made for one run, and trusted by its gateway alone.

use std::{fs, io, path::Path, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// The file of the certificate, which the gateway is told to trust.
pub(crate) const CERTIFICATE: &str = "upstream.pem";

const KEY: &str = "upstream.key";

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Makes a certificate for 127.0.0.1, in `folder`.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
    let made = made.map_err(io::Error::other)?;
    fs::write(folder.join(CERTIFICATE), made.cert.pem())?;
    fs::write(folder.join(KEY), made.signing_key.serialize_pem())
}

/// Speaks TLS with what was made in `folder`, in HTTP/2 or HTTP/1.1.
pub(crate) fn acceptor(folder: &Path) -> Result<TlsAcceptor, Error> {
    let certificate = CertificateDer::from_pem_file(folder.join(CERTIFICATE))?;
    let key = PrivateKeyDer::from_pem_file(folder.join(KEY))?;
    let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(tls)))
}
