mod complete;
mod staleness;
mod updated;

use std::time::{Duration, SystemTime};

use buttress_http::http_date_value;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AGE, CONTENT_LENGTH, DATE, RANGE},
};

pub use self::complete::Incomplete;
use self::staleness::Mark;
use super::{
    Options, Part, RequestHead, ResponseDirectives, Source, Vary, age,
    cache_status::CACHE_STATUS,
    entity_tag, fields,
    freshness::{self, Governing},
    list::trim,
    range::if_range_holds,
};

/// When a request left for the origin, and when the head of its response was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the request left.
    pub requested: SystemTime,

    /// When the response's head arrived.
    pub responded: SystemTime,
}

/// All that is kept of a response but its body: status, fields, and what was read from them once, so that a use takes a
/// few comparisons.
#[derive(Clone, Debug)]
pub struct StoredHead {
    status: StatusCode,
    headers: HeaderMap,
    directives: ResponseDirectives,
    lifetime: Duration,
    source: Source,
    age_on_arrival: Duration,
    responded: SystemTime,
    date: SystemTime,
    vary: Vary,
    part: Option<Part>,
    /// The Range that the part was the origin's answer to.
    answered: Option<Box<[u8]>>,
    content_length: Option<u64>,
    mark: Mark,
}

impl StoredHead {
    /// Keeps a response of which it was decided that it may be. `governing` was read from the fields as they came:
    /// some that govern may not be kept.
    pub(super) fn keep(
        options: &Options,
        request: &RequestHead<'_>,
        governing: &Governing,
        vary: Vary,
        status: StatusCode,
        headers: &HeaderMap,
        times: Times,
    ) -> Self {
        let date = freshness::date(headers, times.responded);
        let (lifetime, source) = governing.lifetime(options, status, headers, times.responded);
        let mut kept = fields::to_keep(options, headers);
        // RFC 9110 §6.6.1: a recipient records when it received what has no Date, and adds it when it is kept. One
        // that cannot be read tells the next recipient nothing either.
        if date.is_none() {
            kept.insert(DATE, http_date_value(times.responded));
        }
        // Every use replaces both, in its copy of the map, which then need not grow.
        kept.insert(AGE, HeaderValue::from_static("0"));
        kept.entry(CACHE_STATUS)
            .or_insert(HeaderValue::from_static(""));
        // 204 has no content, whatever length some senders tell of it.
        let content_length = match status {
            StatusCode::NO_CONTENT => {
                kept.remove(CONTENT_LENGTH);
                None
            }
            _ => content_length(headers),
        };
        let part = (status == StatusCode::PARTIAL_CONTENT)
            .then(|| Part::read(headers))
            .flatten();
        Self {
            status,
            directives: governing.directives,
            lifetime,
            source,
            age_on_arrival: age::on_arrival(headers, date, times),
            responded: times.responded,
            date: date.unwrap_or(times.responded),
            vary,
            answered: part.and_then(|_| Some(request.headers().get(RANGE)?.as_bytes().into())),
            part,
            content_length,
            headers: kept,
            mark: Mark::Right,
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields that were kept: none of the connection's; always a Date; and, for each use to replace, an Age of 0 and,
    /// where the origin has none, an empty Cache-Status.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What its Cache-Control, or the targeted field in its place, said.
    #[must_use]
    pub fn directives(&self) -> &ResponseDirectives {
        &self.directives
    }

    /// How much memory it takes, in bytes, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        let answered = self.answered.as_ref().map_or(0, |range| range.len());
        size_of::<Self>() + fields::weight(&self.headers) + self.vary.weight() + answered
    }

    /// When it was made, by the origin's clock; by ours, where the origin did not say.
    #[must_use]
    pub fn date(&self) -> SystemTime {
        self.date
    }

    /// Which bytes of the representation the body is; `None`: all of them.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        self.part
    }

    /// What it varies by.
    #[must_use]
    pub fn vary(&self) -> &Vary {
        &self.vary
    }

    /// Whether it was chosen by request fields that are alike in this request. A newer response takes the place of all
    /// those that match the request it answered.
    #[must_use]
    pub fn matches(&self, request: &RequestHead<'_>) -> bool {
        self.vary.matches(request.headers())
    }

    /// Whether the body has all that the request asks for.
    pub(super) fn holds(&self, request: &RequestHead<'_>) -> bool {
        match self.part {
            None => true,
            Some(part) => {
                let within = request.range().and_then(|range| range.within(&part));
                (within.is_some() || self.answered(request))
                    && if_range_holds(request.headers(), self, self.responded)
            }
        }
    }

    /// Whether it is the origin's answer to the very Range of the request. Then it holds what is asked for, whatever its
    /// Content-Range leaves open: `bytes=-5` of something whose length is not told.
    pub(super) fn answered(&self, request: &RequestHead<'_>) -> bool {
        let mut lines = request.headers().get_all(RANGE).iter();
        match (&self.answered, lines.next(), lines.next()) {
            (Some(answered), Some(line), None) => {
                **answered == *line.as_bytes() && request.range().is_some()
            }
            _ => false,
        }
    }

    /// The Range of the request that the part answered.
    pub(super) fn answered_range(&self) -> Option<&[u8]> {
        self.answered.as_deref()
    }

    /// The entity tag.
    pub(super) fn entity_tag(&self) -> Option<&HeaderValue> {
        entity_tag::of(&self.headers)
    }

    /// The field's value; `None` where it is no date.
    pub(super) fn last_modified(&self, now: SystemTime) -> Option<SystemTime> {
        freshness::last_modified(&self.headers, now)
    }

    /// Whether the origin can be asked if it is still right.
    pub(super) fn has_validator(&self, now: SystemTime) -> bool {
        self.entity_tag().is_some() || self.last_modified(now).is_some()
    }
}

/// A Content-Length that is one number, on however many lines (RFC 9110 §8.6).
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(|digits| std::str::from_utf8(trim(digits)).ok()?.parse().ok());
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}
