//! `cargo run --release -p gateway`: a reverse proxy on 127.0.0.1:8080 with all of Buttress's layers.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
};

use clap::Parser;
use gateway::{
    Config, ConfigFileError, Gateway, Metrics, Shutdown, StartError, cli::Cli, close_on_signal,
    config::LimitsConfig, descriptors, reload_on_signal,
};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let cli = Cli::parse();
    let ended = Runtime::new().map_err(Into::into).and_then(|runtime| {
        let ended = runtime.block_on(run(cli));
        // A name that is still looked up, or a file that is still read, has been waited for as long as all the rest.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Box<dyn std::error::Error>> {
    let config = cli.to_config()?;
    let available = descriptors::raise();
    descriptors::check(available, &config);
    let metrics = Metrics::install()?;
    let shutdown = Shutdown::default();
    close_on_signal(shutdown.clone())?;
    let gateway = Gateway::bind(&config, Some(metrics), shutdown)
        .await
        .map_err(|error| match error {
            StartError::Config(violation) => cli.explain(&violation),
            error => error.to_string(),
        })?;
    let in_force = gateway.in_force();
    reload_on_signal(move || {
        let load = || {
            let config = cli.to_config()?;
            descriptors::check(available, &config);
            Ok::<_, ConfigFileError>(config)
        };
        // It has said what is wrong.
        let _ = in_force.reload(load, |violation| cli.explain(violation));
    })?;
    // Nobody need listen: a closed pipe is no reason to stop.
    let _ = greet(&mut io::stdout().lock(), &config, &gateway);
    if !gateway.run().await {
        tracing::warn!("what was still in flight was cut off");
    }
    Ok(())
}

fn greet(out: &mut impl Write, config: &Config, gateway: &Gateway) -> io::Result<()> {
    let url = format!("http://{}", gateway.address());
    writeln!(out, "listening on {url}")?;
    for upstream in gateway.upstreams() {
        writeln!(out, "upstream: {upstream}{}", built_in(gateway))?;
    }
    greet_with_limits(out, &config.limits)?;
    if let Some(admin) = gateway.admin_address() {
        let url = format!("http://{}", reachable(admin));
        writeln!(out, "for operators: {url}/-/metrics {url}/-/state")?;
    }

    let url = format!("http://{}", reachable(gateway.address()));
    // What is there to see depends on whose upstream it is.
    let second = if gateway.has_demo_upstream() {
        format!("curl -N {url}/stream")
    } else {
        format!("curl -I {url}/")
    };
    writeln!(out, "try:")?;
    writeln!(out, "  curl -i {url}/")?;
    writeln!(out, "  {second}")?;
    writeln!(
        out,
        "  curl -s -o /dev/null -w '%{{http_code}}\\n' '{url}/?[1-20]'"
    )?;
    out.flush()
}

fn greet_with_limits(out: &mut impl Write, limits: &LimitsConfig) -> io::Result<()> {
    let tried_out = |shadow| if shadow { " (shadow)" } else { "" };
    if let Some(per_ip) = &limits.per_ip
        && let Ok(quota) = per_ip.quota()
    {
        let shadow = tried_out(per_ip.shadow);
        writeln!(out, "limit per client: {quota}{shadow}")?;
    }
    if let Some(per_key) = &limits.per_key {
        let shadow = tried_out(per_key.shadow);
        writeln!(out, "limit per key: {}{shadow}", per_key.quota)?;
        for (name, tier) in &per_key.tiers {
            writeln!(out, "limit per key of {name}: {}{shadow}", tier.quota)?;
        }
    }
    for route in &limits.routes {
        let shadow = tried_out(route.shadow);
        writeln!(out, "limit of {}: {}{shadow}", route.path, route.quota)?;
    }
    if let Some(global) = &limits.global {
        let shadow = tried_out(global.shadow);
        writeln!(out, "limit of all: {}{shadow}", global.quota)?;
    }
    Ok(())
}

fn built_in(gateway: &Gateway) -> &'static str {
    if gateway.has_demo_upstream() {
        " (built in)"
    } else {
        ""
    }
}

/// Where `curl` on this machine finds `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
