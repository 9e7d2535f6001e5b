//! Scenarios as data, and how they are played.

use std::{collections::HashMap, str::FromStr as _, time::Duration};

use serde::Deserialize;

use crate::Trip;

#[derive(Debug, Deserialize)]
struct File {
    scenario: Vec<Scenario>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) trip: String,
    #[serde(default = "five_seconds")]
    pub(crate) open_for: String,
    #[serde(default = "three")]
    pub(crate) probes: u32,
    #[serde(default = "five_seconds")]
    pub(crate) probe_deadline: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) on_throttled: Option<String>,
    pub(crate) on_drop: Option<String>,
    steps: Vec<String>,
}

fn five_seconds() -> String {
    "5s".to_owned()
}

fn three() -> u32 {
    3
}

pub(crate) fn all() -> Vec<Scenario> {
    let file: File = toml::from_str(include_str!("../vectors/scenarios.toml")).unwrap();
    file.scenario
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ok,
    Fail,
    Ignored,
    Throttled(Option<Duration>),
}

/// What a scenario is played on.
pub(crate) trait Subject {
    type Call;

    /// A call wants to go; refused, it is told for how long.
    async fn begin(&mut self) -> Result<Self::Call, Option<Duration>>;
    async fn end(&mut self, call: Self::Call, end: End);
    async fn give_up(&mut self, call: Self::Call);
    async fn wait(&mut self, span: Duration);
    fn hand(&mut self, switch: &str);
    fn state(&self) -> String;
}

pub(crate) fn time(text: &str) -> Duration {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let number = u64::from_str(digits).unwrap_or_else(|_| panic!("no time: {text}"));
    match &text[digits.len()..] {
        "ns" => Duration::from_nanos(number),
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "h" => Duration::from_secs(number * 3_600),
        _ => panic!("no time: {text}"),
    }
}

/// `1s..4s`
pub(crate) fn range(text: &str) -> Option<(Duration, Duration)> {
    let (from, to) = text.split_once("..")?;
    Some((time(from), time(to)))
}

/// `over_calls 10 failure_rate 0.5`
pub(crate) fn trip(text: &str) -> Trip {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (mut trip, mut rest) = match words[..] {
        ["consecutive_failures", n] => return Trip::consecutive_failures(n.parse().unwrap()),
        ["over_calls", n, ref rest @ ..] => (Trip::over_calls(n.parse().unwrap()), rest),
        ["over_time", span, ref rest @ ..] => (Trip::over_time(time(span)), rest),
        _ => panic!("no rule: {text}"),
    };
    loop {
        (trip, rest) = match rest {
            ["failure_rate", rate, rest @ ..] => (trip.failure_rate(rate.parse().unwrap()), rest),
            ["slow_call_rate", rate, after, rest @ ..] => (
                trip.slow_call_rate(rate.parse().unwrap(), time(after)),
                rest,
            ),
            ["minimum_calls", n, rest @ ..] => (trip.minimum_calls(n.parse().unwrap()), rest),
            [] => return trip.into(),
            _ => panic!("no rule: {text}"),
        };
    }
}

fn end_of(words: &[&str]) -> End {
    match words {
        ["ok", ..] => End::Ok,
        ["fail", ..] => End::Fail,
        ["ignored"] => End::Ignored,
        ["throttled"] => End::Throttled(None),
        ["throttled", wait] => End::Throttled(Some(time(wait))),
        _ => panic!("no end of a call: {words:?}"),
    }
}

pub(crate) async fn play<S: Subject>(scenario: &Scenario, mut subject: S) {
    let mut calls = HashMap::new();
    for (n, step) in scenario.steps.iter().enumerate() {
        let at = || format!("{:?}, step {n}: {step:?}", scenario.name);
        let (action, expected) = match step.split_once(" -> ") {
            Some((action, state)) => (action, Some(state)),
            None => (step.as_str(), None),
        };
        let mut words: Vec<&str> = action.split_whitespace().collect();
        let times = match words.last().and_then(|word| word.strip_prefix('x')) {
            Some(times) => {
                words.pop();
                times.parse().unwrap()
            }
            None => 1,
        };
        for _ in 0..times {
            match words[..] {
                ["wait", span] => subject.wait(time(span)).await,
                ["hand", switch] => subject.hand(switch),
                ["begin", name] => {
                    let call = subject.begin().await;
                    calls.insert(name, call.unwrap_or_else(|_| panic!("refused: {}", at())));
                }
                ["end", name, ref end @ ..] => {
                    subject.end(calls.remove(name).unwrap(), end_of(end)).await;
                }
                ["drop", name] => subject.give_up(calls.remove(name).unwrap()).await,
                ["refused", ref wait @ ..] => {
                    let Err(told) = subject.begin().await else {
                        panic!("it went: {}", at())
                    };
                    let expected = wait.first().map(|wait| time(wait));
                    assert_eq!(told, expected, "{}", at());
                }
                [end, "after", span] => {
                    let call = subject.begin().await;
                    let call = call.unwrap_or_else(|_| panic!("refused: {}", at()));
                    subject.wait(time(span)).await;
                    subject.end(call, end_of(&[end])).await;
                }
                ref end => {
                    let call = subject.begin().await;
                    let call = call.unwrap_or_else(|_| panic!("refused: {}", at()));
                    subject.end(call, end_of(end)).await;
                }
            }
        }
        if let Some(expected) = expected {
            assert_eq!(subject.state(), expected, "{}", at());
        }
    }
}
