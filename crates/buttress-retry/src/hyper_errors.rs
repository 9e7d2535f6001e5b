use std::{error::Error, io};

use h2::Reason;
use hyper_util::client::legacy;

use crate::{ClassifyError, Judgment};

/// Understands hyper's, hyper-util's and h2's errors, and those that have one of them as a source, such as reqwest's and
/// tonic's:
///
/// | error | meaning |
/// |---|---|
/// | no connection came about, or none that was ever ready for a request | [`Unprocessed`](Judgment::Unprocessed) |
/// | hyper gives the request back unsent ("canceled") | `Unprocessed` |
/// | the server reset the stream with `REFUSED_STREAM` (RFC 9113 §8.7) | `Unprocessed` |
/// | the server went away with `NO_ERROR`, before it looked at the stream (RFC 9113 §6.8) | `Unprocessed` |
/// | the request's own body failed, or the request is one that cannot be sent: without a host, of a version or with fields that the protocol does not have | [`NotRetryable`](Judgment::NotRetryable) |
/// | anything else, "connection closed before message completed" above all | [`Transient`](Judgment::Transient) |
///
/// A client that follows redirects is not to do so below the layer, as reqwest does unless told otherwise
/// (`redirect::Policy::none()`): where a POST is answered with a redirect that leads nowhere, its error is the one of
/// a request that was never sent.
///
/// ```
/// use buttress_retry::{HyperErrors, RetryLayer};
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = RetryLayer::http().classify_errors(HyperErrors).build()?;
/// let client = Client::builder(TokioExecutor::new())
///     .retry_canceled_requests(false) // which is the layer's work now
///     .build_http();
/// let client = tower::ServiceBuilder::new().layer(layer).service(client);
/// # drop(client.clone());
/// # fn request(_: impl tower::Service<http::Request<String>>) {} request(client);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HyperErrors;

/// [`HyperErrors`], where the service's error is a `BoxError`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BoxedHyperErrors;

impl<E: Error + 'static> ClassifyError<E> for HyperErrors {
    fn classify_error(&self, error: &E) -> Judgment {
        judge(error)
    }
}

impl ClassifyError<Box<dyn Error + Send + Sync>> for BoxedHyperErrors {
    fn classify_error(&self, error: &Box<dyn Error + Send + Sync>) -> Judgment {
        judge(&**error)
    }
}

fn judge(error: &(dyn Error + 'static)) -> Judgment {
    let known = std::iter::successors(Some(error), |&error| error.source())
        // An error that is its own source would go on for ever.
        .take(16)
        .find_map(known);
    known.unwrap_or(Judgment::TRANSIENT)
}

/// What one error of the chain says by itself.
fn known(error: &(dyn Error + 'static)) -> Option<Judgment> {
    if let Some(error) = error.downcast_ref::<legacy::Error>() {
        return of_legacy(error);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return if error.is_canceled() {
            Some(Judgment::UNPROCESSED)
        } else {
            error.is_user().then_some(Judgment::NotRetryable)
        };
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return of_h2(error);
    }
    if error.is::<http::Error>() {
        // What was to be sent was not even made.
        return Some(Judgment::NotRetryable);
    }
    // Tonic's own error for that has no name.
    let error = error.downcast_ref::<io::Error>()?;
    (error.kind() == io::ErrorKind::ConnectionRefused).then_some(Judgment::UNPROCESSED)
}

fn of_legacy(error: &legacy::Error) -> Option<Judgment> {
    if error.is_connect() {
        return Some(Judgment::UNPROCESSED);
    }
    // Its kinds are private but for one. Those of a mistake have no cause, and are named so.
    if error.source().is_none() && error.to_string().contains("(User") {
        return Some(Judgment::NotRetryable);
    }
    // What strikes a request on its way names its connection. Before there is one that is ready, nothing is sent.
    let is_unsent = error.connect_info().is_none();
    is_unsent.then_some(Judgment::UNPROCESSED)
}

fn of_h2(error: &h2::Error) -> Option<Judgment> {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let went_away = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    // What we did to the stream ourselves proves nothing.
    if error.is_remote() && (refused || went_away) {
        return Some(Judgment::UNPROCESSED);
    }
    // What is wrong with the request itself; h2 calls other things mistakes, too, that the server brought about.
    let mistake = error.to_string();
    let mistake = mistake.strip_prefix("user error: ")?;
    MISTAKES
        .contains(&mistake)
        .then_some(Judgment::NotRetryable)
}

const MISTAKES: [&str; 4] = [
    "malformed headers",
    "header too big",
    "payload too big",
    "request URI missing scheme and authority",
];

#[cfg(test)]
mod tests;
