//! Each way to be rude, as clients meet it: over real sockets.

mod client;
mod dialects;
mod grpc;
mod program;
mod transports;
mod turns;
