use std::{collections::HashMap, time::Duration};

use http::Request;

/// How a request is to be treated: `openai?refuse=2&wait=1s`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manner {
    /// The name of a dialect, or of another way to be rude.
    pub(crate) name: String,

    /// Whose turns are counted together.
    pub(crate) id: String,

    /// What the client is told to wait.
    pub(crate) wait: Duration,

    /// How far the server's clock is ahead.
    pub(crate) skew: Duration,

    pub(crate) when: When,
}

/// When it is rude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    /// So many times, then not once, and so on.
    Times(u64),

    /// For so long, from the first visit on.
    For(Duration),

    /// Each time with this probability.
    Chance(f64),
}

impl Manner {
    /// The manner that a request asks for: in a field `rude`, if it may not choose its path; else by its
    /// path and query.
    pub(crate) fn of<B>(request: &Request<B>) -> Result<Self, String> {
        match request.headers().get("rude") {
            Some(text) => Self::parse(text.to_str().map_err(|error| error.to_string())?),
            None => Self::parse(
                request
                    .uri()
                    .path_and_query()
                    .map_or("", |path| path.as_str()),
            ),
        }
    }

    /// Reads `/openai?refuse=2&wait=1s`, with or without the slash.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('/');
        let (name, query) = text.split_once('?').unwrap_or((text, ""));
        let mut words = HashMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("{pair}: no value"))?;
            words.insert(key, value);
        }
        let mut duration = |key| match words.remove(key) {
            Some(text) => humantime::parse_duration(text)
                .map(Some)
                .map_err(|error| format!("{key}={text}: {error}")),
            None => Ok(None),
        };
        let (wait, span, skew) = (duration("wait")?, duration("for")?, duration("skew")?);
        let id = words.remove("id").unwrap_or(text).to_owned();
        let when = match (words.remove("refuse"), span, words.remove("chance")) {
            (None, None, None) => When::Times(1),
            (Some("always"), None, None) => When::Chance(1.0),
            (Some(times), None, None) => When::Times(
                times
                    .parse()
                    .map_err(|_| format!("refuse={times}: neither a number nor `always`"))?,
            ),
            (None, Some(span), None) => When::For(span),
            (None, None, Some(chance)) => match chance.parse() {
                Ok(p) if (0.0..=1.0).contains(&p) => When::Chance(p),
                _ => return Err(format!("chance={chance}: not between 0 and 1")),
            },
            _ => return Err("only one of `refuse`, `for` and `chance`".to_owned()),
        };
        if let Some(key) = words.keys().next() {
            return Err(format!(
                "{key}: not one of refuse, for, chance, wait, skew, id"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            id,
            wait: wait.unwrap_or(Duration::from_secs(1)),
            skew: skew.unwrap_or_default(),
            when,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_of_it() {
        let manner = Manner::parse("/openai?refuse=2&wait=300ms&skew=1h&id=a").unwrap();
        let expected = Manner {
            name: "openai".to_owned(),
            id: "a".to_owned(),
            wait: Duration::from_millis(300),
            skew: Duration::from_secs(3_600),
            when: When::Times(2),
        };
        assert_eq!(manner, expected);
        let when = |text| Manner::parse(text).unwrap().when;
        assert_eq!(when("x"), When::Times(1));
        assert_eq!(when("x?refuse=always"), When::Chance(1.0));
        assert_eq!(when("x?for=2s"), When::For(Duration::from_secs(2)));
        assert_eq!(when("x?chance=0.25"), When::Chance(0.25));
        assert_eq!(Manner::parse("/x?wait=2s").unwrap().id, "x?wait=2s");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("x?wait=soon", "wait=soon"),
            ("x?refuse=-1", "refuse=-1"),
            ("x?chance=2", "chance=2"),
            ("x?chance=nan", "chance=nan"),
            ("x?refuse=1&for=1s", "only one"),
            ("x?retry=1", "retry"),
            ("x?wait", "wait: no value"),
        ] {
            let error = Manner::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
