use std::io;

use crate::Shutdown;

/// Asks for the shutdown at every Ctrl-C and SIGTERM: the first closes, the second cuts off.
///
/// # Errors
///
/// Where the operating system does not let us listen to signals.
pub fn close_on_signal(shutdown: Shutdown) -> io::Result<()> {
    let mut signals = Signals::listen()?;
    tokio::spawn(async move {
        loop {
            signals.next().await;
            shutdown.ask();
        }
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals {
    ctrl_c: tokio::signal::windows::CtrlC,
}

#[cfg(windows)]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            ctrl_c: tokio::signal::windows::ctrl_c()?,
        })
    }

    async fn next(&mut self) {
        self.ctrl_c.recv().await;
    }
}

/// Calls `reload` at every SIGHUP.
///
/// # Errors
///
/// Where the operating system does not let us listen to signals.
#[cfg(unix)]
pub fn reload_on_signal(reload: impl Fn() + Send + Sync + 'static) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut hangup = signal(SignalKind::hangup())?;
    let reload = std::sync::Arc::new(reload);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let reload = std::sync::Arc::clone(&reload);
            // A file is read, and tables are made.
            let _ = tokio::task::spawn_blocking(move || reload()).await;
        }
    });
    Ok(())
}

/// There is no such signal here: a new configuration takes a restart.
///
/// # Errors
///
/// Never.
#[cfg(windows)]
pub fn reload_on_signal(_reload: impl Fn() + Send + Sync + 'static) -> io::Result<()> {
    Ok(())
}
