use bytes::Bytes;
use http::HeaderMap;

/// Sees a response's body pass, and says what it cost: bytes, tokens, rows.
///
/// It sees every frame once, in order, on its way to the client; nothing is held back or copied for it.
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
