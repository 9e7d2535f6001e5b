use std::time::{Duration, SystemTime};

use buttress_http::http_date_value;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AGE, CONTENT_LENGTH, DATE, RANGE},
};

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

/// What there is reason to believe of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Right,
    Suspect,
    Stale,
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

    /// Its age (RFC 9111 §4.2.3). A clock that is set back makes it no younger than it was on arrival, but older by as
    /// much: what came while the clock was years ahead would else be fresh until it is there again.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Duration {
        let resident = now.duration_since(self.responded);
        let resident = resident.unwrap_or_else(|set_back| set_back.duration());
        self.age_on_arrival.saturating_add(resident)
    }

    /// Up to which age it is fresh.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        match self.mark {
            Mark::Right => self.lifetime,
            Mark::Suspect | Mark::Stale => Duration::ZERO,
        }
    }

    /// What the lifetime rests on.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether it is fresh: its age has not reached its lifetime (RFC 9111 §4.2).
    #[must_use]
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        self.lifetime() > self.age(now)
    }

    /// For how many seconds it is still fresh, reckoned from the age in whole seconds, as Age tells it; negative for how
    /// many it has been stale (RFC 9211 §2.4).
    #[must_use]
    pub fn ttl(&self, now: SystemTime) -> i64 {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime()).saturating_sub(seconds(self.age(now)))
    }

    /// For how long it has been stale; zero while it is fresh, and while one that is [suspect](Self::mark_suspect) would
    /// be.
    pub(super) fn staleness(&self, now: SystemTime) -> Duration {
        let lifetime = match self.mark {
            Mark::Suspect => self.lifetime,
            Mark::Right | Mark::Stale => self.lifetime(),
        };
        self.age(now).saturating_sub(lifetime)
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

    /// For how long it can still be of use: while it is fresh, in the stale windows that it and the options allow, and,
    /// where it can be validated, as long again as it was fresh, but a day at least. A hint for stores that forget by
    /// time.
    #[must_use]
    pub fn keep_for(&self, options: &Options, now: SystemTime) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let fresh = self.lifetime().saturating_sub(self.age(now));
        let stale = match self.forbids_stale(options) {
            true => Duration::ZERO,
            false => self
                .stale_while_revalidate(options)
                .max(self.stale_if_error(options)),
        };
        let validated = match self.has_validator(now) {
            true => self.lifetime().max(DAY),
            false => Duration::ZERO,
        };
        fresh.saturating_add(stale.max(validated))
    }

    pub(super) fn stale_while_revalidate(&self, options: &Options) -> Duration {
        window(
            self.directives.stale_while_revalidate,
            options.stale_while_revalidate,
        )
    }

    pub(super) fn stale_if_error(&self, options: &Options) -> Duration {
        window(self.directives.stale_if_error, options.stale_if_error)
    }

    pub(super) fn stale_if_unreachable(&self, options: &Options) -> Duration {
        window(self.directives.stale_if_error, options.stale_if_unreachable)
    }

    /// Whether it must not be used stale, not even when the origin is gone.
    pub(super) fn forbids_stale(&self, options: &Options) -> bool {
        self.mark == Mark::Stale || self.directives.forbids_stale(options.shared)
    }

    /// Makes it stale, for there is reason to believe that it is outdated: it is not used again before it is validated.
    pub fn mark_stale(&mut self) {
        self.mark = Mark::Stale;
    }

    /// Makes it stale, for it may be outdated: the origin is asked before it is used again. Where that fails, it stands in
    /// as if it had not been marked.
    pub fn mark_suspect(&mut self) {
        if self.mark == Mark::Right {
            self.mark = Mark::Suspect;
        }
    }

    /// Whether there is reason to believe that it is outdated, or may be.
    pub(super) fn is_doubted(&self) -> bool {
        self.mark != Mark::Right
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.mark == Mark::Suspect
    }

    /// Whether what came is what the head announced; to be asked at the body's end. `received` are the bytes that came,
    /// `clean` is whether the body ended as its protocol has it, and was not broken off.
    ///
    /// A part that ends sooner than its Content-Range says is kept as the part that came: Content-Range tells where it
    /// begins, the message how long it is.
    ///
    /// # Errors
    ///
    /// Says what is wrong. The response is then not to be stored.
    pub fn complete(self, received: u64, clean: bool) -> Result<Self, Incomplete> {
        if !clean {
            return Err(Incomplete::BrokenOff);
        }
        if self.content_length.is_some_and(|length| length != received) {
            return Err(Incomplete::Length);
        }
        match self.part {
            Some(part) if part.len() != received => {
                let part = part.shortened(received).ok_or(Incomplete::Length)?;
                let answered = self.answered.clone();
                Ok(Self {
                    answered,
                    ..self.with_part(part)
                })
            }
            _ => Ok(self),
        }
    }

    /// As after an update: the age is that of the update, whose Age and Date are not among the merged fields, and what
    /// tells of the body is as it was stored.
    pub(super) fn freshened(mut self, stored: &Self, update: &HeaderMap, times: Times) -> Self {
        let date = freshness::date(update, times.responded);
        self.age_on_arrival = age::on_arrival(update, date, times);
        self.part = stored.part;
        self.answered = stored.answered.clone();
        self.content_length = stored.content_length;
        self
    }

    /// With fields that an older response has, and it has not.
    pub(super) fn with_older_fields(mut self, older: HeaderMap) -> Self {
        for (name, value) in &older {
            self.headers.append(name, value.clone());
        }
        self
    }

    /// The same response with other bytes of its representation.
    pub(super) fn with_part(mut self, part: Part) -> Self {
        let whole = part.first == 0 && part.complete == Some(part.len());
        self.status = match whole {
            true => StatusCode::OK,
            false => StatusCode::PARTIAL_CONTENT,
        };
        match whole {
            true => self.headers.remove(http::header::CONTENT_RANGE),
            false => self
                .headers
                .insert(http::header::CONTENT_RANGE, part.content_range()),
        };
        self.headers
            .insert(CONTENT_LENGTH, HeaderValue::from(part.len()));
        self.content_length = Some(part.len());
        self.part = (!whole).then_some(part);
        self.answered = None;
        self
    }
}

/// Why a body is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Incomplete {
    /// It was broken off.
    BrokenOff,

    /// It is longer or shorter than its Content-Length or its Content-Range.
    Length,
}

impl std::fmt::Display for Incomplete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BrokenOff => "the body was broken off",
            Self::Length => "the body's length is not the announced one",
        })
    }
}

impl std::error::Error for Incomplete {}

/// What the response said, or else what the options say.
fn window(said: Option<u32>, default: Duration) -> Duration {
    said.map_or(default, |seconds| Duration::from_secs(seconds.into()))
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
