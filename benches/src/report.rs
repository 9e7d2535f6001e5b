//! What is compared with what, and criterion's measurements of it as a table.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

/// One row: a case of ours, a yardstick, and how much of its time ours may take.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Criterion's ids are `group/case/implementation`.
    pub group: &'static str,
    /// What is measured.
    pub case: &'static str,
    /// What it is measured against.
    pub against: Against,
    /// The highest ratio at which the target is met, or for [`Against::Above`] the most nanoseconds;
    /// `None` where there is none to meet.
    pub target: Option<f64>,
}

/// A yardstick.
#[derive(Clone, Copy, Debug)]
pub enum Against {
    /// Another implementation of the same case.
    Peer(&'static str),
    /// As [`Peer`](Self::Peer), with our layer for any request that is `Clone`, which looks at what the peer looks at and
    /// nothing more.
    PeerOfTyped(&'static str),
    /// As [`Peer`](Self::Peer); of both, the time that the bare service takes is subtracted.
    Overhead(&'static str),
    /// Our own time in another case of the group.
    OurOwn(&'static str),
    /// Our own time in another case of the group; of both, the time that the bare service takes there is
    /// subtracted.
    OurOwnOverhead(&'static str),
    /// Our own implementation on the clock that users get unless they choose another.
    DefaultClock,
    /// The nanoseconds that ours takes more than another implementation of the same case.
    Above(&'static str),
    /// The nanoseconds that ours takes more than in another case of the group.
    AboveOurOwn(&'static str),
}

/// How the implementations that are ours begin.
const OURS: &str = "buttress";

impl Row {
    const fn new(
        group: &'static str,
        case: &'static str,
        against: Against,
        target: Option<f64>,
    ) -> Self {
        Self {
            group,
            case,
            against,
            target,
        }
    }

    /// Nanoseconds of ours and of the yardstick.
    ///
    /// # Errors
    ///
    /// Where criterion left no measurement.
    pub fn measured(&self, criterion: &Path) -> io::Result<(f64, f64)> {
        let of = |case, implementation| {
            let bench: PathBuf = [self.group, case, implementation].iter().collect();
            lower_quartile(&criterion.join(bench))
        };
        let ours = of(self.case, OURS)?;
        Ok(match self.against {
            Against::Peer(peer) | Against::Above(peer) => (ours, of(self.case, peer)?),
            Against::PeerOfTyped(peer) => (of(self.case, "buttress_typed")?, of(self.case, peer)?),
            Against::Overhead(peer) => {
                let bare = of(self.case, "bare")?;
                (ours - bare, of(self.case, peer)? - bare)
            }
            Against::OurOwn(case) | Against::AboveOurOwn(case) => (ours, of(case, "buttress")?),
            Against::OurOwnOverhead(case) => {
                let bare = of(case, "bare")?;
                (ours - bare, of(case, "buttress")? - bare)
            }
            Against::DefaultClock => (of(self.case, "buttress_default_clock")?, ours),
        })
    }

    /// The same for the other algorithms that were measured in this case: the name of each, and nanoseconds of
    /// it and of the yardstick.
    fn algorithms(&self, criterion: &Path) -> io::Result<Vec<(String, f64, f64)>> {
        let (Against::Peer("governor" | "tower_governor")
        | Against::Overhead("tower_governor")
        | Against::OurOwn("admit_headers")
        | Against::OurOwnOverhead("admit")) = self.against
        else {
            return Ok(Vec::new());
        };
        let case: PathBuf = criterion.join(self.group).join(self.case);
        let (_, theirs) = self.measured(criterion)?;
        let other =
            |case, name: &str| lower_quartile(&criterion.join(self.group).join(case).join(name));
        let mut algorithms = Vec::new();
        for bench in fs::read_dir(&case).map_err(|error| missing(&case, &error))? {
            let bench = bench?;
            let name = bench.file_name().to_string_lossy().into_owned();
            let algorithm = name
                .strip_prefix(OURS)
                .and_then(|rest| rest.strip_prefix('_'));
            if let Some(algorithm) = algorithm.filter(|&name| name != "default_clock") {
                let ours = lower_quartile(&bench.path())?;
                let (ours, theirs) = match self.against {
                    Against::Overhead(_) => (ours - other(self.case, "bare")?, theirs),
                    // Its own time there.
                    Against::OurOwnOverhead(case) => {
                        let bare = other(case, "bare")?;
                        (ours - bare, other(case, &name)? - bare)
                    }
                    Against::OurOwn(case) => (ours, other(case, &name)?),
                    _ => (ours, theirs),
                };
                algorithms.push((algorithm.replace('_', " "), ours, theirs));
            }
        }
        algorithms.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        Ok(algorithms)
    }

    fn name(&self) -> String {
        let Self { group, case, .. } = self;
        match self.against {
            Against::Peer(_) | Against::Above(_) => format!("`{group}/{case}`"),
            Against::Overhead(_) | Against::OurOwnOverhead(_) => {
                format!("`{group}/{case}`, overhead")
            }
            Against::OurOwn(_) | Against::AboveOurOwn(_) => format!("`{group}/{case}`, whole"),
            Against::DefaultClock => format!("`{group}/{case}`, default clock"),
            Against::PeerOfTyped(_) => format!("`{group}/{case}`, by status alone"),
        }
    }

    fn yardstick(&self) -> String {
        match self.against {
            Against::Peer(peer)
            | Against::PeerOfTyped(peer)
            | Against::Overhead(peer)
            | Against::Above(peer) => peer.to_owned(),
            Against::OurOwn(case) | Against::OurOwnOverhead(case) | Against::AboveOurOwn(case) => {
                format!("own `{case}`")
            }
            Against::DefaultClock => "own, on quanta".to_owned(),
        }
    }
}

/// The rows, in the order of the table.
pub const ROWS: &[Row] = {
    use Against::{
        Above, AboveOurOwn, DefaultClock, OurOwn, OurOwnOverhead, Overhead, Peer, PeerOfTyped,
    };
    const fn row(
        group: &'static str,
        case: &'static str,
        against: Against,
        target: Option<f64>,
    ) -> Row {
        Row::new(group, case, against, target)
    }
    &[
        row("cache", "hit_1k", Peer("http-cache-tower"), Some(0.10)),
        row("cache", "hit_64k", Peer("http-cache-tower"), Some(0.02)),
        row("cache", "hit_1k", Above("bare"), Some(600.0)),
        row("cache", "miss_stored", Peer("http-cache-tower"), Some(0.4)),
        row("circuit_breaker", "closed", Peer("failsafe"), Some(0.6)),
        row("circuit_breaker", "closed", DefaultClock, None),
        row("circuit_breaker", "refuse", OurOwn("closed"), Some(1.0)),
        row(
            "circuit_breaker",
            "window_100k",
            OurOwn("window_100"),
            Some(1.2),
        ),
        row("circuit_breaker", "threads", Peer("failsafe"), Some(0.8)),
        row(
            "circuit_breaker",
            "keyed",
            AboveOurOwn("closed"),
            Some(30.0),
        ),
        row(
            "circuit_breaker_layer",
            "typed",
            Overhead("tower-resilience-circuitbreaker"),
            Some(0.2),
        ),
        row("rate_limit_direct", "check", Peer("governor"), Some(1.1)),
        row("rate_limit_direct", "check", DefaultClock, None),
        row("rate_limit_keyed_ip", "1k", Peer("governor"), Some(0.70)),
        row("rate_limit_keyed_ip", "100k", Peer("governor"), Some(0.85)),
        row("rate_limit_keyed_ip", "1m", Peer("governor"), Some(0.90)),
        row("rate_limit_keyed_ip", "1k", DefaultClock, None),
        row("rate_limit_keyed_ip", "100k", DefaultClock, None),
        row("rate_limit_keyed_ip", "1m", DefaultClock, None),
        row(
            "rate_limit_keyed_string",
            "1k",
            Peer("governor"),
            Some(0.60),
        ),
        row(
            "rate_limit_keyed_string",
            "1m",
            Peer("governor"),
            Some(0.50),
        ),
        row("rate_limit_keyed_string", "1k", DefaultClock, None),
        row("rate_limit_keyed_string", "1m", DefaultClock, None),
        row(
            "rate_limit_keyed_threads",
            "one_key",
            Peer("governor"),
            Some(0.6),
        ),
        row(
            "rate_limit_keyed_threads",
            "many_keys",
            Peer("governor"),
            Some(0.7),
        ),
        row(
            "rate_limit_layer",
            "admit",
            Overhead("tower_governor"),
            Some(0.9),
        ),
        row(
            "rate_limit_layer",
            "admit",
            Overhead("tower-resilience-ratelimiter"),
            Some(0.3),
        ),
        row(
            "rate_limit_layer",
            "admit_headers",
            Overhead("tower_governor"),
            Some(0.6),
        ),
        row(
            "rate_limit_layer",
            "three_policies",
            OurOwnOverhead("admit"),
            Some(2.5),
        ),
        row(
            "rate_limit_layer",
            "quota_by_request",
            OurOwnOverhead("admit"),
            None,
        ),
        row(
            "rate_limit_layer",
            "refuse",
            OurOwn("admit_headers"),
            Some(2.0),
        ),
        row("rate_limit_layer", "refuse", Peer("tower_governor"), None),
        row("retry", "success", Peer("tower"), Some(1.1)),
        row("retry", "success", Peer("tower_budget"), None),
        row(
            "retry",
            "success",
            Peer("tower-resilience-retry"),
            Some(0.4),
        ),
        row("retry", "success", DefaultClock, None),
        row("retry", "success", PeerOfTyped("tower"), Some(1.1)),
        row(
            "retry",
            "success",
            PeerOfTyped("tower-resilience-retry"),
            Some(0.4),
        ),
        row("retry", "three_attempts", Peer("tower"), Some(1.2)),
        row("retry", "three_attempts", PeerOfTyped("tower"), Some(1.2)),
        row("retry", "success_small_request", Peer("tower"), Some(1.1)),
        row(
            "retry",
            "success_small_request",
            Peer("tower-resilience-retry"),
            Some(0.4),
        ),
        row(
            "retry",
            "three_attempts_small_request",
            Peer("tower"),
            Some(1.2),
        ),
        row("stack", "four_layers", Above("bare"), Some(1_000.0)),
        row("stack", "four_layers_get", Above("bare"), None),
        row("stack", "four_layers_hit", Above("bare"), None),
    ]
};

/// The table of all rows, in Markdown.
///
/// # Errors
///
/// Where criterion left no measurement of one.
pub fn table(criterion: &Path) -> io::Result<String> {
    let mut table = String::from(
        "| case | against | ours | theirs | ratio | target | |\n|---|---|---:|---:|---:|---:|---|\n",
    );
    for row in ROWS {
        let (ours, theirs) = row.measured(criterion)?;
        line(&mut table, row, &row.name(), ours, theirs);
        for (algorithm, ours, theirs) in row.algorithms(criterion)? {
            let name = format!("{}, {algorithm}", row.name());
            line(&mut table, row, &name, ours, theirs);
        }
    }
    Ok(table)
}

fn line(table: &mut String, row: &Row, name: &str, ours: f64, theirs: f64) {
    let (measured, as_text): (f64, fn(f64) -> String) = match row.against {
        Against::Above(_) | Against::AboveOurOwn(_) => {
            (ours - theirs, |more| format!("+ {more:.0} ns"))
        }
        _ => (ours / theirs, |ratio| format!("{ratio:.2} ×")),
    };
    let verdict = match row.target {
        Some(target) if measured <= target => "met",
        Some(_) => "**missed**",
        None => "",
    };
    // Writing into a `String` cannot fail.
    let _ = writeln!(
        table,
        "| {name} | {} | {ours:.1} ns | {theirs:.1} ns | {} | {} | {verdict} |",
        row.yardstick(),
        as_text(measured),
        row.target.map(as_text).unwrap_or_default(),
    );
}

/// Of all samples of all rounds, the time per iteration that a quarter of them stay below: what else a
/// shared machine does makes samples longer, never shorter.
fn lower_quartile(bench: &Path) -> io::Result<f64> {
    let mut times = Vec::new();
    for round in fs::read_dir(bench).map_err(|error| missing(bench, &error))? {
        let round = round?;
        if round.file_name().to_string_lossy().starts_with("round-") {
            times.extend(samples(&round.path().join("sample.json"))?);
        }
    }
    times.sort_by(f64::total_cmp);
    times
        .get(times.len() / 4)
        .copied()
        .ok_or_else(|| missing(bench, &"no rounds in it"))
}

fn samples(path: &Path) -> io::Result<Vec<f64>> {
    let sample: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
    let numbers = |field: &str| {
        let field = sample.get(field).and_then(serde_json::Value::as_array);
        let numbers = field.into_iter().flatten();
        numbers.filter_map(serde_json::Value::as_f64)
    };
    Ok(numbers("times")
        .zip(numbers("iters"))
        .map(|(time, iterations)| time / iterations)
        .collect())
}

fn missing(bench: &Path, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: not measured: {why}", bench.display()))
}
