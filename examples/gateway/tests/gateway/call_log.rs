//! The record of calls: each once, however it ended.

mod decided;
mod ended;
mod file;
mod logged;

pub(crate) use self::logged::{Logged, decisions};
