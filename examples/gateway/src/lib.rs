//! A reverse proxy that limits by client IP: Buttress as a whole program.

pub mod config;
pub mod limits;

pub use self::config::{Config, ConfigFileError};
