//! How many connections there may be: in all, and of one client.
//!
//! A connection takes a file descriptor and some memory before it has asked for anything, and no limit on requests sees it.
//!
//! 1. Where there are as many as there may be, none is accepted until one ends: who comes meanwhile waits in the operating
//!    system's queue, so a peak that passes turns nobody out.
//! 2. Whose client it is, is known only when it is accepted. One of a client that has as many as it may is closed at once,
//!    without a word; so one client alone cannot take all the places.
//! 3. A place is given back with the socket, so a tunnel keeps the one that it came by.

mod held;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use buttress_rate_limit::{DirectRateLimiter, Quota};
use metrics::{Counter, Gauge, counter, gauge};
use tokio::sync::Notify;

pub(crate) use self::held::Held;
use crate::config::Config;

/// The connections that there are. Clones share them.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Shared>);

struct Shared {
    open: Mutex<Open>,
    /// One has ended, or there may be more of them.
    changed: Notify,
    full: AtomicU64,
    refused: AtomicU64,
    told: Told,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    /// Not more entries than connections.
    of_clients: HashMap<IpAddr, usize>,
}

/// What operators hear.
struct Told {
    open: Gauge,
    full: Counter,
    refused: Counter,
    /// For the log; `None` would mean that the quota cannot be expressed, which it can.
    pace: Option<DirectRateLimiter>,
}

impl Connections {
    /// None yet. Into the recorder of metrics that is installed by now.
    pub(crate) fn none() -> Self {
        Self(Arc::new(Shared {
            open: Mutex::default(),
            changed: Notify::new(),
            full: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            told: Told {
                open: gauge!("gateway_connections"),
                full: counter!("gateway_connections_full_total"),
                refused: counter!("gateway_connections_refused_total"),
                pace: DirectRateLimiter::of(Quota::per_second(1)).ok(),
            },
        }))
    }

    /// Waits until there are fewer than `most`, which is asked again whenever it [may have changed](Self::reconsider).
    pub(crate) async fn room(&self, most: impl Fn() -> usize) {
        let mut is_full = false;
        loop {
            let most = most();
            if self.open() < most {
                return;
            }
            if !is_full {
                is_full = true;
                self.0.told.full.increment(1);
                let so_far = 1 + self.0.full.fetch_add(1, Ordering::Relaxed);
                if self.0.told.may_log() {
                    tracing::warn!(
                        connections = most,
                        so_far,
                        "no further connection is accepted until one ends"
                    );
                }
            }
            // What ends after the look is not missed: it is kept for whoever waits next.
            self.0.changed.notified().await;
        }
    }

    /// Takes a place; there is none for a client that has `most` of them already. Nobody in particular may have any number.
    pub(crate) fn enter(&self, client: Option<IpAddr>, most: usize) -> Option<Place> {
        let mut open = self.lock();
        if let Some(client) = client {
            let of_client = open.of_clients.entry(client).or_default();
            if *of_client >= most {
                drop(open);
                self.refused(client);
                return None;
            }
            *of_client += 1;
        }
        open.all += 1;
        drop(open);
        self.0.told.open.increment(1.0);
        Some(Place {
            connections: self.clone(),
            client,
        })
    }

    fn refused(&self, client: IpAddr) {
        self.0.told.refused.increment(1);
        let so_far = 1 + self.0.refused.fetch_add(1, Ordering::Relaxed);
        if self.0.told.may_log() {
            tracing::warn!(%client, so_far, "has as many connections as it may: another one was closed");
        }
    }

    /// There may be more of them now.
    pub(crate) fn reconsider(&self) {
        self.0.changed.notify_one();
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.lock().all
    }

    /// How often there were as many as there may be.
    pub(crate) fn full(&self) -> u64 {
        self.0.full.load(Ordering::Relaxed)
    }

    /// How many were closed since their clients had as many as they may.
    pub(crate) fn refusals(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn may_log(&self) -> bool {
        let pace = self.pace.as_ref();
        pace.is_none_or(|pace| pace.check().is_ok())
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("open", &self.open())
            .finish_non_exhaustive()
    }
}

/// Whose connection counts as one of a client's: `None` for a proxy, which has those of all its clients, and for a client that
/// no limit holds for.
pub(crate) fn client(config: &Config, peer: IpAddr) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    let is_exempt = config.client_ip.trusts(peer)
        || config
            .limits
            .allow
            .iter()
            .any(|network| network.contains(peer));
    (!is_exempt).then(|| match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(peer) => {
            let rest = u32::from(128_u8.saturating_sub(config.client_ip.ipv6_prefix));
            let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(peer.to_bits() & mask))
        }
    })
}

