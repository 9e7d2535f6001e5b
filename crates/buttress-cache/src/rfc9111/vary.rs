//! Secondary keys (RFC 9111 §4.1).

use http::{HeaderMap, HeaderName, header};

use super::list::{elements, pieces, trim};

/// More fields than any response varies by in earnest.
const MOST_FIELDS: usize = 64;

/// All that is kept of the request for comparison.
const MOST_BYTES: usize = 16 * 1024;

/// Which request fields a response was chosen by, and how they were in the request that it answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vary {
    /// Sorted by name, without duplicates.
    fields: Box<[Field]>,
}

/// Why a response cannot be kept for its Vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// `*`: what it was chosen by is no header field.
    Any,
    /// More fields, or longer ones, than are kept.
    TooLong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: HeaderName,
    /// `None`: the request had none, which only another one without it matches.
    value: Option<Value>,
}

#[derive(Clone, Debug)]
struct Value {
    /// As it came, when it came in one line: what comes so again matches without more ado.
    raw: Box<[u8]>,
    /// `None`: as the raw one.
    normal: Option<Box<[u8]>>,
}

impl Vary {
    /// What a response to this request varies by.
    pub(super) fn read(response: &HeaderMap, request: &HeaderMap) -> Result<Self, Unusable> {
        let mut names: Vec<HeaderName> = Vec::new();
        let mut members = 0_usize;
        for member in response
            .get_all(header::VARY)
            .iter()
            .flat_map(|line| elements(line.as_bytes()))
        {
            members += 1;
            if member == b"*" {
                return Err(Unusable::Any);
            }
            if members > 2 * MOST_FIELDS {
                return Err(Unusable::TooLong);
            }
            // What is no field's name is a sender's mistake about which we know nothing; so nothing may match.
            names.push(HeaderName::from_bytes(member).map_err(|_| Unusable::Any)?);
        }
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        if names.len() > MOST_FIELDS {
            return Err(Unusable::TooLong);
        }

        let mut bytes = 0;
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            bytes += request
                .get_all(&name)
                .iter()
                .map(|line| line.len() + 2)
                .sum::<usize>();
            if bytes > MOST_BYTES {
                return Err(Unusable::TooLong);
            }
            let value = Value::read(&name, request);
            fields.push(Field { name, value });
        }
        Ok(Self {
            fields: fields.into(),
        })
    }

    /// Whether the response may answer this request, too (§4.1): each field is as it was, but for what has no meaning:
    /// whitespace, how a list is broken into lines and, where the field's own specification says so, letters' case and
    /// the members' order.
    #[must_use]
    pub fn matches(&self, request: &HeaderMap) -> bool {
        self.fields.iter().all(|field| field.matches(request))
    }

    /// The fields' names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.fields.iter().map(|field| &field.name)
    }

    /// How much memory it takes, roughly.
    pub(super) fn weight(&self) -> usize {
        let weight = |field: &Field| {
            let value = field.value.as_ref();
            value.map_or(0, |value| {
                value.raw.len() + value.normal.as_ref().map_or(0, |normal| normal.len())
            })
        };
        self.fields.iter().map(weight).sum::<usize>() + size_of_val(&*self.fields)
    }
}

impl Field {
    fn matches(&self, request: &HeaderMap) -> bool {
        let mut lines = request.get_all(&self.name).iter();
        match (&self.value, lines.next()) {
            (None, None) => true,
            (Some(value), Some(line)) => {
                (lines.next().is_none() && *value.raw == *line.as_bytes())
                    || *value.normal() == *normal(&self.name, request)
            }
            _ => false,
        }
    }
}

impl Value {
    fn read(name: &HeaderName, request: &HeaderMap) -> Option<Self> {
        let mut lines = request.get_all(name).iter();
        let first = lines.next()?;
        let normal = normal(name, request);
        Some(match lines.next() {
            None if normal == first.as_bytes() => Self {
                raw: normal.into(),
                normal: None,
            },
            None => Self {
                raw: first.as_bytes().into(),
                normal: Some(normal.into()),
            },
            Some(_) => Self {
                raw: normal.into(),
                normal: None,
            },
        })
    }

