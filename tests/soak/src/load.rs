use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use buttress_core::{Clock as _, clock::TokioClock};
use tokio::{task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use crate::{
    asked::Asked,
    client::Client,
    judge::{Span, judge},
    ledger::{Ledger, Seen},
    weather::Weather,
};

/// Clients with a connection each.
const HTTP1: usize = 12;

/// Connections that clients share, and how many share one.
const HTTP2: (usize, usize) = (2, 6);

/// Between two requests of a client, at most: half of it on the average.
const PAUSE: Duration = Duration::from_millis(80);

/// Longer than anything takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) clock: TokioClock,
    pub(crate) weather: Weather,
    pub(crate) ledger: Ledger,
    /// Ends the load: when it is time, or something was wrong.
    pub(crate) stop: CancellationToken,
    /// How many requests were not refused that have a quota.
    pub(crate) admitted: AtomicU64,
    wrong: Mutex<Option<String>>,
}

impl Load {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: TokioClock::starting_now(),
            weather: Weather::default(),
            ledger: Ledger::default(),
            stop: CancellationToken::new(),
            admitted: AtomicU64::new(0),
            wrong: Mutex::default(),
        })
    }

    /// Since the start.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.now().as_nanos())
    }

    /// Ends the run, for this reason if it is the first.
    pub(crate) fn is_wrong(&self, reason: String) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.get_or_insert(reason);
        self.stop.cancel();
    }

    pub(crate) fn wrong(&self) -> Option<String> {
        let wrong = self.wrong.lock();
        wrong.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All clients at `gateway`, each until it is stopped.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        gateway: SocketAddr,
        seed: u64,
    ) -> io::Result<JoinSet<()>> {
        let mut clients: Vec<_> = (0..HTTP1).map(|_| Client::http1(gateway)).collect();
        let (connections, shared_by) = HTTP2;
        for _ in 0..connections {
            clients.extend(Client::http2(gateway, shared_by).await?);
        }
        let mut running = JoinSet::new();
        for (index, client) in clients.into_iter().enumerate() {
            let random = fastrand::Rng::with_seed(seed.wrapping_add(index as u64));
            let load = Arc::clone(self);
            running.spawn(async move { load.ask_on(client, random).await });
        }
        Ok(running)
    }

    async fn ask_on(&self, mut client: Client, mut random: fastrand::Rng) {
        while !self.stop.is_cancelled() {
            let asked = Asked::draw(&mut random, client.is_http2());
            if let Err(reason) = self.ask(&mut client, asked).await {
                self.is_wrong(format!("{reason}: {asked:?}, at {:.1?}", self.now()));
            }
            let pause = random.u64(0..PAUSE.as_micros() as u64);
            time::sleep(Duration::from_micros(pause)).await;
        }
    }

    async fn ask(&self, client: &mut Client, asked: Asked) -> Result<(), String> {
        let shared = asked.is_shared();
        let id = if shared { 0 } else { self.ledger.begin() };
        let from = self.now();
        let outcome = time::timeout(DEADLINE, client.ask(asked, id))
            .await
            .map_err(|_| format!("request {id} had no answer in {DEADLINE:?}"))?
            .map_err(|error| format!("request {id} found no connection: {error}"))?;
        let span = Span {
            from,
            to: self.now(),
        };
        let seen = judge(asked, id, &outcome, &self.weather, span)
            .map_err(|reason| format!("request {id} got a wrong answer: {reason}: {outcome:?}"))?;
        if matches!(asked, Asked::Free(_)) && !matches!(seen, Seen::Whole { status: 429, .. }) {
            self.admitted.fetch_add(1, Ordering::Relaxed);
        }
        match (shared, seen) {
            (true, seen) => self.ledger.saw_shared(asked.path(id), seen),
            (false, seen) => self.ledger.saw(id, seen),
        }
        Ok(())
    }
}
