//! What happens to the gateway: its upstreams die and come back, its configuration changes.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
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
    weather::Change,
};

/// Longer than anything takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// What happens within a cycle, and when.
const EVENTS: [(Duration, Event); 13] = {
    use Event::{Kill, Reload, Revive};
    use Variant::{Broken, First, OtherLimit, OtherOrder};

    [
        // The preferred one, then the spare one, then both.
        (Duration::from_millis(500), Kill(0)),
        (Duration::from_millis(2_000), Revive(0)),
        (Duration::from_millis(6_500), Reload(OtherLimit)),
        (Duration::from_millis(7_500), Kill(1)),
        (Duration::from_millis(8_000), Reload(OtherOrder)),
        (Duration::from_millis(9_000), Revive(1)),
        (Duration::from_millis(10_000), Kill(0)),
        (Duration::from_millis(10_200), Kill(1)),
        (Duration::from_millis(10_700), Revive(1)),
        (Duration::from_millis(11_200), Revive(0)),
        // Where all is well, nobody may notice.
        (Duration::from_millis(16_000), Reload(Broken)),
        (Duration::from_millis(17_000), Reload(First)),
        (Duration::from_millis(18_000), Reload(First)),
    ]
};

/// From one cycle's beginning to the next.
pub(crate) const CYCLE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
enum Event {
    Kill(usize),
    Revive(usize),
    Reload(Variant),
}

/// How often something happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Happened {
    pub(crate) kills: u64,
    pub(crate) reloads: u64,
}

/// Two upstreams.
#[derive(Debug)]
pub(crate) struct Upstreams {
    processes: [Option<Child>; 2],
    addresses: [SocketAddr; 2],
    /// Bound, but not listened to: while an upstream is dead nobody else gets its port, and who connects to
    /// it is refused.
    _reserved: [TcpSocket; 2],
}

impl Upstreams {
    pub(crate) async fn start() -> io::Result<Self> {
        let reserved = [reserve()?, reserve()?];
        let addresses = [reserved[0].local_addr()?, reserved[1].local_addr()?];
        let mut upstreams = Self {
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

    async fn revive(&mut self, index: usize) -> io::Result<()> {
        let Some(address) = self.addresses.get(index) else {
            return Ok(());
        };
        let mut process = Command::new(std::env::current_exe()?)
            .arg("upstream")
            .arg(address.to_string())
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
