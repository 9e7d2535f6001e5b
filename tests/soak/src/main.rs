//! Load on the gateway while its upstreams are killed and revived, hang, and break off in the middle of answers, its
//! configuration is loaded anew and clients leave in the middle of answers. Every answer is checked to the last byte, the gateway's memory is watched,
//! and in the end each request must stand in its call log, once and as it was seen.
//!
//! ```text
//! scripts/soak --minutes 3
//! ```
//!
//! One gateway, two upstreams (one in HTTP/1.1, one in HTTP/2 over TLS), two dozen clients: all of them processes or connections of their own, none of
//! them in a hurry. What there is to do comes in cycles, and each request draws from a seeded generator, so that two
//! runs differ only in what the machine makes of them.

mod asked;
mod call_log;
mod chaos;
mod client;
mod content;
mod gateway;
mod judge;
mod ledger;
mod load;
mod memory;
mod soak;
mod tls;
mod upstream;
mod weather;

use std::{error::Error, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Load on the gateway while everything around it changes.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Soak a gateway
    Run(soak::Options),
    /// Be an upstream, until stdin ends
    Upstream {
        /// Where to listen
        listen: SocketAddr,
        /// Speak TLS, with the certificate and the key in this folder
        #[arg(long, value_name = "PATH")]
        tls: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn Error + Send + Sync>> {
    match command {
        Command::Run(options) => soak::run(options).await,
        Command::Upstream { listen, tls } => upstream::serve(listen, tls.as_deref()).await,
    }
}
