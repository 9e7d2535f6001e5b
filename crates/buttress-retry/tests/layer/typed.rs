//! Requests of any type.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use buttress_core::{KeyWriter, MissingKey};
use buttress_retry::{Ended, Error, Judgment, LayerFor, RetryBuilder, RetryLayer, Typed};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{MS, S, steady};

type Judged = Result<u32, &'static str>;

fn layer() -> RetryBuilder<LayerFor<Typed<u32, &'static str>>> {
    steady(RetryLayer::typed(
        |result: Result<&u32, &&'static str>| match result {
            Ok(_) => Judgment::Success,
            Err(&"busy") => Judgment::TRANSIENT,
            Err(&"slow down") => Judgment::Throttled {
                retry_after: Some(5 * S),
            },
            Err(_) => Judgment::NotRetryable,
        },
    ))
}

async fn answered(
    layer: &RetryLayer<Typed<u32, &'static str>>,
    answers: &[Judged],
) -> Result<u32, Error<&'static str>> {
    let n = AtomicU32::new(0);
    let service = service_fn(|_: u32| {
        let n = n.fetch_add(1, Ordering::SeqCst) as usize;
        std::future::ready(answers[n])
    });
    layer.layer(service).oneshot(1).await
}

#[tokio::test(start_paused = true)]
async fn the_classifier_decides() {
    let layer = layer().build().unwrap();
    assert_eq!(
        answered(&layer, &[Err("busy"), Err("busy"), Ok(3)]).await,
        Ok(3)
    );
    let error = answered(&layer, &[Err("wrong")]).await.unwrap_err();
    let told = error
        .report()
        .map(|report| (report.ended(), report.attempts()));
    assert_eq!(told, Some((Ended::NotRetryable, 1)));
    let error = answered(&layer, &[Err("busy"); 3]).await.unwrap_err();
    let told = error
        .report()
        .map(|report| (report.ended(), report.attempts()));
    assert_eq!(told, Some((Ended::Attempts, 3)));
    assert_eq!(
        error.to_string(),
        "the call failed: 3 attempts in 300ms: all attempts were made"
    );
    assert_eq!(error.into_inner(), Some("busy"));
}

#[tokio::test(start_paused = true)]
async fn throttled_parks_everybody() {
    let layer = layer().max_wait(3 * S).throttled_wait(S).build().unwrap();
    assert!(answered(&layer, &[Err("slow down")]).await.is_err());
    let error = answered(&layer, &[Ok(1)]).await.unwrap_err();
    assert!(matches!(error, Error::Parked { retry_after, .. } if retry_after == 5 * S));
    layer.unpark_all();
    assert_eq!(answered(&layer, &[Ok(1)]).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_an_error() {
    let layer = layer().attempt_timeout(S).build().unwrap();
    let service = service_fn(|_: u32| std::future::pending::<Judged>());
    let error = layer.layer(service).oneshot(1).await.unwrap_err();
    let Error::TimedOut { report, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((report.attempts(), report.elapsed()), (3, 3_300 * MS));
    assert_ne!(report.elapsed(), Duration::ZERO);
}

/// Requests for one upstream of several: even ones go to one, odd ones to another.
#[tokio::test(start_paused = true)]
async fn whom_it_is_about_can_be_said() {
    let parity = |request: &u32, key: &mut KeyWriter<'_>| {
        key.unsigned(u128::from(request % 2));
        Ok::<(), MissingKey>(())
    };
    let layer = layer().max_wait(3 * S).throttled_wait(S).park_by(parity);
    let layer = layer.build().unwrap();
    let busy = service_fn(|_: u32| std::future::ready(Judged::Err("slow down")));
    assert!(layer.layer(busy).oneshot(4).await.is_err());
    let send = |request| {
        let echo = service_fn(|request: u32| std::future::ready(Judged::Ok(request)));
        layer.layer(echo).oneshot(request)
    };
    assert_eq!(send(5).await, Ok(5));
    assert!(matches!(send(6).await, Err(Error::Parked { .. })));
    assert_eq!((layer.parked(&5), layer.parked(&6)), (None, Some(5 * S)));
    layer.unpark(&5);
    assert!(send(6).await.is_err());
    layer.unpark(&8);
    assert_eq!(send(6).await, Ok(6));
}

/// A request that counts its clones.
struct Counted(Arc<AtomicU32>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(&self.0))
    }
}

/// It is kept for the attempts that there may be, and sent itself with the last one.
#[tokio::test(start_paused = true)]
async fn the_last_attempt_costs_no_clone() {
    let clones = Arc::new(AtomicU32::new(0));
    let request = Counted(Arc::clone(&clones));
    let busy = service_fn(|_: Counted| std::future::ready(Judged::Err("busy")));
    let error = layer().build().unwrap().layer(busy).oneshot(request).await;
    let report = error.unwrap_err().report().unwrap();
    assert_eq!((report.ended(), report.attempts()), (Ended::Attempts, 3));
    assert_eq!(clones.load(Ordering::SeqCst), 2);
}
