#![doc = include_str!("../README.md")]

mod answer;
mod desk;
mod dialect;
mod grpc;
mod http1;
mod http2;
mod manner;
mod raw_socket;
mod script;
mod server;
mod visit;

pub use self::{
    script::{Script, ScriptError},
    server::RudeServer,
    visit::{Answered, Visit},
};
