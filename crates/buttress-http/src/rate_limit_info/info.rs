use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};

use super::{
    body, dialects,
    glance::Glance,
    hints::BodyHints,
    limit::LimitInfo,
    limits::Limits,
    line,
    sender::Sender,
    structured,
    vendor::Vendor,
    verdict::{Advice, Cause, Verdict},
    wait::{self, Source},
};
use crate::{GrpcCode, grpc_status};

/// What a response says about limits. See the [module docs](super).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitInfo {
    status: StatusCode,
    grpc: Option<GrpcCode>,
    vendor: Option<Vendor>,
    should_retry: Option<bool>,
    /// Said in so many words.
    wait: Option<(Duration, Source)>,
    limits: Limits,
    bucket: Option<Box<str>>,
    scope: Option<Box<str>>,
    /// What a code in the header fields or the body means.
    meaning: Option<Cause>,
    needs_body: bool,
}

/// Anthropic's "overloaded", which others use as well.
const SITE_IS_OVERLOADED: u16 = 529;

impl RateLimitInfo {
    /// So many bytes of a body are looked at; more is ignored.
    pub const MAX_BODY: usize = 4_096;

    /// Reads the status and the header fields of a response that came at `now`. gRPC's trailers may be
    /// handed in in their place, with the status 200.
    ///
    /// Costs an allocation for each limit that is told, and none where there is none.
    #[must_use]
    pub fn of(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Self {
        let mut info = Self::silent(status);
        if headers.is_empty() {
            info.needs_body = info.may_be_told_more();
            return info;
        }
        let glance = Glance::at(headers);
        if glance.is_promising() {
            info.read(headers, &glance, now);
        }
        if glance.is_promising() || status.is_client_error() || status.is_server_error() {
            info.vendor = Vendor::of(headers);
        }
        // The field is one of its marks.
        if info.vendor.is_some() {
            info.meaning =
                line::first(headers, "x-amzn-errortype").and_then(BodyHints::meaning_of_code);
        }
        info.needs_body = info.may_be_told_more() && is_readable(headers);
        info
    }

    /// Would the body tell which refusal it is, and perhaps how long to wait? Only asked of refusals,
    /// and of what may be one, whose header fields do not say, and whose body is text.
    ///
    /// Then hand up to [`MAX_BODY`](Self::MAX_BODY) bytes of it to [`with_body`](Self::with_body). Do not
    /// wait for them for long: a server that is cross is slow, too.
    #[must_use]
    pub const fn needs_body(&self) -> bool {
        self.needs_body
    }

    /// Adds what the beginning of the body says, which may be cut off anywhere. Changes nothing where
    /// [`needs_body`](Self::needs_body) is false.
    #[must_use]
    pub fn with_body(mut self, prefix: &[u8], hints: &BodyHints) -> Self {
        if !self.needs_body {
            return self;
        }
        let prefix = prefix.get(..Self::MAX_BODY).unwrap_or(prefix);
        let found = body::look_through(prefix, hints);
        // A row that silences another says nothing itself.
        self.meaning = found.cause().filter(|cause| *cause != Cause::Unknown);
        // What header fields say in so many words, or by a limit, goes before.
        if !self.wait.as_ref().is_some_and(wait::tells) && self.barred_for().is_none() {
            let wait = found.wait.map(|wait| (wait, Source::Body));
            self.wait = wait.filter(wait::tells).or(self.wait).or(wait);
        }
        self.needs_body = false;
        self
    }

    /// How long the sender asks to be left alone, from when the response came: its word, without jitter,
    /// at most [`RetryAfter::MAX`](crate::RetryAfter::MAX). After a success, too, where nothing of a
    /// limit remains.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.wait_and_source().map(|(wait, _)| wait)
    }