    fn normal(&self) -> &[u8] {
        self.normal.as_deref().unwrap_or(&self.raw)
    }
}

/// Two are the same if they mean the same, however the one or the other was written.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.normal() == other.normal()
    }
}

impl Eq for Value {}

/// All lines of a field as one, written in the one way that stands for all that mean the same.
fn normal(name: &HeaderName, request: &HeaderMap) -> Vec<u8> {
    let manner = Manner::of(name);
    let mut members: Vec<Vec<u8>> = request
        .get_all(name)
        .iter()
        .flat_map(|line| pieces(line.as_bytes()))
        // In an unknown field, who answers may take `,a` for something else than `a`.
        .filter(|member| !(manner.unordered && member.is_empty()))
        .map(|member| manner.write(member))
        .collect();
    if manner.unordered {
        members.sort_unstable();
    }
    members.join(&b", "[..])
}

/// What of a list has no meaning, by the specification of its field.
struct Manner {
    /// The order of the members.
    unordered: bool,
    /// The case of letters.
    caseless: bool,
}

impl Manner {
    /// RFC 9110 §12.5: preferences are told by weights, not by their order; charsets, codings and language tags have no
    /// case, but the parameters of a media type may.
    fn of(name: &HeaderName) -> Self {
        let preferences = [
            header::ACCEPT,
            header::ACCEPT_CHARSET,
            header::ACCEPT_ENCODING,
            header::ACCEPT_LANGUAGE,
        ];
        let unordered = preferences.contains(name);
        Self {
            unordered,
            caseless: unordered && *name != header::ACCEPT,
        }
    }

