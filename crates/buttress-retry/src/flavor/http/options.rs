use std::{fmt, sync::Arc, time::Duration};

use buttress_core::{
    ConfigError, Digest, DigestKey, ExtractKey,
    clock::{SystemWallClock, WallClock},
};
use buttress_http::{BodyHints, GrpcCode, Head, Protocol};
use http::{HeaderMap, StatusCode};

use super::{
    DiscardLimits, KeyForm,
    idempotency::{has_key, is_idempotent},
    key::UpstreamAndCredential,
};
use crate::{Judgment, builder::at_most_a_year};

pub(crate) type Classifier = Arc<dyn Fn(StatusCode, &HeaderMap) -> Option<Judgment> + Send + Sync>;
pub(crate) type Which = Arc<dyn Fn(&Head) -> bool + Send + Sync>;

/// What users may say about HTTP.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) codes: Codes,
    /// All requests are gRPC calls, which may be repeated after these codes.
    pub(crate) grpc_only: bool,
    pub(crate) classifier: Option<Classifier>,
    pub(crate) repeatable: Option<Which>,
    /// A "too many" is believed to have done nothing.
    pub(crate) repeat_throttled: bool,
    pub(crate) idempotency_key: Option<KeyForm>,
    pub(crate) park_by: Arc<dyn ExtractKey<Head>>,
    pub(crate) secret: DigestKey,
    pub(crate) hints: BodyHints,
    /// How long a body may take to say what its head does not.
    pub(crate) look_within: Duration,
    pub(crate) trailers: Option<Trailers>,
    pub(crate) discard: DiscardLimits,
    pub(crate) wall_clock: Arc<dyn WallClock>,
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        at_most_a_year("body_hints", self.look_within)?;
        if self.discard.bytes > 0 {
            at_most_a_year("drain", self.discard.within)?;
        }
        match &self.trailers {
            Some(Trailers { max_bytes: 0, .. }) => {
                Err(ConfigError::new("await_trailers", "0 bytes", "at least 1"))
            }
            Some(trailers) => at_most_a_year("await_trailers", trailers.within),
            None => Ok(()),
        }
    }
}

/// Whose trailers are awaited, and how far.
#[derive(Clone)]
pub(crate) struct Trailers {
    pub(crate) max_bytes: usize,
    pub(crate) within: Duration,
    pub(crate) which: Which,
}

/// Statuses of gRPC: one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Codes(u32);

impl Codes {
    pub(crate) fn of(codes: impl IntoIterator<Item = GrpcCode>) -> Self {
        let bits = codes.into_iter().map(|code| 1 << code.as_u32());
        Self(bits.fold(0, |all, bit: u32| all | bit))
    }

    pub(crate) const fn has(self, code: GrpcCode) -> bool {
        self.0 & 1 << code.as_u32() != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            codes: Codes::of([GrpcCode::Unavailable, GrpcCode::ResourceExhausted]),
            grpc_only: false,
            classifier: None,
            repeatable: None,
            repeat_throttled: false,
            idempotency_key: None,
            park_by: Arc::new(UpstreamAndCredential),
            secret: DigestKey::random(),
            hints: BodyHints::default(),
            look_within: Duration::from_secs(1),
            trailers: None,
            discard: DiscardLimits::default(),
            wall_clock: Arc::new(SystemWallClock),
        }
    }
}

impl Options {
    #[inline]
    pub(super) fn protocol_of(&self, head: &Head) -> Protocol {
        if self.grpc_only {
            Protocol::Grpc
        } else {
            Protocol::of_request(head)
        }
    }

    pub(super) fn is_safe(&self, head: &Head, one_too_many: bool) -> bool {
        is_idempotent(head.method())
            || has_key(head)
            || (self.repeat_throttled && one_too_many)
            || self
                .repeatable
                .as_ref()
                .is_some_and(|repeatable| repeatable(head))
    }

    /// Requests without a key are about the same one.
    pub(crate) fn key_of(&self, head: &Head) -> Digest {
        self.secret
            .digest_from(&*self.park_by, head)
            .unwrap_or(Digest::from_u128(0))
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}
