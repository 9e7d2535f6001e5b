//! HTTP by hand: what tests of whole programs say and see, and the programs themselves.
//!
//! | file | holds |
//! |---|---|
//! | `within.rs` | the deadline of whatever is waited for |
//! | `raw.rs`, `head.rs` | a connection of which every byte is said and seen |
//! | `upstream.rs` | an upstream that does what the test says |
//! | `program.rs` | a program, started and asked as its users do |
//!
//! What goes wrong here is the test's failure: nothing returns an error, everything panics.

mod head;
mod program;
mod raw;
mod upstream;
mod within;

pub use self::{
    head::Head,
    program::{Answer, Program},
    raw::Raw,
    upstream::RawUpstream,
    within::within,
};
