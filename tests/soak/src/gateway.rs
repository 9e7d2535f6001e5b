//! The gateway: the program itself, with the configurations that it gets.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header::HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    time,
};
use tokio_util::task::AbortOnDropHandle;

use crate::tls::CERTIFICATE;

/// Longer than anything takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Requests per second of the tier that is refused often, and as many at once. No configuration changes it, and so
/// none gives more.
pub(crate) const FREE_PER_SECOND: u64 = 5;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    pub(crate) process: u32,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    config: PathBuf,
    pub(crate) call_log: PathBuf,
    /// Somebody reads what it prints, or it would have to wait.
    _greeting: AbortOnDropHandle<()>,
}

/// What differs between one configuration and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// As at the start.
    First,
    /// The other upstream is preferred, and has longer to answer.
    OtherOrder,
    /// Another limit of a route, and another cache.
    OtherLimit,
    /// Nothing that can be meant.
    Broken,
}

impl Gateway {
    /// Starts it before these upstreams. What it writes goes into `folder`.
    pub(crate) async fn start(
        program: &Path,
        folder: &Path,
        upstreams: [SocketAddr; 2],
    ) -> Result<Self, Error> {
        let config = folder.join("gateway.toml");
        let call_log = folder.join("calls.ndjson");
        fs::write(&config, text(Variant::First, upstreams, &call_log))?;
        let mut child = Command::new(program)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("gateway.log"))?)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let process = child.id().ok_or("the gateway ended at once")?;
        let stdout = child.stdout.take().ok_or("the gateway has no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = said(&mut lines, "listening on http://").await?;
        let admin = said(&mut lines, "for operators: http://").await?;
        let greeting =
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            child,
            process,
            address,
            admin,
            config,
            call_log,
            _greeting: AbortOnDropHandle::new(greeting),
        })
    }

    /// Has it load a configuration, and waits until it has, or has said that it will not.
    pub(crate) async fn reload(
        &self,
        variant: Variant,
        upstreams: [SocketAddr; 2],
    ) -> Result<(), Error> {
        let before = Reloads::of(&self.state().await?)?;
        // Never half of it is there.
        let new = self.config.with_extension("new");
        fs::write(&new, text(variant, upstreams, &self.call_log))?;
        fs::rename(&new, &self.config)?;
        self.signal("-HUP").await?;
        let wanted = match variant {
            Variant::Broken => Reloads {
                refused: before.refused + 1,
                ..before
            },
            _ => Reloads {
                done: before.done + 1,
                ..before
            },
        };
        let loaded = async {
            loop {
                let now = Reloads::of(&self.state().await?)?;
                if now == wanted {
                    return Ok(());
                } else if now != before {
                    return Err(format!("{variant:?}: {now:?} in place of {wanted:?}").into());
                }
                time::sleep(Duration::from_millis(20)).await;
            }
        };
        let late = |_| format!("{variant:?} was not loaded in {DEADLINE:?}");
        time::timeout(DEADLINE, loaded).await.map_err(late)?
    }

    /// What it says of itself.
    pub(crate) async fn state(&self) -> Result<Value, Error> {
        Ok(serde_json::from_slice(&self.ask_admin("/-/state").await?)?)
    }

    /// How many requests it has counted in its metrics.
    pub(crate) async fn counted(&self) -> Result<u64, Error> {
        let text = self.ask_admin("/-/metrics").await?;
        let text = std::str::from_utf8(&text)?;
        let lines = text
            .lines()
            .filter(|line| line.starts_with("http_server_requests_total{"));
        let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        Ok(counts.sum())
    }

    /// Waits until nothing is in flight any more.
    pub(crate) async fn idle(&self) -> Result<(), Error> {
        let idle = async {
            while number(&self.state().await?, "/in_flight")? != 0 {
                time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        let late =
            |_| format!("something was in flight for {DEADLINE:?} after the last client left");
        time::timeout(DEADLINE, idle).await.map_err(late)?
    }

    /// Ends it as an operator would.
    pub(crate) async fn stop(mut self) -> Result<ExitStatus, Error> {
        self.signal("-TERM").await?;
        let late = |_| format!("the gateway was still there {DEADLINE:?} after SIGTERM");
        Ok(time::timeout(DEADLINE, self.child.wait())
            .await
            .map_err(late)??)
    }

    async fn signal(&self, signal: &str) -> Result<(), Error> {
        let process = self.process.to_string();
        let sent = Command::new("kill")
            .args([signal, &process])
            .status()
            .await?;
        if sent.success() {
            Ok(())
        } else {
            Err("the gateway has ended by itself".into())
        }
    }

    async fn ask_admin(&self, path: &str) -> Result<Bytes, Error> {
        let answered = async {
            let stream = TokioIo::new(TcpStream::connect(self.admin).await?);
            let (mut sender, connection) = http1::handshake(stream).await?;
            let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
            let request = Request::get(path).header(HOST, self.admin.to_string());
            let answer = sender
                .send_request(request.body(Empty::<Bytes>::new())?)
                .await?;
            Ok(answer.into_body().collect().await?.to_bytes())
        };
        let late = |_| format!("{path} had no answer in {DEADLINE:?}");
        time::timeout(DEADLINE, answered).await.map_err(late)?
    }
}

/// How often the gateway has loaded a configuration, or refused to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reloads {
    done: u64,
    refused: u64,
}

