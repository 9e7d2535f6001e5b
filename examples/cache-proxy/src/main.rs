//! `cargo run --release -p cache-proxy -- --listen 127.0.0.1:8080 --upstream http://127.0.0.1:3000`: a
//! transparent caching reverse proxy.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use cache_proxy::{CacheProxy, Cli};
use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match run(&Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<(), Box<dyn std::error::Error>> {
    let proxy = CacheProxy::bind(cli).await?;
    // Nobody need listen: a closed pipe is no reason to stop.
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "listening on http://{}", proxy.address());
    let _ = out.flush();
    drop(out);
    proxy.run().await;
    Ok(())
}
