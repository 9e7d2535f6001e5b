use std::{
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering},
    task::Wake,
    time::Duration,
};

use buttress_core::clock::{AnyClock, TokioClock};
use tokio::time;

use super::{desert::Deserted, *};

/// Counts how often it is woken.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Poller {
    woken: Arc<Counter>,
    waker: Waker,
}

impl Poller {
    fn new() -> Self {
        let woken = Arc::<Counter>::default();
        Self {
            waker: Arc::clone(&woken).into(),
            woken,
        }
    }

    fn cx(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    fn woken(&self) -> usize {
        self.woken.0.swap(0, Ordering::Relaxed)
    }
}

type News = &'static str;

fn data(seat: &mut Seat<News>, poller: &Poller) -> Poll<Option<Result<Bytes, BodyError>>> {
    seat.poll_frame(&poller.cx())
        .map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().unwrap())))
}

fn next(seat: &mut Seat<News>, poller: &Poller) -> Bytes {
    match data(seat, poller) {
        Poll::Ready(Some(Ok(bytes))) => bytes,
        other => panic!("no data, but {other:?}"),
    }
}

#[test]
fn everybody_is_woken_once_per_piece_of_news() {
    let flight = Flight::<News>::new();
    let mut seats: Vec<_> = (0..50)
        .map(|_| (flight.join().unwrap(), Poller::new()))
        .collect();
    let woken = |seats: &[(Seat<News>, Poller)]| -> Vec<usize> {
        let mut counts: Vec<_> = seats.iter().map(|(_, poller)| poller.woken()).collect();
        counts.dedup();
        counts
    };
    for (seat, poller) in &mut seats {
        assert!(seat.poll_head(&poller.cx()).is_pending());
    }
    assert_eq!(woken(&seats), [0]);
    flight.tell("head", 4);
    assert_eq!(woken(&seats), [1]);
    for (seat, poller) in &mut seats {
        assert_eq!(
            seat.poll_head(&poller.cx()),
            Poll::Ready(Heard::News("head"))
        );
        assert!(data(seat, poller).is_pending());
    }
    flight.push(Bytes::from_static(b"body"));
    flight.push(Bytes::from_static(b"more"));
    assert_eq!(
        woken(&seats),
        [1],
        "two pieces, but nobody looked in between"
    );
    for (seat, poller) in &mut seats {
        assert_eq!(next(seat, poller), "body");
        assert_eq!(next(seat, poller), "more");
        assert!(data(seat, poller).is_pending());
    }
    assert_eq!(flight.seal(Bytes::from_static(b"!")).unwrap(), "bodymore!");
    assert_eq!(woken(&seats), [0]);
    flight.finish(None);
    assert_eq!(woken(&seats), [1]);
    for (seat, poller) in &mut seats {
        assert_eq!(next(seat, poller), "!");
        assert!(matches!(data(seat, poller), Poll::Ready(None)));
        assert!(seat.is_at_its_end());
    }
    assert_eq!(woken(&seats), [0]);
}

#[test]
fn newcomers_read_from_the_beginning_while_it_is_kept() {
    let flight = Flight::new();
    let mut early = flight.join().unwrap();
    let poller = Poller::new();
    flight.tell("head", 0);
    flight.push(Bytes::from_static(b"one"));
    assert_eq!(next(&mut early, &poller), "one");
    let mut late = flight.join().unwrap();
    assert_eq!(next(&mut late, &poller), "one");

    flight.stop_keeping();
    assert!(flight.join().is_none());
    flight.push(Bytes::from_static(b"two"));
    assert_eq!(next(&mut early, &poller), "two");
    assert_eq!(next(&mut late, &poller), "two");
    assert_eq!(flight.seal(Bytes::new()), None);
    flight.finish(None);
}

#[test]
fn a_dissolved_flight_sends_all_on_at_once() {
    let flight = Flight::<News>::new();
    let mut seats: Vec<_> = (0..3)
        .map(|_| (flight.join().unwrap(), Poller::new()))
        .collect();
    for (seat, poller) in &mut seats {
        assert!(seat.poll_head(&poller.cx()).is_pending());
    }
    flight.dissolve();
    for (seat, poller) in &mut seats {
        assert_eq!(poller.woken(), 1);
        assert_eq!(seat.poll_head(&poller.cx()), Poll::Ready(Heard::GoOn));
    }
    assert!(flight.join().is_none());
}

#[test]
fn all_are_told_that_the_body_breaks_off_after_what_came() {
    let flight = Flight::new();
    let (mut one, mut two) = (flight.join().unwrap(), flight.join().unwrap());
    let poller = Poller::new();
    flight.tell("head", 10);
    flight.push(Bytes::from_static(b"half"));
    flight.break_off(BodyError::inner("reset"));
    assert!(flight.join().is_none());
    for seat in [&mut one, &mut two] {
        assert!(!seat.is_at_its_end());
        assert_eq!(next(seat, &poller), "half");
        let Poll::Ready(Some(Err(error))) = data(seat, &poller) else {
            panic!("a broken body looks complete");
        };
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "reset"
        );
        assert!(matches!(data(seat, &poller), Poll::Ready(None)));
    }
}