    fn write(&self, member: &[u8]) -> Vec<u8> {
        // `en;q=0.5` and `en; q=0.5` are the same; in an unknown field the space might be part of something.
        let mut written = match self.unordered && !member.contains(&b'"') {
            true => member
                .split(|byte| *byte == b';')
                .map(trim)
                .collect::<Vec<_>>()
                .join(&b';'),
            false => member.to_vec(),
        };
        if self.caseless {
            written.make_ascii_lowercase();
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::VARY};

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<HeaderName>().unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    fn matches(vary: &str, stored: &[(&str, &str)], asked: &[(&str, &str)]) -> bool {
        let vary = Vary::read(&headers(&[("vary", vary)]), &headers(stored)).unwrap();
        let other = Vary {
            fields: vary
                .fields
                .iter()
                .map(|field| Field {
                    name: field.name.clone(),
                    value: Value::read(&field.name, &headers(asked)),
                })
                .collect(),
        };
        // Two responses are of one variant exactly where the one's request matches the other.
        assert_eq!(vary == other, vary.matches(&headers(asked)));
        vary.matches(&headers(asked))
    }

    #[test]
    fn each_named_field_must_be_as_it_was() {
        let stored = [("foo", "1"), ("bar", "abc")];
        assert!(matches(
            "Foo, BAR",
            &stored,
            &[("bar", "abc"), ("foo", "1"), ("other", "x")]
        ));
        assert!(!matches(
            "Foo, BAR",
            &stored,
            &[("bar", "abc"), ("foo", "2")]
        ));
        assert!(!matches(
            "Foo, BAR",
            &stored,
            &[("bar", "ABC"), ("foo", "1")]
        ));
        assert!(matches("Foo", &stored, &[("foo", "1")]));
        assert!(matches("", &stored, &[]));
    }

    #[test]
    fn absent_matches_only_absent() {
        assert!(matches("foo", &[], &[]));
        assert!(!matches("foo", &[], &[("foo", "")]));
        assert!(!matches("foo", &[("foo", "")], &[]));
        assert!(!matches("foo", &[], &[("foo", "1")]));
        assert!(!matches("foo", &[("foo", "1")], &[]));
    }

    #[test]
    fn whitespace_and_lines_mean_nothing() {
        assert!(matches(
            "foo",
            &[("foo", "1, 2")],
            &[("foo", "1"), ("foo", "2")]
        ));
        assert!(matches(
            "foo",
            &[("foo", "1"), ("foo", "2")],
            &[("foo", "1,2")]
        ));
        assert!(matches("foo", &[("foo", "1,2")], &[("foo", " 1 , 2\t")]));
        assert!(!matches("foo", &[("foo", "1, 2")], &[("foo", "2, 1")]));
        assert!(!matches("foo", &[("foo", "1 2")], &[("foo", "12")]));
        assert!(!matches(
            "foo",
            &[("foo", "\"1, 2\"")],
            &[("foo", "\"1,2\"")]
        ));
    }

    /// Else whoever asks with `,acme` might have what that is answered stored for `acme`.
    #[test]
    fn an_empty_member_means_nothing_in_a_list_and_may_mean_something_elsewhere() {
        for odd in [",1", "1,", "1,,", " , 1"] {
            assert!(!matches("foo", &[("foo", "1")], &[("foo", odd)]), "{odd}");
            let accept = "accept-language";
            assert!(matches(accept, &[(accept, "1")], &[(accept, odd)]), "{odd}");
        }
        assert!(!matches(
            "foo",
            &[("foo", "1")],
            &[("foo", "1"), ("foo", "")]
        ));
    }

    #[test]
    fn preferences_have_neither_order_nor_case() {
        let languages = [("accept-language", "en, de;q=0.5")];
        for same in ["de; q=0.5 , EN", "en,de;q=0.5", "de;q=0.5,en"] {
            assert!(
                matches("accept-language", &languages, &[("accept-language", same)]),
                "{same}"
            );
        }
        assert!(!matches(
            "accept-language",
            &languages,
            &[("accept-language", "en, de;q=0.6")]
        ));
        assert!(matches(
            "accept",
            &[("accept", "a/b;v=X, c/d")],
            &[("accept", "c/d, a/b;v=X")]
        ));
        assert!(!matches(
            "accept",
            &[("accept", "a/b;v=X")],
            &[("accept", "a/b;v=x")]
        ));
    }

    #[test]
    fn a_star_among_them_matches_nothing() {
        for star in ["*", "*, *", ", *", "*, foo", "foo, *"] {
            let vary = headers(&[("vary", star)]);
            assert_eq!(
                Vary::read(&vary, &HeaderMap::new()),
                Err(Unusable::Any),
                "{star}"
            );
        }
        let mut lines = headers(&[("vary", "")]);
        lines.append(VARY, HeaderValue::from_static("*"));
        assert_eq!(Vary::read(&lines, &HeaderMap::new()), Err(Unusable::Any));
        assert_eq!(
            Vary::read(&headers(&[("vary", "f oo")]), &HeaderMap::new()),
            Err(Unusable::Any)
        );
    }

    #[test]
    fn there_are_bounds() {
        let many: String = (0..10_000).map(|n| format!("x-{n},")).collect();
        assert_eq!(
            Vary::read(&headers(&[("vary", &many)]), &HeaderMap::new()),
            Err(Unusable::TooLong)
        );
        let long = headers(&[("foo", &"x".repeat(MOST_BYTES))]);
        assert_eq!(
            Vary::read(&headers(&[("vary", "foo")]), &long),
            Err(Unusable::TooLong)
        );
        let names: String = (0..MOST_FIELDS).map(|n| format!("x-{n}, X-{n},")).collect();
        let vary = Vary::read(&headers(&[("vary", &names)]), &HeaderMap::new()).unwrap();
        assert_eq!(vary.names().count(), MOST_FIELDS);
        let names: String = (0..=MOST_FIELDS).map(|n| format!("x-{n},")).collect();
        assert_eq!(
            Vary::read(&headers(&[("vary", &names)]), &HeaderMap::new()),
            Err(Unusable::TooLong)
        );
    }
}
