#[cfg(loom)]
mod interleavings;
#[cfg(not(loom))]
mod one_thread;

use buttress_core::Digest;

use super::*;

impl Table {
    /// The state of a key in a table of one era.
    fn known(&self, key: Digest) -> u64 {
        self.get(key, &Always).unwrap()
    }
}
