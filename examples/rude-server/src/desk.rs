use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use buttress_core::{
    Random,
    clock::{Clock as _, SystemWallClock, Tick, TokioClock, WallClock as _},
};
use bytes::Bytes;
use http::{StatusCode, request::Parts};

use crate::{
    answer::{Answer, Part, Response},
    grpc,
    manner::{Manner, When},
    script::Script,
    visit::{Answered, Visit},
};

/// Where it is decided who is served.
#[derive(Debug)]
pub(crate) struct Desk {
    script: Script,
    clock: TokioClock,
    started: Tick,
    queues: Mutex<HashMap<String, Queue>>,
}

/// Those whose turns are counted together.
#[derive(Debug, Default)]
struct Queue {
    turns: u64,
    first: Tick,
    visits: Vec<Visit>,
}

/// So many are remembered, and so much of each; then it begins anew.
const QUEUES: usize = 1_000;
const VISITS: usize = 1_000;
const BODY: usize = 1_024;

const OTHER_MANNERS: [&str; 15] = [
    "ok",
    "any",
    "cut",
    "cut-body",
    "slow",
    "slow-body",
    "refused-stream",
    "goaway",
    "reset",
    "grpc",
    "grpc-pushback",
    "grpc-trailers",
    "grpc-silent",
    "grpc-no",
    "",
];

impl Desk {
    pub(crate) fn new(script: Script) -> Self {
        let clock = TokioClock::default();
        Self {
            script,
            started: clock.now(),
            clock,
            queues: Mutex::default(),
        }
    }

    /// Those who came under this id.
    pub(crate) fn visits(&self, id: &str) -> Vec<Visit> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues
            .get(id)
            .map(|queue| queue.visits.clone())
            .unwrap_or_default()
    }

    pub(crate) fn answer(&self, request: Parts, body: Bytes) -> Answer {
        let request = http::Request::from_parts(request, ());
        let manner = match self.script.paths.get(request.uri().path()) {
            Some(manner) if !request.headers().contains_key("rude") => Ok(manner.clone()),
            _ => Manner::of(&request),
        };
        let mut manner = match manner {
            Ok(manner) => manner,
            Err(error) => {
                return Response::new(StatusCode::BAD_REQUEST, format!("{error}\n")).answer();
            }
        };
        if !self.knows(&manner.name) {
            let text = format!("{}: not one of\n{}", manner.name, self.names());
            return Response::new(StatusCode::NOT_FOUND, text).answer();
        }

        let (turn, rude_for) = self.turn(&manner, &request, &body);
        if manner.name == "any" {
            manner.name = self.any_dialect(&manner, turn);
        }
        let answer = match rude_for {
            Some(wait) => self.be_rude(&manner, wait, &request, body),
            None if manner.name.is_empty() => Response::new(StatusCode::OK, self.names()).answer(),
            None => serve(&request, body).answer(),
        };
        self.date(answer, manner.skew)
    }

    /// Counts the visit. Tells which one it is, and, if it is not served, how long that goes on.
    fn turn(
        &self,
        manner: &Manner,
        request: &http::Request<()>,
        body: &Bytes,
    ) -> (u64, Option<Duration>) {
        let now = self.clock.now();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() >= QUEUES && !queues.contains_key(&manner.id) {
            queues.clear();
        }
        let queue = queues.entry(manner.id.clone()).or_default();
        if queue.turns == 0 {
            queue.first = now;
        }
        let turn = queue.turns;
        queue.turns += 1;
        let rude_for = match manner.when {
            _ if ["ok", ""].contains(&manner.name.as_str()) => None,
            When::Times(times) => (turn % (times.saturating_add(1)) < times).then_some(manner.wait),
            When::For(span) => {
                let gone = now.saturating_duration_since(queue.first);
                span.checked_sub(gone).filter(|left| !left.is_zero())
            }
            When::Chance(chance) => {
                (self.chance(manner, turn).unit() < chance).then_some(manner.wait)
            }
        };
        if queue.visits.len() >= VISITS {
            queue.visits.clear();
        }
        queue.visits.push(Visit {
            at: now.saturating_duration_since(self.started),
            method: request.method().clone(),
            headers: request.headers().clone(),
            body: body.slice(..body.len().min(BODY)),
            answered: match rude_for {
                Some(_) => Answered::Rudely,
                None => Answered::Served,
            },
        });
        (turn, rude_for)
    }

    fn be_rude(
        &self,
        manner: &Manner,
        wait: Duration,
        request: &http::Request<()>,
        body: Bytes,
    ) -> Answer {
        let name = manner.name.as_str();
        if let Some(dialect) = self.script.dialects.get(name) {
            let now = SystemWallClock.now() + manner.skew;
            return dialect.refuse(wait, now).answer();
        }
        if let Some(refusal) = grpc::refuse(name, wait, request.headers(), body.clone()) {
            return refusal.answer();
        }
        match name {
            "cut" => Answer::Cut,
            "refused-stream" => Answer::RefusedStream,
            "goaway" => Answer::GoAway,
            "reset" => Answer::Reset,
            "cut-body" => {
                let mut response = serve(request, body);
                response.body.push(Part::Cut);
                response.answer()
            }
            "slow-body" => {
                let mut response = serve(request, body);
                response.body.extend([
                    Part::Pause(wait),
                    Part::Data(Bytes::from_static(b"at last\n")),
                ]);
                response.answer()
            }
            _slow => {
                let mut response = serve(request, body);
                response.pause = wait;
                response.answer()
            }
        }
    }

    /// The same in every run with the same seed, whoever comes in between.
    fn chance(&self, manner: &Manner, turn: u64) -> Random {
        let mut hasher = DefaultHasher::new();
        (self.script.seed, &manner.id, turn).hash(&mut hasher);
        Random::seeded(hasher.finish())
    }

    fn any_dialect(&self, manner: &Manner, turn: u64) -> String {
        let count = self.script.dialects.len().max(1) as u64;
        let drawn = self.chance(manner, turn).up_to(count - 1);
        let index = usize::try_from(drawn).unwrap_or_default();
        self.script
            .dialects()
            .nth(index)
            .unwrap_or("silent")
            .to_owned()
    }

    fn knows(&self, name: &str) -> bool {
        self.script.dialects.contains_key(name) || OTHER_MANNERS.contains(&name)
    }

    fn names(&self) -> String {
        self.script
            .dialects()
            .chain(OTHER_MANNERS)
            .map(|name| format!("{name}\n"))
            .collect()
    }

    /// Every server has a clock, and shows it.
    fn date(&self, answer: Answer, skew: Duration) -> Answer {
        match answer {
            Answer::Response(response) => {
                let date = httpdate::fmt_http_date(SystemWallClock.now() + skew);
                response.header("date", &date).answer()
            }
            other => other,
        }
    }
}

/// What was sent comes back.
fn serve(request: &http::Request<()>, body: Bytes) -> Response {
    let is_grpc = request
        .headers()
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        return grpc::serve(body);
    }
    let body = if body.is_empty() {
        Bytes::from_static(b"ok\n")
    } else {
        body
    };
    Response::new(StatusCode::OK, body).header("content-type", "text/plain")
}
