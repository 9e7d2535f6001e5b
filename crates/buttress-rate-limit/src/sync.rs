//! The one place that decides whose atomics and locks are used: the standard library's or, when the
//! interleavings are explored (`--cfg loom`), loom's.

#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic::AtomicU64};

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::AtomicU64};

pub(crate) use std::sync::atomic::Ordering;
