#[cfg(loom)]
mod interleavings;
#[cfg(not(loom))]
mod one_thread;
