//! What the measurements share: the keys, and what a case is compared with.

pub mod keys;
pub mod report;
