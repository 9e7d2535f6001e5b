use http::{HeaderMap, HeaderName, HeaderValue, header::Entry};

use super::{Forward, list::byte_table};

pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How a request was handled, as the Cache-Status field tells it (RFC 9211).
///
/// ```
/// use buttress_cache::rfc9111::{CacheStatus, Forward};
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// CacheStatus::hit(376).append("origin-shield", &mut headers);
/// CacheStatus::forward(Forward::Stale).status(304).stored(true).append("Our CDN", &mut headers);
/// let lines: Vec<_> = headers.get_all("cache-status").iter().collect();
/// assert_eq!(lines, ["origin-shield;hit;ttl=376", "\"Our CDN\";fwd=stale;fwd-status=304;stored"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it tells nobody before it is appended to a response"]
pub struct CacheStatus<'a> {
    handled: Handled,
    status: Option<u16>,
    ttl: Option<i64>,
    stored: bool,
    collapsed: bool,
    detail: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handled {
    Hit,
    Forward(Forward),
    Neither,
}

impl<'a> CacheStatus<'a> {
    /// It was answered from the store, with a response that is fresh for so many seconds more; negative where it is
    /// stale.
    pub const fn hit(ttl: i64) -> Self {
        let mut status = Self::new(Handled::Hit);
        status.ttl = Some(ttl);
        status
    }

    /// Neither: nothing that is stored answered it, and the origin was not asked. Say why as a
    /// [detail](Self::detail).
    pub const fn refused() -> Self {
        Self::new(Handled::Neither)
    }

    /// It went to the origin.
    pub const fn forward(reason: Forward) -> Self {
        Self::new(Handled::Forward(reason))
    }

    const fn new(handled: Handled) -> Self {
        Self {
            handled,
            status: None,
            ttl: None,
            stored: false,
            collapsed: false,
            detail: None,
        }
    }

    /// The status of the origin's answer.
    pub const fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// For how many seconds the response is fresh.
    pub const fn ttl(mut self, ttl: i64) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Whether the origin's answer was stored.
    pub const fn stored(mut self, stored: bool) -> Self {
        self.stored = stored;
        self
    }

    /// Whether it was answered together with others.
    pub const fn collapsed(mut self, collapsed: bool) -> Self {
        self.collapsed = collapsed;
        self
    }

    /// Something for whoever reads it.
    pub const fn detail(mut self, detail: &'a str) -> Self {
        self.detail = Some(detail);
        self
    }

    /// Adds it to a response, after what other caches said, under this cache's name. It takes the place of a field that
    /// says nothing.
    pub fn append(&self, name: &str, headers: &mut HeaderMap) {
        let Some(value) = self.value(name) else {
            return;
        };
        match headers.try_entry(CACHE_STATUS) {
            Ok(Entry::Vacant(entry)) => {
                let _ = entry.try_insert(value);
            }
            Ok(Entry::Occupied(mut entry)) if entry.get().is_empty() => {
                entry.insert(value);
            }
            Ok(Entry::Occupied(mut entry)) => entry.append(value),
            // There is no room in the map for another name.
            Err(_) => {}
        }
    }

    /// The member of the field. `None` only for a name or a detail that is not printable ASCII.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<HeaderValue> {
        let mut text = Text::default();
        write_item(&mut text, name)?;
        match self.handled {
            Handled::Hit => text.extend_from_slice(b";hit"),
            Handled::Neither => {}
            Handled::Forward(reason) => {
                text.extend_from_slice(b";fwd=");
                text.extend_from_slice(reason.as_str().as_bytes());
            }
        }
        if let Some(status) = self.status {
            text.extend_from_slice(b";fwd-status=");
            write_number(&mut text, status.into());
        }
        if let Some(ttl) = self.ttl {
            text.extend_from_slice(b";ttl=");
            write_number(&mut text, ttl);
        }
        if self.stored {
            text.extend_from_slice(b";stored");
        }
        if self.collapsed {
            text.extend_from_slice(b";collapsed");
        }
        if let Some(detail) = self.detail {
            text.extend_from_slice(b";detail=");
            write_item(&mut text, detail)?;
        }
        HeaderValue::from_bytes(text.as_slice()).ok()
    }
}

