//! What the measurements share: the keys, what a case is compared with, and how much memory a process has.

pub mod keys;
pub mod memory;
pub mod report;
