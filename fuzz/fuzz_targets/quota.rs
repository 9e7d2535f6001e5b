//! Text from a configuration file becomes a quota that can be shown and read again, or an error that says
//! what was expected.

#![no_main]

use buttress_rate_limit::{ConfigError, DirectRateLimiter, Quota};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let quota: Result<Quota, ConfigError> = text.parse();
    match quota {
        Ok(quota) => {
            assert_eq!(quota.to_string().parse(), Ok(quota));
            assert!(quota.burst() > 0 && quota.count() > 0);
            // Never faster than asked for, and at most one percent slower.
            let asked = quota.period().as_nanos();
            let kept = quota.interval().as_nanos() * u128::from(quota.count());
            assert!(kept >= asked && kept - asked <= asked / 100);
            // What can be expressed can be used.
            let limiter = DirectRateLimiter::of(quota).expect("the quota is a good one");
            assert!(limiter.check_n(quota.burst()).is_ok());
            assert!(limiter.check_n(u64::MAX).is_err());
        }
        Err(error) => assert!(!error.expected().is_empty() && error.value().len() <= 256),
    }
});
