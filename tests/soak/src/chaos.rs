//! What happens to the gateway: its upstreams die and come back, hang and go on, its configuration changes.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpSocket, TcpStream},
    process::{Child, Command},
    time,
};

use crate::{
    gateway::{Gateway, Variant},
    load::Load,
    tls,
    weather::Change,
};

/// Longer than anything takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// What happens within a cycle, and when.
const EVENTS: [(Duration, Event); 19] = {
    use Event::{Hang, Kill, Reload, Resume, Revive};
    use Variant::{Broken, First, OtherLimit, OtherOrder};

    [
        // The preferred one, then the spare one, then both.
        (Duration::from_millis(500), Kill(0)),
        (Duration::from_millis(2_000), Revive(0)),
        // For longer than the gateway waits for an answer.
        (Duration::from_millis(2_800), Hang(0)),
        (Duration::from_millis(5_800), Resume(0)),
        (Duration::from_millis(6_500), Reload(OtherLimit)),
        (Duration::from_millis(7_500), Kill(1)),
        (Duration::from_millis(8_000), Reload(OtherOrder)),
        (Duration::from_millis(9_000), Revive(1)),
        (Duration::from_millis(10_000), Kill(0)),
        (Duration::from_millis(10_200), Kill(1)),
        (Duration::from_millis(10_700), Revive(1)),
        (Duration::from_millis(11_200), Revive(0)),
        // The spare one, then both.
        (Duration::from_millis(12_500), Hang(1)),
        (Duration::from_millis(13_500), Hang(0)),
        (Duration::from_millis(16_000), Resume(1)),
        (Duration::from_millis(17_000), Resume(0)),
        // Where all is well, nobody may notice.
        (Duration::from_millis(24_000), Reload(Broken)),
        (Duration::from_millis(25_000), Reload(First)),
        (Duration::from_millis(26_000), Reload(First)),
    ]
};

/// From one cycle's beginning to the next.
pub(crate) const CYCLE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Event {
    Kill(usize),
    Revive(usize),
    Hang(usize),
    Resume(usize),
    Reload(Variant),
}

/// How often something happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Happened {
    pub(crate) kills: u64,
    pub(crate) hangs: u64,
    pub(crate) reloads: u64,
}

/// Two upstreams, the second of which speaks TLS.
#[derive(Debug)]
pub(crate) struct Upstreams {
    folder: PathBuf,
    processes: [Option<Child>; 2],
    addresses: [SocketAddr; 2],
    /// Bound, but not listened to: while an upstream is dead nobody else gets its port, and who connects to
    /// it is refused.
    _reserved: [TcpSocket; 2],
}

impl Upstreams {
    /// What they need to know of each other is put into `folder`.
    pub(crate) async fn start(folder: &Path) -> io::Result<Self> {
        tls::make(folder)?;
        let reserved = [reserve()?, reserve()?];
        let addresses = [reserved[0].local_addr()?, reserved[1].local_addr()?];
        let mut upstreams = Self {
            folder: folder.to_owned(),
            processes: [None, None],
            addresses,
            _reserved: reserved,
        };
        for index in 0..2 {
            upstreams.revive(index).await?;
        }
        Ok(upstreams)
    }

    pub(crate) const fn addresses(&self) -> [SocketAddr; 2] {
        self.addresses
    }

    async fn kill(&mut self, index: usize) -> io::Result<()> {
        match self.processes.get_mut(index).and_then(Option::take) {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Stops it, or has it go on. While it is stopped the system takes connections in its name.
    async fn signal(&self, index: usize, signal: &str) -> io::Result<()> {
        let process = self.processes.get(index).and_then(Option::as_ref);
        let Some(id) = process.and_then(Child::id) else {
            return Err(io::Error::other("an upstream has ended by itself"));
        };
        let sent = Command::new("kill")
            .args([signal, &id.to_string()])
            .status()
            .await?;
        if sent.success() {
            Ok(())
        } else {
            Err(io::Error::other("an upstream cannot be signalled"))
        }
    }

    async fn revive(&mut self, index: usize) -> io::Result<()> {
        let Some(address) = self.addresses.get(index) else {
            return Ok(());
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("upstream").arg(address.to_string());
        if index == 1 {
            command.arg("--tls").arg(&self.folder);
        }
        let mut process = command
            // It ends when this does.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(stdout) = process.stdout.take() {
            let mut lines = BufReader::new(stdout).lines();
            time::timeout(DEADLINE, lines.next_line()).await??;
        }
        // Says more than what it has printed, and is what counts.
        drop(TcpStream::connect(address).await?);
        if let Some(place) = self.processes.get_mut(index) {
            *place = Some(process);
        }
        Ok(())
    }
}

fn reserve() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Else the upstream could not bind it, too.
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    Ok(socket)
}

/// So many cycles, and then an end to the load; or before, where something was wrong.
pub(crate) async fn go_on(
    load: &Load,
    gateway: &Gateway,
    upstreams: &mut Upstreams,
    cycles: u32,
) -> Result<Happened, Box<dyn std::error::Error + Send + Sync>> {
    let mut happened = Happened::default();
    let mut begins = load.now();
    for _ in 0..cycles {
        for (at, event) in EVENTS {
            tokio::select! {
                () = time::sleep((begins + at).saturating_sub(load.now())) => {}
                () = load.stop.cancelled() => return Ok(happened),
            }
            match event {
                Event::Kill(index) => {
                    load.weather.note(load.now(), Change::Killed);
                    upstreams.kill(index).await?;
                    happened.kills += 1;
                }
                Event::Revive(index) => {
                    upstreams.revive(index).await?;
                    load.weather.note(load.now(), Change::Revived);
                }
                Event::Hang(index) => {
                    load.weather.note(load.now(), Change::Hung);
                    upstreams.signal(index, "-STOP").await?;
                    happened.hangs += 1;
                }
                Event::Resume(index) => {
                    upstreams.signal(index, "-CONT").await?;
                    load.weather.note(load.now(), Change::Resumed);
                }
                Event::Reload(variant) => {
                    gateway.reload(variant, upstreams.addresses()).await?;
                    happened.reloads += 1;
                }
            }
        }
        begins += CYCLE;
        time::sleep(begins.saturating_sub(load.now())).await;
    }
    Ok(happened)
}
