use bytes::Bytes;
use http::HeaderMap;

/// Sees a response's body pass, and says what it cost: bytes, tokens, rows.
///
/// It sees every frame once, in order, on its way to the client; nothing is held back or copied for it.
/// [`CountBytes`] is the one that comes with the layer.
///
/// ```
/// use buttress_http::keys;
/// use buttress_rate_limit::{Meter, Policy, RateLimitLayer};
/// use bytes::Bytes;
///
/// /// The tokens of a streamed completion: one in each event, of which a chunk may hold a part.
/// #[derive(Default)]
/// struct Events {
///     seen: u64,
///     in_line: bool,
/// }
///
/// impl Meter for Events {
///     fn data(&mut self, data: &Bytes) {
///         for &byte in data {
///             // An event ends with an empty line (HTML standard, "server-sent events").
///             self.seen += u64::from(byte == b'\n' && !self.in_line);
///             self.in_line = byte != b'\n';
///         }
///     }
///
///     fn cost(&self) -> u64 {
///         self.seen
///     }
/// }
///
/// // Charged for 500 tokens before, and for those that came after.
/// let tokens = Policy::new("tokens", "20_000/min").key(keys::BearerToken).cost(|_| 500);
/// let layer = RateLimitLayer::http(tokens)
///     .settle_by_body("tokens", |response| response.status.is_success().then(Events::default))
///     .build()?;
/// # let mut events = Events::default();
/// # events.data(&Bytes::from_static(b"data: a\n\nda"));
/// # events.data(&Bytes::from_static(b"ta: b\n\n"));
/// # assert_eq!((events.cost(), layer.limits().len()), (2, 1));
/// # Ok::<(), buttress_rate_limit::ConfigError>(())
/// ```
pub trait Meter: Send + 'static {
    /// Data passes.
    fn data(&mut self, data: &Bytes);

    /// Trailers pass, after all data.
    fn trailers(&mut self, trailers: &HeaderMap) {
        let _ = trailers;
    }

    /// What the response cost, by what was seen until now.
    fn cost(&self) -> u64;
}

/// A response costs its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountBytes {
    seen: u64,
}

impl Meter for CountBytes {
    fn data(&mut self, data: &Bytes) {
        self.seen = self.seen.saturating_add(data.len() as u64);
    }

    fn cost(&self) -> u64 {
        self.seen
    }
}
