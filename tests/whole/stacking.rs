//! The stacking order: a test for each row, which also builds the wrong order and shows what it costs; and the
//! same stack on all that it is meant for.

mod client;
mod everywhere;
mod server;
