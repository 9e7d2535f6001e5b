//! Clients that retry, against a server that is cross, over real sockets: hyper's client below the retry layer, and
//! `examples/rude-server` at the other end.
//!
//! What is waited is not measured but told: by the observer, which hears of each wait before it begins, and by the
//! server, which knows who came when. That somebody came too early is a fact, that somebody came late is the machine.

mod client;
mod crowd;
mod dialects;
mod grpc;
mod safety;
