//! A pointer to an algorithm is one: so it can be chosen when the program runs.

use std::{any::Any, sync::Arc};

use buttress_core::{ConfigError, Tick};

use super::Algorithm;
use crate::{Decision, Quota};

/// What a pointer to any algorithm points to; `None` where it is no such pointer.
pub(super) fn target(algorithm: &dyn Algorithm) -> Option<&dyn Algorithm> {
    let any: &dyn Any = algorithm;
    if let Some(owned) = any.downcast_ref::<Box<dyn Algorithm>>() {
        Some(&**owned)
    } else if let Some(shared) = any.downcast_ref::<Arc<dyn Algorithm>>() {
        Some(&**shared)
    } else {
        any.downcast_ref::<&'static dyn Algorithm>()
            .map(|named| &**named)
    }
}

macro_rules! by_pointer {
    ($($pointer:ty),*) => {$(
        impl<A: Algorithm + ?Sized> Algorithm for $pointer {
            fn words(&self) -> usize {
                (**self).words()
            }

            fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
                (**self).check(quota, state, now, cost)
            }

            fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
                (**self).charge(quota, state, now, cost);
            }

            fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
                (**self).take(quota, state, now, cost)
            }

            fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
                (**self).forget_at(quota, state)
            }

            fn carry_over(&self, from: &Quota, to: &Quota, state: &mut [u64], at: Tick) {
                (**self).carry_over(from, to, state, at);
            }

            fn redate(&self, from: &Quota, to: &Quota, charged: Tick, at: Tick) -> Tick {
                (**self).redate(from, to, charged, at)
            }

            fn supports(&self, quota: &Quota) -> Result<(), ConfigError> {
                (**self).supports(quota)
            }

            fn lua(&self) -> Option<&'static str> {
                (**self).lua()
            }
        }
    )*};
}

by_pointer!(Box<A>, Arc<A>, &'static A);