#[test]
fn trailers_come_last() {
    let flight = Flight::new();
    let mut seat = flight.join().unwrap();
    let poller = Poller::new();
    flight.tell("head", 0);
    flight.push(Bytes::from_static(b"x"));
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "\"a\"".parse().unwrap())]);
    flight.seal(Bytes::new());
    flight.finish(Some(trailers.clone()));
    assert_eq!(next(&mut seat, &poller), "x");
    assert!(!seat.is_at_its_end());
    match seat.poll_frame(&poller.cx()) {
        Poll::Ready(Some(Ok(frame))) => assert_eq!(frame.into_trailers().unwrap(), trailers),
        other => panic!("{other:?}"),
    }
    assert!(seat.is_at_its_end());
}

#[test]
fn the_task_waits_for_the_slowest_only_when_the_window_is_full() {
    let flight = Flight::new();
    let (mut fast, mut slow) = (flight.join().unwrap(), flight.join().unwrap());
    let (poller, task) = (Poller::new(), Poller::new());
    flight.tell("head", 0);
    flight.stop_keeping();
    let piece = Bytes::from(vec![0; WINDOW as usize / 4]);
    for _ in 0..4 {
        assert_eq!(flight.poll_room(&task.cx()), Poll::Ready(Room::Free));
        flight.push(piece.clone());
        next(&mut fast, &poller);
    }
    assert!(flight.poll_room(&task.cx()).is_pending());
    assert_eq!(task.woken(), 0);
    next(&mut slow, &poller);
    assert_eq!(task.woken(), 1);
    assert_eq!(flight.poll_room(&task.cx()), Poll::Ready(Room::Free));
    // What both have had is let go.
    flight.push(piece.clone());
    assert!(flight.poll_room(&task.cx()).is_pending());
    drop(slow);
    assert_eq!(task.woken(), 1);
    assert_eq!(flight.poll_room(&task.cx()), Poll::Ready(Room::Free));
    drop(fast);
    assert_eq!(flight.poll_room(&task.cx()), Poll::Ready(Room::Deserted));
}

#[test]
fn who_leaves_is_not_waited_for_and_the_last_one_is_told_to_the_task() {
    let flight = Flight::<News>::new();
    let (one, two) = (flight.join().unwrap(), flight.join().unwrap());
    let task = Poller::new();
    assert!(flight.poll_deserted(&task.cx()).is_pending());
    drop(one);
    assert_eq!(task.woken(), 0);
    drop(two);
    assert_eq!(task.woken(), 1);
    assert!(flight.poll_deserted(&task.cx()).is_ready());
    // Somebody who comes in time is served all the same.
    let _three = flight.join().unwrap();
    assert!(flight.poll_deserted(&task.cx()).is_pending());
}

fn attendance(flight: &Arc<Flight<News>>, grace: Option<Duration>) -> Attendance<News> {
    let timer = Arc::new(TokioClock::starting_now());
    Attendance::of(Arc::clone(flight), timer, grace, Duration::from_secs(5))
}

#[tokio::test(start_paused = true)]
async fn work_goes_on_for_the_time_of_grace_and_no_longer() {
    for (grace, expected) in [(None, 0), (Some(Duration::from_secs(3)), 3)] {
        let flight = Flight::<News>::new();
        let seat = flight.join().unwrap();
        let mut attendance = attendance(&flight, grace);
        let began = TokioClock::starting_now();
        let leave = async {
            time::sleep(Duration::from_secs(60)).await;
            drop(seat);
        };
        let deserted = poll_fn(|cx| attendance.poll_deserted(cx));
        assert_eq!(tokio::join!(deserted, leave), (Deserted, ()));
        assert!(flight.join().is_none(), "a seat that leads nowhere");
        assert_eq!(
            buttress_core::Clock::now(&began).as_nanos() / 1_000_000_000,
            60 + expected
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_who_holds_others_back_is_cut_off() {
    let flight = Flight::new();
    let (mut fast, mut slow) = (flight.join().unwrap(), flight.join().unwrap());
    let poller = Poller::new();
    flight.tell("head", 0);
    flight.stop_keeping();
    flight.push(Bytes::from(vec![0; WINDOW as usize]));
    let mut attendance = attendance(&flight, None);
    let clock = AnyClock::default();

    // Nobody waits in vain: both are slow.
    let waited = time::timeout(
        Duration::from_secs(3_600),
        poll_fn(|cx| attendance.poll_room(cx, &clock)),
    )
    .await;
    assert!(waited.is_err());

    next(&mut fast, &poller);
    poll_fn(|cx| attendance.poll_room(cx, &clock))
        .await
        .unwrap();
    flight.push(Bytes::from_static(b"more"));
    assert_eq!(next(&mut fast, &poller), "more");
    let Poll::Ready(Some(Err(error))) = data(&mut slow, &poller) else {
        panic!("held back for ever");
    };
    assert!(error.is_too_slow());
}
