//! What becomes of it by an update, or by a further part.

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE},
};

use super::{StoredHead, Times};
use crate::rfc9111::{Part, age, freshness};

impl StoredHead {
    /// As after an update: the age is that of the update, whose Age and Date are not among the merged fields, and what
    /// tells of the body is as it was stored.
    pub(in crate::rfc9111) fn freshened(
        mut self,
        stored: &Self,
        update: &HeaderMap,
        times: Times,
    ) -> Self {
        let date = freshness::date(update, times.responded);
        self.age_on_arrival = age::on_arrival(update, date, times);
        self.part = stored.part;
        self.answered = stored.answered.clone();
        self.content_length = stored.content_length;
        self
    }

    /// With fields that an older response has, and it has not.
    pub(in crate::rfc9111) fn with_older_fields(mut self, older: HeaderMap) -> Self {
        for (name, value) in &older {
            self.headers.append(name, value.clone());
        }
        self
    }

    /// The same response with other bytes of its representation.
    pub(in crate::rfc9111) fn with_part(mut self, part: Part) -> Self {
        let whole = part.first == 0 && part.complete == Some(part.len());
        self.status = match whole {
            true => StatusCode::OK,
            false => StatusCode::PARTIAL_CONTENT,
        };
        match whole {
            true => self.headers.remove(CONTENT_RANGE),
            false => self.headers.insert(CONTENT_RANGE, part.content_range()),
        };
        self.headers
            .insert(CONTENT_LENGTH, HeaderValue::from(part.len()));
        self.content_length = Some(part.len());
        self.part = (!whole).then_some(part);
        self.answered = None;
        self
    }
}
