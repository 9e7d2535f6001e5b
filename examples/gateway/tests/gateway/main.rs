//! The gateway as a whole, over real sockets.
//!
//! Clients and upstreams are mostly bare sockets, so that a test sees and says every byte. Nothing sleeps:
//! what must happen is waited for under a deadline.

mod admin;
mod bare;
mod cache;
mod call_log;
mod config;
mod connections;
mod errors;
mod failures;
mod forwarding;
mod greeting;
mod grpc;
mod idle;
mod interim;
mod limits;
mod policies;
mod preflight;
mod reload;
mod retry;
mod running;
mod shutdown;
mod tls;
mod tunnels;
mod upstreams;

use buttress_by_hand as raw;
