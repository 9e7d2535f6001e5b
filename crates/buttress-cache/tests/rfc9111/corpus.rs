//! The vectors: stories of a client, a cache and an origin, as files tell them.
//!
//! A case is a list of steps. In each, the client asks (`request`, GET / unless it says otherwise), and the origin would
//! answer so (`origin`, a status or `unreachable`, then fields; without it, it must not be asked). A field's value
//! `@60` is the HTTP date a minute after the story's begin, `@850:60` the same in RFC 850's form. Expected are how it
//! was answered (`expect`), whether the origin's answer was kept or why not (`kept`), what the client gets (`status`,
//! `content`, `has`, `lacks`) and what the origin is asked (`asked`, `unasked`).

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use buttress_cache::rfc9111::{Heuristic, Options, SetCookie};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) rfc: String,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    targeted: Vec<String>,
    set_cookie: Option<String>,
    heuristic: Option<bool>,
    stale_while_revalidate: Option<u64>,
    stale_if_error: Option<u64>,
    stale_if_unreachable: Option<u64>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Step {
    /// Seconds since the story's begin; if it is not told, nothing has passed since the step before.
    pub(crate) at: Option<f64>,
    request: Vec<String>,
    pub(crate) has_content: bool,
    origin: Vec<String>,
    body: Option<String>,
    /// How many seconds the origin takes.
    pub(crate) delay: f64,
    /// The body is broken off.
    pub(crate) broken: bool,
    pub(crate) expect: String,
    pub(crate) kept: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) content: Option<String>,
    pub(crate) has: Vec<String>,
    pub(crate) lacks: Vec<String>,
    pub(crate) asked: Vec<String>,
    pub(crate) unasked: Vec<String>,
}

/// What the origin answers.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// It must not be asked.
    Silent,
    Unreachable,
    Answers(StatusCode, HeaderMap, String),
}

/// When every story begins.
pub(crate) fn begin() -> SystemTime {
    httpdate::parse_http_date("Sun, 22 Nov 2026 12:00:00 GMT").unwrap()
}

/// All cases, with the name of the file that tells them.
pub(crate) fn cases() -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/cache");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .flat_map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let file: File =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            file.case.into_iter().map(move |case| (name.clone(), case))
        })
        .collect()
}

impl Case {
    pub(crate) fn options(&self) -> Options {
        let mut options = match self.private {
            true => Options::private(),
            false => Options::shared(),
        };
        options.targeted = self
            .targeted
            .iter()
            .map(|name| name.parse().unwrap())
            .collect();
        options.heuristic = match self.heuristic {
            Some(false) => None,
            _ => Some(Heuristic::default()),
        };
        match self.set_cookie.as_deref() {
            Some("store") => options.set_cookie = SetCookie::Store,
            Some("strip") => options.set_cookie = SetCookie::Strip,
            Some(other) => panic!("{}: set_cookie = {other:?}", self.name),
            None => {}
        }
        let seconds = |seconds: Option<u64>, default| seconds.map_or(default, Duration::from_secs);
        options.stale_while_revalidate =
            seconds(self.stale_while_revalidate, options.stale_while_revalidate);
        options.stale_if_error = seconds(self.stale_if_error, options.stale_if_error);
        options.stale_if_unreachable =
            seconds(self.stale_if_unreachable, options.stale_if_unreachable);
        options
    }
}

impl Step {
    /// The client's request.
    pub(crate) fn request(&self) -> (Method, Uri, HeaderMap) {
        let mut lines = self.request.iter();
        let line = lines.next().map_or("GET /", String::as_str);
        let (method, target) = line.split_once(' ').unwrap();
        let mut headers = fields(lines);
        headers
            .entry("host")
            .or_insert(HeaderValue::from_static("example.com"));
        (method.parse().unwrap(), target.parse().unwrap(), headers)
    }

    pub(crate) fn origin(&self) -> Origin {
        let mut lines = self.origin.iter();
        match lines.next().map(String::as_str) {
            None => Origin::Silent,
            Some("unreachable") => Origin::Unreachable,
            Some(status) => Origin::Answers(
                StatusCode::from_bytes(status.as_bytes()).unwrap(),
                fields(lines),
                self.body.clone().unwrap_or_else(|| "body".to_owned()),
            ),
        }
    }
}

/// Fields of "Name: value" lines.
pub(crate) fn fields<'a>(lines: impl IntoIterator<Item = &'a String>) -> HeaderMap {
    lines.into_iter().map(|line| field(line)).collect()
}

fn field(line: &str) -> (HeaderName, HeaderValue) {
    let (name, value) = line
        .split_once(':')
        .unwrap_or_else(|| panic!("no field: {line:?}"));
    // One space belongs to the notation, further whitespace to the value.
    let value = value.strip_prefix(' ').unwrap_or(value);
    let value = match value.strip_prefix('@') {
        None => HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        Some(date) => HeaderValue::try_from(date_at(date)).unwrap(),
    };
    (name.parse().unwrap(), value)
}

/// That `who` gets these fields.
pub(crate) fn has(who: &str, headers: &HeaderMap, lines: &[String]) -> Result<(), String> {
    for line in lines {
        let (name, value) = field(line);
        if !headers.get_all(&name).iter().any(|found| found == value) {
            let found = headers.get(&name);
            return Err(format!(
                "{who} does not get {name}: {value:?}, but {found:?}"
            ));
        }
    }
    Ok(())
}

/// That `who` gets none of these fields.
pub(crate) fn lacks(who: &str, headers: &HeaderMap, names: &[String]) -> Result<(), String> {
    match names
        .iter()
        .find(|name| headers.contains_key(name.as_str()))
    {
        Some(name) => Err(format!("{who} gets {name}: {:?}", headers.get(name))),
        None => Ok(()),
    }
}

fn date_at(text: &str) -> String {
    let (old_form, seconds) = match text.strip_prefix("850:") {
        Some(seconds) => (true, seconds),
        None => (false, text),
    };
    let seconds: i64 = seconds.parse().unwrap();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let date = httpdate::fmt_http_date(match seconds < 0 {
        true => begin() - distance,
        false => begin() + distance,
    });
    if !old_form {
        return date;
    }
    // "Sun, 22 Nov 2026 12:00:00 GMT"
    let days = [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ];
    let day = days
        .into_iter()
        .find(|day| date.starts_with(&day[..3]))
        .unwrap();
    format!(
        "{day}, {}-{}-{} {}",
        &date[5..7],
        &date[8..11],
        &date[14..16],
        &date[17..]
    )
}
