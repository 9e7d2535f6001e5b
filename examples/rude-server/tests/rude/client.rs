use buttress_by_hand::within;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use rude_server::{RudeServer, Script};

/// Which HTTP a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

pub(crate) const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

/// hyper's client, which tries nothing again by itself.
pub(crate) struct Client(legacy::Client<HttpConnector, Full<Bytes>>);

impl Client {
    pub(crate) fn new(version: Version) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .http2_only(version == Version::Http2)
            .build_http();
        Self(client)
    }

    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        within(self.0.request(request)).await
    }

    pub(crate) async fn get(&self, uri: String) -> Result<Response<Incoming>, legacy::Error> {
        self.send(Request::get(uri).body(Full::default()).unwrap())
            .await
    }

    /// The status of an answer that comes.
    pub(crate) async fn status(&self, uri: String) -> u16 {
        self.get(uri).await.unwrap().status().as_u16()
    }
}

/// A body, and its trailers.
pub(crate) async fn read(
    response: Response<Incoming>,
) -> Result<(Bytes, Option<HeaderMap>), hyper::Error> {
    let body = within(response.into_body().collect()).await?;
    let trailers = body.trailers().cloned();
    Ok((body.to_bytes(), trailers))
}

pub(crate) async fn server() -> RudeServer {
    scripted(Script::default()).await
}

pub(crate) async fn scripted(script: Script) -> RudeServer {
    RudeServer::start(([127, 0, 0, 1], 0).into(), script)
        .await
        .unwrap()
}

/// The error at the bottom.
pub(crate) fn root<'a, E: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None::<&'a E>
}
