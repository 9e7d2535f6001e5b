//! Requests that are cloned for each attempt.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use buttress_retry::{Cloned, Ended};
use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _};

use crate::support::{Upstream, ended, http, put};

#[tokio::test(start_paused = true)]
async fn with_cloned_the_service_takes_the_same_request() {
    let calls = AtomicU32::new(0);
    let service = tower::service_fn(|request: Request<Full<Bytes>>| {
        let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let body = request.into_body();
            assert_eq!(body.size_hint().exact(), Some(7));
            let status = if first { 503 } else { 200 };
            Ok::<_, Infallible>(http::Response::builder().status(status).body(body).unwrap())
        }
    });
    let layer = http().replay(Cloned).build().unwrap();
    let response = layer.layer(service).oneshot(put("a thing")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "a thing"
    );
}

/// A body that counts its clones.
#[derive(Debug, Default)]
struct Counted(Arc<AtomicU32>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(&self.0))
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

/// It is kept for the attempts that there may be, and sent itself with the last one.
#[tokio::test(start_paused = true)]
async fn with_cloned_the_last_attempt_costs_no_clone() {
    let body = Counted::default();
    let clones = Arc::clone(&body.0);
    let upstream = Upstream::new().says(503).says(503).says(503);
    let layer = http().replay(Cloned).build().unwrap();
    let request = put("").map(|_| body);
    let out = layer.layer(upstream).oneshot(request).await;
    assert_eq!(ended(&out), Some((Ended::Attempts, 3)));
    assert_eq!(clones.load(Ordering::SeqCst), 2);
}
