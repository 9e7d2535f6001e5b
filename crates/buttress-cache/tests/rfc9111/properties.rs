//! What holds for any headers.

mod absurd;
mod cache_control;
mod forbidden;
mod functions;
mod story;
