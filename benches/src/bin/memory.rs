//! How much memory keys take, ours and governor's: bytes for each of a million keys, and what a flood of
//! keys adds. Each is measured in a process of its own, by the memory that is resident in it.

use std::{
    env,
    error::Error,
    num::NonZeroU32,
    process::{Command, Stdio},
};

use buttress_benches::{keys, memory::resident};
use buttress_core::Key;
use buttress_rate_limit::{Quota, RateLimiter};
use clap::{Parser, ValueEnum};

/// What keys cost in memory.
#[derive(Parser)]
struct Arguments {
    /// How many keys stand in the limiter where bytes per key are measured.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u32,

    /// How many keys flood a limiter of the default bound.
    #[arg(long, default_value_t = 10_000_000)]
    flood: u32,

    /// Measures this alone, and prints the bytes by which the process grew.
    #[arg(long, requires = "implementation")]
    case: Option<Case>,

    /// Whose memory is measured.
    #[arg(long)]
    implementation: Option<Implementation>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Case {
    Ip,
    String,
    Flood,
}

#[derive(Clone, Copy, ValueEnum)]
enum Implementation {
    Buttress,
    Governor,
}

const MIB: f64 = 1_048_576.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let (Some(case), Some(implementation)) = (arguments.case, arguments.implementation) {
        println!("{}", grown(&arguments, case, implementation)?);
        return Ok(());
    }

    println!("| memory | buttress | governor | target | |");
    println!("|---|---:|---:|---:|---|");
    let keys = f64::from(arguments.keys);
    for (case, name) in [
        (Case::Ip, "IP addresses"),
        (Case::String, "strings of 40 bytes"),
    ] {
        let ours = in_a_process(&arguments, case, Implementation::Buttress)? / keys;
        let governors = in_a_process(&arguments, case, Implementation::Governor)? / keys;
        let verdict = verdict(ours <= 48.0);
        println!(
            "| bytes per key, of {keys} {name} | {ours:.1} | {governors:.1} | 48 | {verdict} |"
        );
    }
    let ours = in_a_process(&arguments, Case::Flood, Implementation::Buttress)? / MIB;
    let governors = in_a_process(&arguments, Case::Flood, Implementation::Governor)? / MIB;
    println!(
        "| growth under a flood of {} keys, default bound | {ours:.1} MiB | {governors:.1} MiB | 16 MiB | {} |",
        arguments.flood,
        verdict(ours <= 16.0)
    );
    Ok(())
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

fn in_a_process(
    arguments: &Arguments,
    case: Case,
    implementation: Implementation,
) -> Result<f64, Box<dyn Error>> {
    let name = |value: Option<clap::builder::PossibleValue>| {
        value
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    };
    let output = Command::new(env::current_exe()?)
        .args(["--keys", &arguments.keys.to_string()])
        .args(["--flood", &arguments.flood.to_string()])
        .args(["--case", &name(case.to_possible_value())])
        .args([
            "--implementation",
            &name(implementation.to_possible_value()),
        ])
        .stderr(Stdio::inherit())
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// By how many bytes this process grows.
fn grown(
    arguments: &Arguments,
    case: Case,
    implementation: Implementation,
) -> Result<u64, Box<dyn Error>> {
    // Both clocks are calibrated beforehand.
    let clock = buttress_core::clock::QuantaClock::starting_now();
    let quota = governor::Quota::per_hour(NonZeroU32::new(1_000).ok_or("not zero")?);
    let before = resident()?;
    let after = match implementation {
        Implementation::Buttress => {
            let limiter = RateLimiter::per_key(Quota::per_hour(1_000)).clock(clock);
            let limiter = match case {
                Case::Flood => limiter,
                Case::Ip | Case::String => limiter.max_keys(arguments.keys as usize),
            };
            let limiter = limiter.build()?;
            fn check<K: Key>(limiter: &RateLimiter, key: K) {
                let _ = limiter.check(&key);
            }
            match case {
                Case::Ip => (0..arguments.keys).for_each(|n| check(&limiter, keys::ip(n))),
                Case::String => (0..arguments.keys).for_each(|n| check(&limiter, keys::text(n))),
                Case::Flood => (0..arguments.flood).for_each(|n| check(&limiter, keys::ip(n))),
            }
            resident()?
        }
        Implementation::Governor => match case {
            Case::String => {
                let limiter = governor::RateLimiter::keyed(quota);
                for n in 0..arguments.keys {
                    let _ = limiter.check_key(&keys::text(n));
                }
                resident()?
            }
            Case::Ip | Case::Flood => {
                let limiter = governor::RateLimiter::keyed(quota);
                let count = match case {
                    Case::Flood => arguments.flood,
                    Case::Ip | Case::String => arguments.keys,
                };
                for n in 0..count {
                    let _ = limiter.check_key(&keys::ip(n));
                }
                resident()?
            }
        },
    };
    Ok(after.saturating_sub(before))
}
