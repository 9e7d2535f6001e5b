//! Every interleaving of those who take part in a fetch.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p buttress-cache --release --lib loom`

use std::task::Wake;

use buttress_core::Digest;
use loom::{
    sync::{Arc as Shared, Notify},
    thread,
};

use super::*;
use crate::flights::{Boarding, Flights, Lead};

const KEY: Digest = Digest::from_u128(1);

/// Blocks the thread that polls until it is woken. A wake-up that is lost is a deadlock, which loom reports.
struct Bell(Shared<Notify>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn wait<T>(mut poll: impl FnMut(&Context<'_>) -> Poll<T>) -> T {
    let bell = Shared::new(Notify::new());
    let waker = Arc::new(Bell(Shared::clone(&bell))).into();
    loop {
        if let Poll::Ready(done) = poll(&Context::from_waker(&waker)) {
            return done;
        }
        bell.wait();
    }
}

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

fn lead(flights: &Arc<Flights<u8>>) -> Lead<u8> {
    let Boarding::Lead(lead) = flights.board(KEY) else {
        panic!("nobody leads");
    };
    assert_eq!(flights.len(), 1, "others cannot take part");
    lead
}

/// All that a body has, or where it broke off.
fn read(seat: &mut Seat<u8>) -> Result<Vec<u8>, Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match wait(|cx| seat.poll_frame(cx)) {
            None => return Ok(all),
            Some(Err(_)) => return Err(all),
            Some(Ok(frame)) => all.extend_from_slice(&frame.into_data().unwrap()),
        }
    }
}

/// Two who miss the same: one makes the request, and the other has all of its answer, or one of its own.
#[test]
fn loom_who_boards_gets_all_of_it_or_makes_a_fetch_of_its_own() {
    model(|| {
        let flights = Arc::new(Flights::new());
        let first = lead(&flights);
        let other = {
            let flights = Arc::clone(&flights);
            thread::spawn(move || match flights.board(KEY) {
                Boarding::Lead(_) => None,
                Boarding::Follow(mut seat) => match wait(|cx| seat.poll_head(cx)) {
                    Heard::News(news) => Some((news, read(&mut seat))),
                    Heard::GoOn => panic!("sent on, though there is an answer"),
                },
            })
        };
        let flight = Arc::clone(first.flight());
        flight.tell(7, 2);
        flight.push(Bytes::from_static(b"a"));
        assert_eq!(flight.seal(Bytes::from_static(b"b")).unwrap(), "ab");
        flight.finish(None);
        drop(first);
        if let Some((news, body)) = other.join().unwrap() {
            assert_eq!((news, body), (7, Ok(b"ab".to_vec())));
        }
        assert_eq!(flights.len(), 0, "nothing is under way");
    });
}

/// The fetch comes to nothing: whoever waits goes on, and nobody takes a seat that leads nowhere.
#[test]
fn loom_who_waits_for_a_fetch_that_fails_is_sent_on() {
    model(|| {
        let flights = Arc::new(Flights::new());
        let first = lead(&flights);
        let other = {
            let flights = Arc::clone(&flights);
            thread::spawn(move || {
                if let Boarding::Follow(seat) = flights.board(KEY) {
                    assert_eq!(wait(|cx| seat.poll_head(cx)), Heard::GoOn);
                }
            })
        };
        drop(first);
        other.join().unwrap();
        assert_eq!(flights.len(), 0);
    });
}

/// The fetch breaks off in the middle of the body: its readers are told, after all that came.
#[test]
fn loom_who_reads_a_body_that_breaks_off_is_told() {
    model(|| {
        let flights = Arc::new(Flights::new());
        let first = lead(&flights);
        let mut seat = first.seat().unwrap();
        let reader = thread::spawn(move || read(&mut seat));
        first.flight().tell(7, 0);
        first.flight().push(Bytes::from_static(b"a"));
        drop(first);
        assert_eq!(reader.join().unwrap(), Err(b"a".to_vec()));
    });
}

/// The last one leaves while another comes: either the fetch goes on for it, or it begins one of its own.
#[test]
fn loom_who_comes_as_the_last_one_leaves_does_not_wait_for_ever() {
    model(|| {
        let flights = Arc::new(Flights::new());
        let first = lead(&flights);
        let seat = first.seat().unwrap();
        let other = {
            let flights = Arc::clone(&flights);
            thread::spawn(move || {
                if let Boarding::Follow(seat) = flights.board(KEY) {
                    // News, or that there will be none.
                    wait(|cx| seat.poll_head(cx));
                }
            })
        };
        drop(seat);
        let flight = Arc::clone(first.flight());
        if !flight.give_up() {
            flight.tell(7, 0);
            flight.finish(None);
        }
        drop(first);
        other.join().unwrap();
    });
}

/// Who leaves last wakes the task that waits for all to leave.
#[test]
fn loom_the_task_is_told_that_all_have_left() {
    model(|| {
        let flights = Arc::new(Flights::new());
        let first = lead(&flights);
        let seat = first.seat().unwrap();
        let other = {
            let flights = Arc::clone(&flights);
            thread::spawn(move || drop(flights.board(KEY)))
        };
        let leaver = thread::spawn(move || drop(seat));
        let flight = Arc::clone(first.flight());
        wait(|cx| flight.poll_deserted(cx));
        leaver.join().unwrap();
        other.join().unwrap();
    });
}

/// The task waits for room, the slowest reads or leaves: the task goes on.
#[test]
fn loom_the_slowest_makes_room_whether_it_reads_or_leaves() {
    for leaves in [false, true] {
        model(move || {
            let flight = Flight::<u8>::new();
            let mut seat = flight.join().unwrap();
            flight.tell(7, 0);
            flight.stop_keeping();
            flight.push(Bytes::from_static(&[0; WINDOW as usize]));
            let reader = thread::spawn(move || {
                if leaves {
                    drop(seat);
                    return;
                }
                assert!(wait(|cx| seat.poll_frame(cx)).is_some());
                assert!(wait(|cx| seat.poll_frame(cx)).is_none());
            });
            let room = wait(|cx| flight.poll_room(cx));
            assert_eq!(room == Room::Deserted, leaves);
            flight.finish(None);
            reader.join().unwrap();
        });
    }
}
