//! The gateway as a whole, over real sockets.
//!
//! Clients and upstreams are mostly bare sockets, so that a test sees and says every byte. Nothing sleeps:
//! what must happen is waited for under a deadline.

mod config;
mod failures;
mod forwarding;
mod greeting;
mod limits;
mod policies;
mod raw;
mod running;
mod shutdown;
mod tunnels;
