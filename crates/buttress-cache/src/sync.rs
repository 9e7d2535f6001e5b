//! The one place that decides whose atomics and locks are used: the standard library's or, when the
//! interleavings are explored (`--cfg loom`), loom's.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};

pub(crate) use std::sync::atomic::Ordering;

use std::sync::PoisonError;

/// Locks. What these locks guard is changed by code that does not panic, so a poisoned one guards nothing
/// that could be half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
