use buttress_core::{ExtractKey, KeyWriter, MissingKey};
use buttress_http::{Head, keys::Authority};
use http::{HeaderName, header::AUTHORIZATION};

use super::credential;

/// Whom a 429 is about, unless told otherwise: the upstream's authority, and the credential with which it was called.
///
/// The credential is what stands in `Authorization`, and in `x-api-key`, `api-key` and `x-goog-api-key`; of an
/// `Authorization` that signs each request anew it is whose signature that is: AWS's (SigV4), OAuth 1.0's and Digest's. It is
/// hashed under a secret, and kept nowhere. A credential elsewhere, such as Google's `?key=`, is to be named: who is not told
/// from another shares its parks.
///
/// One more part of the key, such as a vendor's bucket, is a tuple. What stands in the body, as the model that a language
/// model's limits are about, comes as an extension of the request. Of a part that some requests do not have, say so with
/// `Some(None)`: without one of its parts there is no key, and requests without a key share one, whatever they are for.
///
/// ```
/// use buttress_http::Head;
/// use buttress_retry::{RetryLayer, UpstreamAndCredential};
/// use buttress_core::key_from;
///
/// // Discord limits each channel by itself; not every path has one.
/// let channel = key_from(|head: &Head| Some(head.uri().path().split('/').nth(4).map(str::to_owned)));
/// let layer = RetryLayer::http().park_by((UpstreamAndCredential, channel)).build()?;
/// # let _ = layer;
/// # Ok::<(), buttress_retry::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct UpstreamAndCredential;

const CREDENTIALS: [HeaderName; 4] = [
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

impl ExtractKey<Head> for UpstreamAndCredential {
    fn extract(&self, head: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        // A path alone, as behind a layer that adds the host further in, has one upstream.
        let _ = Authority.extract(head, key);
        for name in &CREDENTIALS {
            for value in head.headers().get_all(name) {
                credential::write(value.as_bytes(), key);
            }
            key.unsigned(0);
        }
        Ok(())
    }
}
