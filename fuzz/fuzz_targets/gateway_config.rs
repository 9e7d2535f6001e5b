//! Whatever is in the file: an error of one line, or a configuration that can be built.
#![no_main]

use std::path::Path;

use gateway::{config::parse, limits::Limits};
use libfuzzer_sys::fuzz_target;

/// Beyond this only the memory differs, and the target would do little else but take it.
const ROOM: usize = 100_000;

fuzz_target!(|text: &str| {
    match parse(text, Path::new("gateway.toml")) {
        Ok(mut config) => {
            let max_keys = config
                .limits
                .max_keys()
                .expect("an accepted number of keys");
            config.limits.max_keys = Some(max_keys.min(ROOM));
            if let Some(per_ip) = &mut config.limits.per_ip {
                per_ip.max_keys = None;
            }
            Limits::build(&config).expect("an accepted configuration can be built");
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("gateway.toml:"), "{said}");
            assert!(!said.contains(char::is_control), "{said}");
            let lines = 1 + text.matches('\n').count();
            assert!(
                error.line().is_none_or(|line| (1..=lines).contains(&line)),
                "{said}"
            );
        }
    }
});