impl Reloads {
    fn of(state: &Value) -> Result<Self, Error> {
        Ok(Self {
            done: number(state, "/reloads/done")?,
            refused: number(state, "/reloads/refused")?,
        })
    }
}

/// A number in the state.
pub(crate) fn number(state: &Value, pointer: &str) -> Result<u64, Error> {
    let number = state.pointer(pointer).and_then(Value::as_u64);
    number.ok_or_else(|| format!("there is no {pointer} in the state: {state}").into())
}

/// The address behind these words, in the first line that begins with them.
async fn said(lines: &mut Lines<BufReader<ChildStdout>>, words: &str) -> Result<SocketAddr, Error> {
    let said = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(rest) = line.strip_prefix(words) {
                let address = rest.split([' ', '/']).next().unwrap_or_default();
                return Ok(address.parse()?);
            }
        }
        Err(format!("the gateway ended, and did not say `{words}`").into())
    };
    let late = |_| format!("the gateway did not say `{words}` in {DEADLINE:?}");
    time::timeout(DEADLINE, said).await.map_err(late)?
}

fn text(variant: Variant, upstreams: [SocketAddr; 2], call_log: &Path) -> String {
    let ca = call_log.with_file_name(CERTIFICATE);
    let [plain, over_tls] = upstreams;
    let mut first = format!("url = \"http://{plain}\"");
    let mut second = format!(
        "url = \"https://{over_tls}\"\nhttp2 = true\nca = \"{}\"",
        ca.display()
    );
    if variant == Variant::OtherOrder {
        (first, second) = (second, first);
    }
    let route = match variant {
        Variant::OtherLimit => "200000/s",
        Variant::Broken => "many",
        _ => "100000/s",
    };
    // Another cache, which is empty.
    let stale_if_error = if variant == Variant::OtherLimit {
        "20s"
    } else {
        "10s"
    };
    let response = if variant == Variant::OtherOrder {
        "2500ms"
    } else {
        "2s"
    };
    let call_log = call_log.display();
    format!(
        r#"
listen = "127.0.0.1:0"

[[upstreams]]
{first}
response = "{response}"

[[upstreams]]
{second}

[limits]
max_keys = 1_000

[limits.per_ip]
quota = "1000000/s"

[limits.per_key]
quota = "1/h"
missing = "refuse"
unknown = "refuse"

[limits.per_key.tiers.paid]
quota = "1000000/s"
keys = ["paid-key", "paid-key-0", "paid-key-1", "paid-key-2", "paid-key-3"]

[limits.per_key.tiers.free]
quota = "{FREE_PER_SECOND}/s"
keys = ["free-key"]

[[limits.routes]]
path = "/bytes"
quota = "{route}"
by = "all"

[[cache.routes]]
path = "/shared"
capacity = 1_048_576
stale_while_revalidate = "1s"
stale_if_error = "{stale_if_error}"

[[cache.routes]]
path = "/own"
by = "key"
capacity = 1_048_576

[retry]

[circuit_breaker]
window = "1s"
open_for = "200ms"
max_open_for = "500ms"

[call_log]
path = "{call_log}"
max_bytes = 10_000_000
files = 1_000

[timeouts]
response = "2s"
"#
    )
}
