//! The one place that decides whose atomics and locks are used: the standard library's or, when the
//! interleavings are explored (`--cfg loom`), loom's.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, fence},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, fence},
};

pub(crate) use std::sync::atomic::Ordering;
use std::sync::{LockResult, PoisonError};

/// What is left behind by somebody who panicked (an algorithm of the user's) is in order all the same.
pub(crate) fn unpoisoned<G>(locked: LockResult<G>) -> G {
    locked.unwrap_or_else(PoisonError::into_inner)
}
