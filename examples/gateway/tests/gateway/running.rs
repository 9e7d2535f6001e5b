//! Gateways that run.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use gateway::{Config, Gateway, InForce, Shutdown};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::raw::{Raw, RawUpstream, within};

/// One in this process; cut off when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    in_force: InForce,
    shutdown: Shutdown,
}

impl Running {
    /// In front of `upstream`, which is asked once, and not in the way with a limit.
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        Self::with(upstream, |_| {}).await
    }

    pub(crate) async fn with(upstream: SocketAddr, configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.upstream = Some(format!("http://{upstream}").parse().unwrap());
        config.limits.per_ip.as_mut().unwrap().quota = Some("1000000/s".parse().unwrap());
        config.retry = None;
        configure(&mut config);
        Self::of(&config).await
    }

    pub(crate) async fn of(config: &Config) -> Self {
        let shutdown = Shutdown::default();
        let gateway = Gateway::bind(config, None, shutdown.clone()).await.unwrap();
        let address = gateway.address();
        let admin = gateway.admin_address().unwrap();
        let in_force = gateway.in_force();
        tokio::spawn(gateway.run());
        Self {
            address,
            admin,
            in_force,
            shutdown,
        }
    }

    /// From the text of a file, and with the layers of a gateway without one where the text has none. No client is in
    /// the way of the others with its limit, unless it says so.
    pub(crate) async fn from(text: &str) -> Self {
        Self::of(&configured(text)).await
    }

    /// Puts what the text says into force.
    pub(crate) fn reload(&self, text: &str) -> Result<(), String> {
        self.reload_to(configured(text))
    }

    pub(crate) fn reload_to(&self, config: Config) -> Result<(), String> {
        self.in_force
            .reload(|| Ok::<_, String>(config), ToString::to_string)
    }

    /// What is in force, to put something else there.
    pub(crate) fn in_force(&self) -> InForce {
        self.in_force.clone()
    }

    /// What operators see at `path`.
    pub(crate) async fn look(&self, path: &str) -> String {
        look(self.admin, path).await
    }

    pub(crate) async fn state(&self) -> serde_json::Value {
        serde_json::from_str(&self.look("/-/state").await).unwrap()
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// Both ends of a request that has come to the upstream.
    pub(crate) async fn ask(&self, upstream: &RawUpstream, request: &str) -> (Raw, Raw) {
        let mut client = self.connect().await;
        client.send(request).await;
        let mut server = upstream.accept().await;
        server.head().await;
        (client, server)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.ask();
        self.shutdown.ask();
    }
}

fn configured(text: &str) -> Config {
    let text = format!("listen = '127.0.0.1:0'\n{text}");
    let mut config = gateway::config::parse(&text, "test".as_ref()).unwrap();
    let usual = Config::default();
    config.retry = config.retry.or(usual.retry);
    config.circuit_breaker = config.circuit_breaker.or(usual.circuit_breaker);
    config.limits.per_ip = config.limits.per_ip.or(usual.limits.per_ip);
    if let Some(per_ip) = &mut config.limits.per_ip {
        per_ip.quota.get_or_insert("1000000/s".parse().unwrap());
    }
    config
}

/// The body of what is at `path` for operators.
pub(crate) async fn look(admin: SocketAddr, path: &str) -> String {
    let mut operator = Raw::connect(admin).await;
    operator
        .send(&format!(
            "GET {path} HTTP/1.1\nHost: a\nConnection: close\n\n"
        ))
        .await;
    let head = operator.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
    operator.rest().await
}

/// The program itself.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Program {
    pub(crate) fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.kill_on_drop(true);
        command
    }

    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut child = Self::command()
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within(lines.next_line()).await.unwrap().unwrap();
        let address = line.strip_prefix("listening on http://").unwrap().parse();
        let admin = loop {
            let line = within(lines.next_line()).await.unwrap().unwrap();
            if let Some(urls) = line.strip_prefix("for operators: http://") {
                let (admin, _) = urls.split_once('/').unwrap();
                break admin.parse().unwrap();
            }
        };
        Self {
            child,
            address: address.unwrap(),
            admin,
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args([signal, &pid])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits until nobody is accepted any more.
    pub(crate) async fn refuses(&self) {
        let refused = async { while TcpStream::connect(self.address).await.is_ok() {} };
        within(refused).await;
    }

    pub(crate) async fn exit(mut self) -> ExitStatus {
        within(self.child.wait()).await.unwrap()
    }
}

/// Writes a configuration for the program to read.
pub(crate) fn config_file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}
