use std::time::Duration;

use http::Response;

/// Marks a response as refused on *this* side: by a limiter's pacing, an open circuit, a full queue.
///
/// It is a response's extension, so it never crosses the wire. Whoever judges the upstream by its
/// answers, such as a circuit breaker or a retry policy, does not take a response that carries it for
/// the upstream's word: the classifiers of this crate call it
/// [`Outcome::Ignored`](buttress_core::Outcome::Ignored).
///
/// ```
/// use std::time::Duration;
/// use buttress_http::LocalRefusal;
///
/// let mut response = http::Response::new(());
/// LocalRefusal::new(Some(Duration::from_secs(3))).mark(&mut response);
///
/// let refusal = LocalRefusal::of(&response).expect("it was just marked");
/// assert_eq!(refusal.retry_after(), Some(Duration::from_secs(3)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRefusal {
    retry_after: Option<Duration>,
}

impl LocalRefusal {
    /// A refusal that ends after `retry_after`, where that is known.
    #[must_use]
    pub const fn new(retry_after: Option<Duration>) -> Self {
        Self { retry_after }
    }

    /// For how long a further call would be refused, unrounded; `None` where that is not known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Marks `response`.
    pub fn mark<B>(self, response: &mut Response<B>) {
        response.extensions_mut().insert(self);
    }

    /// The mark that `response` carries.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<Self> {
        response.extensions().get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_upstream_carries_no_mark() {
        assert_eq!(LocalRefusal::of(&Response::new(())), None);
    }

    #[test]
    fn the_mark_survives_a_change_of_the_body() {
        let mut response = Response::new("body");
        LocalRefusal::new(None).mark(&mut response);
        let response = response.map(str::len);
        assert_eq!(LocalRefusal::of(&response), Some(LocalRefusal::new(None)));
    }
}