/// Text that is put together on the stack, so that the value is the one allocation; a long one spills.
struct Text {
    stack: [u8; 128],
    length: usize,
    spilt: Vec<u8>,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            stack: [0; 128],
            length: 0,
            spilt: Vec::new(),
        }
    }
}

impl Text {
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        match self.stack.get_mut(self.length..end) {
            Some(place) if self.spilt.is_empty() => {
                place.copy_from_slice(bytes);
                self.length = end;
            }
            _ => {
                if self.spilt.is_empty() {
                    let begun = self.stack.get(..self.length).unwrap_or_default();
                    self.spilt.extend_from_slice(begun);
                }
                self.spilt.extend_from_slice(bytes);
            }
        }
    }

    fn as_slice(&self) -> &[u8] {
        match self.spilt.is_empty() {
            true => self.stack.get(..self.length).unwrap_or_default(),
            false => &self.spilt,
        }
    }
}

/// A Token where it can be one, else a String (RFC 9651 §3.3).
fn write_item(to: &mut Text, text: &str) -> Option<()> {
    if is_token(text) {
        to.extend_from_slice(text.as_bytes());
        return Some(());
    }
    to.extend_from_slice(b"\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => to.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => to.extend_from_slice(&[byte]),
            _ => return None,
        }
    }
    to.extend_from_slice(b"\"");
    Some(())
}

fn is_token(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*')
        && text.bytes().all(|byte| IN_A_TOKEN[usize::from(byte)])
}

/// A table, since the name is looked at in each response.
static IN_A_TOKEN: [bool; 256] = byte_table(b"!#$%&'*+-.^_`|~:/");

/// An Integer, of 15 digits at most (RFC 9651 §3.3.1).
fn write_number(to: &mut Text, number: i64) {
    const MOST: i64 = 999_999_999_999_999;
    if number < 0 {
        to.extend_from_slice(b"-");
    }
    let mut digits = [0; 15];
    let mut rest = number.clamp(-MOST, MOST).unsigned_abs();
    let mut at = digits.len();
    for digit in digits.iter_mut().rev() {
        // The remainder is one digit.
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        at -= 1;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(digits.get(at..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use sfv::{List, Parser};

    use super::*;

    fn text(status: &CacheStatus<'_>, name: &str) -> String {
        let value = status.value(name).unwrap();
        // Whatever we say is a valid List.
        let list: List = Parser::new(value.as_bytes()).parse().unwrap();
        assert_eq!(list.len(), 1);
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn all_that_can_be_told() {
        let all = CacheStatus::forward(Forward::UriMiss)
            .status(200)
            .ttl(60)
            .stored(true)
            .collapsed(true)
            .detail("a \"b\\");
        assert_eq!(
            text(&all, "buttress"),
            r#"buttress;fwd=uri-miss;fwd-status=200;ttl=60;stored;collapsed;detail="a \"b\\""#
        );
        assert_eq!(text(&CacheStatus::hit(-412), "*"), "*;hit;ttl=-412");
        assert_eq!(text(&CacheStatus::hit(0), "1"), "\"1\";hit;ttl=0");
        assert_eq!(
            text(&CacheStatus::hit(i64::MIN), "x"),
            "x;hit;ttl=-999999999999999"
        );
    }

    #[test]
    fn what_others_said_stays_and_what_says_nothing_goes() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_STATUS, HeaderValue::from_static(""));
        CacheStatus::hit(1).append("a", &mut headers);
        CacheStatus::hit(2).append("b", &mut headers);
        let lines: Vec<_> = headers.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(lines, ["a;hit;ttl=1", "b;hit;ttl=2"]);
    }

    #[test]
    fn a_long_one_is_told_whole() {
        let name = "n".repeat(120);
        let detail = "d".repeat(300);
        let all = CacheStatus::hit(7).detail(&detail);
        assert_eq!(
            text(&all, &name),
            format!("{name};hit;ttl=7;detail={detail}")
        );
    }

    #[test]
    fn what_cannot_be_told_is_not() {
        assert_eq!(CacheStatus::hit(0).value("\u{e9}"), None);
        let mut headers = HeaderMap::new();
        CacheStatus::hit(0).append("a\nb", &mut headers);
        assert!(headers.is_empty());
    }
}