/// The place of a connection; given back where it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Connections,
    client: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.all = open.all.saturating_sub(1);
        if let Some(client) = self.client
            && let Entry::Occupied(mut of_client) = open.of_clients.entry(client)
        {
            match of_client.get() {
                0 | 1 => drop(of_client.remove()),
                more => *of_client.get_mut() = more - 1,
            }
        }
        drop(open);
        self.connections.0.told.open.decrement(1.0);
        self.connections.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::Future as _,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn has_room(connections: &Connections, most: usize) -> bool {
        let room = pin!(connections.room(|| most));
        let mut cx = Context::from_waker(Waker::noop());
        room.poll(&mut cx).is_ready()
    }

    #[test]
    fn a_client_has_so_many_places_and_takes_nobody_elses() {
        let connections = Connections::none();
        let (one, other) = (Some(ip("192.0.2.1")), Some(ip("192.0.2.2")));
        let held: Vec<_> = (0..2).map(|_| connections.enter(one, 2).unwrap()).collect();
        assert!(connections.enter(one, 2).is_none());
        assert_eq!((connections.open(), connections.refusals()), (2, 1));
        let others = connections.enter(other, 2).unwrap();
        let nobodys: Vec<_> = (0..5)
            .map(|_| connections.enter(None, 2).unwrap())
            .collect();
        assert_eq!(connections.open(), 8);

        // One that ends makes room for one.
        let mut held = held.into_iter();
        drop(held.next());
        let again = connections.enter(one, 2).unwrap();
        assert!(connections.enter(one, 2).is_none());
        drop(held);
        drop((again, others, nobodys));
        assert_eq!(connections.open(), 0);
        assert!(
            connections.lock().of_clients.is_empty(),
            "nothing is left of who has left"
        );
    }

    #[test]
    fn there_is_room_when_one_ends_or_there_may_be_more() {
        let connections = Connections::none();
        assert!(has_room(&connections, 1));
        let held = connections.enter(None, 1).unwrap();
        assert!(!has_room(&connections, 1));
        assert!(has_room(&connections, 2));
        assert_eq!(connections.full(), 1);

        let mut cx = Context::from_waker(Waker::noop());
        let mut room = pin!(connections.room(|| 1));
        assert!(room.as_mut().poll(&mut cx).is_pending());
        drop(held);
        assert!(room.as_mut().poll(&mut cx).is_ready(), "one ended");

        let _held = connections.enter(None, 1).unwrap();
        let limit = Cell::new(1);
        let mut room = pin!(connections.room(|| limit.get()));
        assert!(room.as_mut().poll(&mut cx).is_pending());
        // As many as before, for whom is waited still.
        connections.reconsider();
        assert!(room.as_mut().poll(&mut cx).is_pending());
        assert_eq!(connections.full(), 3);
        limit.set(2);
        connections.reconsider();
        assert!(room.as_mut().poll(&mut cx).is_ready(), "there may be two");
    }

    /// However slow that is, it takes no second for each.
    #[test]
    fn a_flood_of_them_is_none_of_the_log() {
        let connections = Connections::none();
        let logged = (0..1_000).filter(|_| connections.0.told.may_log()).count();
        assert!((1..1_000).contains(&logged), "{logged}");
    }

    #[test]
    fn whose_it_is() {
        let mut config = Config::default();
        config.limits.allow = vec!["198.51.100.0/24".parse().unwrap()];
        let of = |config: &Config, text| client(config, ip(text));
        assert_eq!(of(&config, "192.0.2.1"), Some(ip("192.0.2.1")));
        assert_eq!(of(&config, "::ffff:192.0.2.1"), Some(ip("192.0.2.1")));
        assert_eq!(of(&config, "2001:db8:0:1:2::3"), Some(ip("2001:db8:0:1::")));
        assert_eq!(of(&config, "198.51.100.7"), None, "no limit holds for it");
        config.client_ip.trusted = Some(vec!["192.0.2.0/24".parse().unwrap()]);
        assert_eq!(of(&config, "192.0.2.1"), None, "a proxy");
        config.client_ip.ipv6_prefix = 128;
        let whole = "2001:db8:0:1:2::3";
        assert_eq!(of(&config, whole), Some(ip(whole)));
    }
}
