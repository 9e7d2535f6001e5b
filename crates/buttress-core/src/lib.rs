#![doc = include_str!("../README.md")]
// Labels what stands behind a feature; on docs.rs, whose compiler is a nightly one.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod clock;
pub mod jitter;
pub mod readiness;

mod classify;
mod config;
mod digest;
mod executor;
mod extract;
mod key;
mod observer;
mod park;
mod random;
mod siphash;
mod view;

pub use classify::{Classify, Outcome};
pub use clock::{Clock, Sleep, Tick};
pub use config::ConfigError;
pub use digest::{Digest, DigestKey};
#[cfg(feature = "rt")]
pub use executor::TokioExecutor;
pub use executor::{BoxFuture, Executor};
pub use extract::{ExtractKey, KeyFrom, MissingKey, key_from};
pub use key::{Key, KeyWriter};
pub use observer::Observer;
pub use park::Park;
pub use random::Random;
pub use view::View;
