//! A server that refuses as the vendors do. `README.md`, the library's front page, has all that can be asked of it.
//!
//! ```text
//! cargo run -p rude-server
//! curl -i 'http://127.0.0.1:4290/openai?refuse=2&wait=1500ms'       # 429, 429, 200, and again
//! ```

use std::{error::Error, net::SocketAddr, path::PathBuf};

use clap::Parser;
use rude_server::{RudeServer, Script};

/// A server that refuses as the vendors do when they are cross.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4290")]
    listen: SocketAddr,

    /// Manners of paths, and dialects of your own, in TOML
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,

    /// The seed of what is left to chance [default: the script's, or 0]
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    let mut script = match cli.script {
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            Script::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => Script::default(),
    };
    if let Some(seed) = cli.seed {
        script = script.seed(seed);
    }
    let server = RudeServer::start(cli.listen, script).await?;
    println!("listening on http://{}", server.addr());
    stop().await?;
    Ok(())
}

/// Until somebody wants it to.
#[cfg(unix)]
async fn stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Until somebody wants it to.
#[cfg(not(unix))]
async fn stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