    /// Where [`retry_after`](Self::retry_after) was told.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        self.wait_and_source().map(|(_, source)| source)
    }

    /// Does the sender say whether a retry makes sense? `false` goes before all else, whatever the status
    /// is. `true` makes an error worth another attempt that would not be; what a refusal means, and whether
    /// waiting helps, it does not change.
    #[must_use]
    pub const fn should_retry(&self) -> Option<bool> {
        self.should_retry
    }

    /// The limits that it tells of, sixteen at most.
    #[must_use]
    pub fn limits(&self) -> &[LimitInfo] {
        self.limits.as_slice()
    }

    /// Whose dialect it speaks, as far as the header fields of an error, or of an answer that tells of
    /// limits, show.
    #[must_use]
    pub const fn vendor(&self) -> Option<Vendor> {
        self.vendor
    }

    /// The name of what is limited: Discord's bucket, GitHub's resource. Other buckets of the same
    /// caller may be free.
    #[must_use]
    pub fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// Who is limited: Discord's `user`, `global` or `shared`.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// Which refusal it is, and what to do. `None` for what is no refusal: a success, but also a plain
    /// error such as a 500, or a 503 that says neither when to come back nor why.
    ///
    /// | answer | is a refusal |
    /// |---|---|
    /// | 429, 529, 402 | always |
    /// | 503 | with a wait, with a limit that is used up, or by its body |
    /// | 403 | with a wait; GitHub's with a limit that is used up, or by its body |
    /// | gRPC | `RESOURCE_EXHAUSTED`; `UNAVAILABLE` with a wait |
    /// | any other error | by AWS's codes for throttling |
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        if !self.is_refusal() {
            return None;
        }
        let wait = self.retry_after();
        let cause = self.cause(wait);
        let advice = match self.should_retry {
            Some(false) => Advice::GiveUp,
            _ => cause.advice(wait),
        };
        Some(Verdict { cause, advice })
    }

    /// Says nothing.
    const fn silent(status: StatusCode) -> Self {
        Self {
            status,
            grpc: None,
            vendor: None,
            should_retry: None,
            wait: None,
            limits: Limits::none(),
            bucket: None,
            scope: None,
            meaning: None,
            needs_body: false,
        }
    }

    fn read(&mut self, headers: &HeaderMap, glance: &Glance<'_>, now: SystemTime) {
        let sender = Sender::of(headers, now);
        if glance.waits {
            if self.status == StatusCode::OK && glance.grpc {
                self.grpc = grpc_status(headers);
            }
            self.should_retry = wait::should_retry(headers, glance);
            let of_grpc = || glance.grpc.then(|| wait::of_grpc(headers))?;
            let of_http = wait::of_http(headers, glance, sender);
            self.wait = of_http.filter(wait::tells).or_else(of_grpc).or(of_http);
        }
        if glance.limits {
            let name = |field| glance.first(field).map(Box::from);
            self.bucket = name("x-ratelimit-bucket").or_else(|| name("x-ratelimit-resource"));
            self.scope = name("x-ratelimit-scope");
            if !sender.is_cached() {
                structured::read_limits(glance, sender, &mut self.limits);
                dialects::read(glance, sender, &mut self.limits);
                structured::read_policies(glance, &mut self.limits);
            }
        }
    }

    fn wait_and_source(&self) -> Option<(Duration, Source)> {
        let by_limits = || Some((self.barred_for()?, Source::RateLimit));
        let by_vendor = || {
            let wait = self.vendor.filter(|_| self.is_refusal())?.minimum_wait()?;
            Some((wait, Source::Vendor))
        };
        let told = self.wait.filter(wait::tells);
        told.or_else(by_limits).or(self.wait).or_else(by_vendor)
    }

    /// The longest reset of those limits that are used up.
    fn barred_for(&self) -> Option<Duration> {
        self.used_up().filter_map(LimitInfo::bars_for).max()
    }

    fn used_up(&self) -> impl Iterator<Item = &LimitInfo> {
        let refused = self.status == StatusCode::TOO_MANY_REQUESTS;
        self.limits
            .iter()
            .filter(move |limit| limit.is_used_up(refused))
    }

    fn is_refusal(&self) -> bool {
        let is_told = self.wait.is_some() || self.meaning.is_some();
        match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYMENT_REQUIRED => true,
            StatusCode::SERVICE_UNAVAILABLE => is_told || self.barred_for().is_some(),
            StatusCode::FORBIDDEN => {
                is_told || (self.vendor == Some(Vendor::GitHub) && self.barred_for().is_some())
            }
            StatusCode::OK => match self.grpc {
                Some(GrpcCode::ResourceExhausted) => true,
                Some(GrpcCode::Unavailable) => self.wait.is_some(),
                _ => false,
            },
            status if status.as_u16() == SITE_IS_OVERLOADED => true,
            status => {
                (status.is_client_error() || status.is_server_error()) && self.meaning.is_some()
            }
        }
    }

    fn cause(&self, wait: Option<Duration>) -> Cause {
        let bars_the_longest = self.used_up().max_by_key(|limit| limit.bars_for());
        let window = bars_the_longest.and_then(LimitInfo::window);
        let by_wait = Cause::of_wait(wait, window);
        match self.meaning {
            // The body says that it is a rate; how long its window is, is said elsewhere.
            Some(Cause::Burst) if by_wait == Cause::Window => Cause::Window,
            Some(meaning) if meaning != Cause::Unknown => meaning,
            _ => match self.status {
                StatusCode::PAYMENT_REQUIRED => Cause::Billing,
                // It is not about the caller, unless a limit says so.
                StatusCode::SERVICE_UNAVAILABLE if self.barred_for().is_none() => Cause::Overload,
                status if status.as_u16() == SITE_IS_OVERLOADED => Cause::Overload,
                _ if self.grpc == Some(GrpcCode::Unavailable) => Cause::Overload,
                _ => by_wait,
            },
        }
    }

    /// May the body change the verdict?
    fn may_be_told_more(&self) -> bool {
        let status = self.status.as_u16();
        let by_status = match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => true,
            StatusCode::FORBIDDEN => self.vendor == Some(Vendor::GitHub),
            StatusCode::BAD_REQUEST => self.vendor == Some(Vendor::Aws),
            _ => status == SITE_IS_OVERLOADED,
        };
        by_status && self.meaning.is_none() && self.should_retry != Some(false)
    }
}

/// Is the body text that can be read as it is?
fn is_readable(headers: &HeaderMap) -> bool {
    let empty = headers
        .get(header::CONTENT_LENGTH)
        .is_some_and(|length| length == "0");
    let coded = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if empty || coded {
        return false;
    }
    let Some(content_type) = line::first(headers, header::CONTENT_TYPE) else {
        return !headers.contains_key(header::CONTENT_TYPE);
    };
    let essence = content_type.split(';').next().unwrap_or_default();
    let essence = essence.trim_end().to_ascii_lowercase();
    // AWS has `application/x-amz-json-1.0`.
    let is_data = ["json", "xml"].iter().any(|data| essence.contains(data));
    is_data || (essence.starts_with("text/") && essence != "text/event-stream")
}

#[cfg(test)]
mod tests;
