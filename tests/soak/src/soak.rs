//! A run: what is started, in which order it ends, and what must be true then.

use std::{fs, path::PathBuf, sync::atomic::Ordering, time::Duration};

use clap::Args;
use tokio::time;

use crate::{
    call_log,
    chaos::{self, CYCLE, Upstreams},
    gateway::{FREE_PER_SECOND, Gateway, number},
    load::Load,
    memory::Memory,
};

/// Between two samples of the gateway's memory.
const SAMPLING: Duration = Duration::from_millis(250);

/// With less, warm-up is not over after a third.
const SHORTEST_FOR_MEMORY: f64 = 3.0; // minutes

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// For how long, in cycles of 30 seconds; under three minutes memory is not judged
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,

    /// The program to soak
    #[arg(long, value_name = "PROGRAM")]
    gateway: PathBuf,

    /// A folder for what the run writes, emptied first
    #[arg(long, value_name = "PATH")]
    folder: PathBuf,

    /// The seed of what the clients ask
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Soaks, and says what was.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    let folder = options.folder.clone();
    let told = |error| {
        format!(
            "{error}\n(what the gateway wrote is in {})",
            folder.display()
        )
    };
    soak(options).await.map_err(|error| told(error).into())
}

async fn soak(options: Options) -> Result<(), Error> {
    let cycles = (options.minutes * 60.0 / CYCLE.as_secs_f64())
        .ceil()
        .max(1.0) as u32;
    if options.folder.exists() {
        fs::remove_dir_all(&options.folder)?;
    }
    fs::create_dir_all(&options.folder)?;

    let mut upstreams = Upstreams::start(&options.folder).await?;
    let addresses = upstreams.addresses();
    let gateway = Gateway::start(&options.gateway, &options.folder, addresses).await?;
    let load = Load::new();
    let mut clients = load.begin(gateway.address, options.seed).await?;

    let mut memory = Memory::default();
    let mut sampling = time::interval(SAMPLING);
    let sampler = async {
        while !load.stop.is_cancelled() {
            sampling.tick().await;
            if let Err(error) = memory.sample(gateway.process) {
                load.is_wrong(format!("the gateway's memory cannot be read: {error}"));
            }
        }
    };
    let chaos = async {
        let happened = chaos::go_on(&load, &gateway, &mut upstreams, cycles).await;
        load.stop.cancel();
        happened
    };
    let (happened, ()) = tokio::join!(chaos, sampler);
    while let Some(ended) = clients.join_next().await {
        ended?;
    }
    if let Some(wrong) = load.wrong() {
        return Err(wrong.into());
    }
    let happened = happened?;
    let took = load.now();

    let sum = load.ledger.sum();
    let total: u64 = sum.values().sum();
    println!("{total} requests in {took:.0?}, as their clients saw them: {sum:?}");
    println!(
        "upstreams killed {} times and hanging {} times, {} configurations loaded",
        happened.kills, happened.hangs, happened.reloads
    );
    // A run in which nothing happened would show nothing.
    for needed in [
        "200",
        "401",
        "429",
        "502",
        "504",
        "left",
        "broken",
        "unanswered",
        "tunnel",
        "grpc",
    ] {
        if !sum.contains_key(needed) {
            return Err(format!("no request was seen as '{needed}'").into());
        }
    }
    // As many as fit into the time, and those that may come at once.
    let most = (FREE_PER_SECOND as f64 * (took.as_secs_f64() + 1.0)).ceil() as u64;
    let admitted = load.admitted.load(Ordering::Relaxed);
    println!("{admitted} requests admitted of a quota of {most}");
    if admitted > most {
        return Err("a quota was exceeded".into());
    }
    account(&load, gateway).await?;
    check_memory(&memory, options.minutes)
}

/// The call log tells of every request, and nothing else.
async fn account(load: &Load, gateway: Gateway) -> Result<(), Error> {
    gateway.idle().await?;
    let state = gateway.state().await?;
    let dropped = number(&state, "/call_log/dropped")?;
    if dropped != 0 {
        return Err(format!("{dropped} calls were not written into the call log").into());
    }
    let counted = gateway.counted().await?;
    let path = gateway.call_log.clone();
    let ended = gateway.stop().await?;
    if !ended.success() {
        return Err(format!("the gateway ended with {ended}").into());
    }
    let mut written = 0_u64;
    call_log::read(&path, |record| {
        written += 1;
        load.ledger.check(&record)
    })?;
    load.ledger.check_all()?;
    if counted != written {
        return Err(
            format!("the metrics count {counted} calls, and the call log {written}").into(),
        );
    }
    println!("the call log has each of them once, as its client saw it: {written} calls");
    Ok(())
}

fn check_memory(memory: &Memory, minutes: f64) -> Result<(), Error> {
    let Some(medians) = memory.medians() else {
        return Err("the gateway's memory was not seen often enough".into());
    };
    println!(
        "the gateway's memory: {} kB when it was warm, {} kB in the end, {:+.1} %",
        medians.warm,
        medians.last,
        medians.growth() * 100.0
    );
    if minutes < SHORTEST_FOR_MEMORY {
        println!("(not judged: it takes {SHORTEST_FOR_MEMORY} minutes)");
    } else if !medians.is_flat() {
        return Err("the gateway's memory grows".into());
    }
    Ok(())
}
