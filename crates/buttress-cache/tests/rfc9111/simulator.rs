//! The least cache that can be made of the engine: no concurrency, no bound, bodies in one piece.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use buttress_cache::rfc9111::{
    Admission, Answer, Forward, HeadEffect, Miss, Options, Pass, Piece, RequestHead, Reuse,
    Selection, Served, Store, StoredHead, Target, Times, Unreachable, Upkeep, Validated, admit,
    answer, answer_head, combine, completion, condition, detach, gateway_timeout, head_response,
    invalidate, invalidated_uris, miss, reuse, select, store, unreachable, validated,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

pub(crate) struct Simulator {
    pub(crate) options: Options,
    entries: HashMap<Vec<u8>, Vec<(StoredHead, Vec<u8>)>>,
}

/// What the origin was asked.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
}

/// What it answered, and how long that took. `None`: it is gone.
pub(crate) struct Answered {
    pub(crate) response: Option<(StatusCode, HeaderMap, Vec<u8>)>,
    pub(crate) clean: bool,
    pub(crate) delay: Duration,
}

/// What the client got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) how: String,
    /// Whether the origin's answer was kept, or why not; `None` if there was none.
    pub(crate) kept: Option<String>,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// A revalidation in the background is due.
    pub(crate) background: bool,
    /// The origin's answer was not kept, and what is stored is outdated by it.
    outdates: bool,
}

/// A request on its way.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) now: SystemTime,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) has_content: bool,
}

pub(crate) type AskOrigin<'o> = &'o mut dyn FnMut(Asked<'_>) -> Answered;

impl Simulator {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            entries: HashMap::new(),
        }
    }

    pub(crate) fn handle(&mut self, ask: &Ask<'_>, origin: AskOrigin<'_>) -> Outcome {
        let request = RequestHead::new(ask.method, ask.headers);
        let Some(target) = Target::of("https", ask.uri, ask.headers) else {
            return self.pass(ask, None, None, Forward::Bypass.as_str(), origin);
        };
        if let Admission::Pass(pass) = admit(&request, ask.has_content) {
            let storable = (pass == Pass::Method).then_some(target);
            return self.pass(ask, Some(target), storable, pass.forward().as_str(), origin);
        }
        let key = key(&target);
        let variants = self.entries.get(&key).map_or(&[][..], Vec::as_slice);
        let selection = select(&request, variants.iter().map(|(head, _)| head));
        let Selection::Variant(at) = selection else {
            return match miss(&request, selection) {
                Miss::Fetch(forward) => {
                    self.pass(ask, Some(target), Some(target), forward.as_str(), origin)
                }
                _ => timeout("only-if-cached"),
            };
        };
        let (head, body) = variants[at].clone();
        match reuse(&self.options, &request, &head, ask.now) {
            Reuse::Serve(Served::Fresh) => served("fresh", &request, &head, &body, ask.now),
            Reuse::Serve(_) => served("max-stale", &request, &head, &body, ask.now),
            Reuse::ServeAndRevalidate => Outcome {
                background: true,
                ..served("stale-while-revalidate", &request, &head, &body, ask.now)
            },
            Reuse::Validate(forward) => self.validate(ask, &target, at, forward, origin),
            Reuse::Complete => self.complete(ask, &target, at, origin),
            Reuse::Fetch(forward) => {
                self.pass(ask, Some(target), Some(target), forward.as_str(), origin)
            }
            _ => timeout("only-if-cached"),
        }
    }

    /// The validation that a stale-while-revalidate left to do.
    pub(crate) fn revalidate(&mut self, ask: &Ask<'_>, origin: AskOrigin<'_>) -> Outcome {
        let request = RequestHead::new(ask.method, ask.headers);
        let target = Target::of("https", ask.uri, ask.headers).unwrap();
        let variants = &self.entries[&key(&target)];
        let Selection::Variant(at) = select(&request, variants.iter().map(|(head, _)| head)) else {
            return Outcome::default();
        };
        let (mut method, mut headers) = (ask.method.clone(), ask.headers.clone());
        detach(&variants[at].0, &mut method, &mut headers);
        let own = Ask {
            method: &method,
            headers: &headers,
            ..*ask
        };
        self.validate(&own, &target, at, Forward::Stale, origin)
    }

    fn validate(
        &mut self,
        ask: &Ask<'_>,
        target: &Target<'_>,
        at: usize,
        forward: Forward,
        origin: AskOrigin<'_>,
    ) -> Outcome {
        let request = RequestHead::new(ask.method, ask.headers);
        let (head, body) = self.entries[&key(target)][at].clone();
        let mut headers = ask.headers.clone();
        condition(&head, &mut headers, ask.now);
        let (answered, times) = ask_origin(ask, &headers, origin);
        let how = forward.as_str();
        let Some((status, fields, content)) = answered.response else {
            return match unreachable(&self.options, &request, &head, times.responded) {
                Unreachable::Stale => {
                    served("unreachable", &request, &head, &body, times.responded)
                }
                _ => timeout("unreachable"),
            };
        };
        let clean = answered.clean;
        match validated(&self.options, &request, &head, status, &fields, times) {
            Validated::Freshened { head, upkeep, .. } => {
                let kept = match upkeep {
                    Upkeep::Update => "freshened",
                    Upkeep::Leave => "left",
                    _ => "dropped",
                };
                let outcome = Outcome {
                    kept: Some(kept.to_owned()),
                    ..served(how, &request, &head, &body, times.responded)
                };
                let variants = self.entries.get_mut(&key(target)).unwrap();
                match upkeep {
                    Upkeep::Update => variants[at] = (*head, body),
                    Upkeep::Leave => {}
                    _ => drop(variants.remove(at)),
                }
                outcome
            }
            Validated::Stale => served("stale-if-error", &request, &head, &body, times.responded),
            // As who has no second body to ask with.
            Validated::Refetch => {
                self.entries.get_mut(&key(target)).unwrap().remove(at);
                let how = format!("{how} refetch");
                served(&how, &request, &head, &body, times.responded)
            }
            Validated::Replace => {
                let asked = RequestHead::new(ask.method, &headers);
                let answer = (status, fields, content, clean);
                let outcome = self.keep(how, &asked, target, answer, times);
                if outcome.outdates
                    && let Some(variants) = self.entries.get_mut(&key(target))
                {
                    variants.retain(|(head, _)| !head.matches(&request));
                }
                outcome
            }
            _ => {
                self.head_effects(&request, target, status, &fields, times);
                client(how, None, status, fields, content)
            }
        }
    }

    fn complete(
        &mut self,
        ask: &Ask<'_>,
        target: &Target<'_>,
        at: usize,
        origin: AskOrigin<'_>,
    ) -> Outcome {
        let (old, old_body) = self.entries[&key(target)][at].clone();
        let mut headers = ask.headers.clone();
        assert!(
            completion(&old, &mut headers),
            "what cannot be completed is not to be"
        );
        let (answered, times) = ask_origin(ask, &headers, origin);
        let Some((status, fields, content)) = answered.response else {
            return timeout("unreachable");
        };
        let asked = RequestHead::new(ask.method, &headers);
        if status == StatusCode::PARTIAL_CONTENT {
            let kept = store(&self.options, &asked, target, status, &fields, times);
            if let Store::Keep(new) = kept
                && let Some(all) = combine(&old, old_body.len(), &new, content.len())
            {
                let body = put_together(&all.pieces, &old_body, &content);
                let request = RequestHead::new(ask.method, ask.headers);
                let mut outcome = served("partial", &request, &all.head, &body, times.responded);
                outcome.kept = Some("combined".to_owned());
                self.put(&request, target, all.head, body);
                return outcome;
            }
            return self.pass(ask, Some(*target), Some(*target), "partial", origin);
        }
        let answer = (status, fields, content, answered.clean);
        self.keep("partial", &asked, target, answer, times)
    }

    /// Goes forward as it is.
    fn pass(
        &mut self,
        ask: &Ask<'_>,
        target: Option<Target<'_>>,
        storable: Option<Target<'_>>,
        how: &str,
        origin: AskOrigin<'_>,
    ) -> Outcome {
        let request = RequestHead::new(ask.method, ask.headers);
        let (answered, times) = ask_origin(ask, ask.headers, origin);
        let Some((status, fields, content)) = answered.response else {
            return Outcome {
                how: format!("{how} unreachable"),
                status: StatusCode::BAD_GATEWAY,
                ..Outcome::default()
            };
        };
        if let Some(target) = target {
            self.head_effects(&request, &target, status, &fields, times);
            if invalidate(ask.method, status) {
                self.entries.remove(&key(&target));
                for uri in invalidated_uris(&target, &fields) {
                    self.entries.remove(&key(&Target::of_uri(&uri).unwrap()));
                }
            }
        }
        match storable {
            None => client(how, Some("bypass"), status, fields, content),
            Some(target) => {
                let answer = (status, fields, content, answered.clean);
                self.keep(how, &request, &target, answer, times)
            }
        }
    }

    /// Hands an answer on, and keeps it if it may be.
    fn keep(
        &mut self,
        how: &str,
        asked: &RequestHead<'_>,
        target: &Target<'_>,
        (status, fields, content, clean): (StatusCode, HeaderMap, Vec<u8>, bool),
        times: Times,
    ) -> Outcome {
        let mut outdates = false;
        let kept = match store(&self.options, asked, target, status, &fields, times) {
            Store::Keep(head) => match head.complete(content.len() as u64, clean) {
                Ok(head) => {
                    self.put(asked, target, head, content.clone());
                    "yes".to_owned()
                }
                Err(incomplete) => format!("{incomplete:?}"),
            },
            Store::Refuse(refusal) => {
                outdates = refusal.outdates();
                format!("{refusal:?}")
            }
            _ => unreachable!(),
        };
        Outcome {
            outdates,
            ..client(how, Some(&kept), status, fields, content)
        }
    }

    fn put(
        &mut self,
        request: &RequestHead<'_>,
        target: &Target<'_>,
        mut head: StoredHead,
        mut body: Vec<u8>,
    ) {
        let variants = self.entries.entry(key(target)).or_default();
        for (old, old_body) in variants.iter() {
            if old.matches(request)
                && let Some(all) = combine(old, old_body.len(), &head, body.len())
            {
                (head, body) = (all.head, put_together(&all.pieces, old_body, &body));
                break;
            }
        }
        variants.retain(|(old, _)| !old.matches(request));
        variants.push((head, body));
    }

    fn head_effects(
        &mut self,
        request: &RequestHead<'_>,
        target: &Target<'_>,
        status: StatusCode,
        fields: &HeaderMap,
        times: Times,
    ) {
        for (head, body) in self.entries.get_mut(&key(target)).into_iter().flatten() {
            let length = body.len() as u64;
            match head_response(&self.options, request, head, length, status, fields, times) {
                HeadEffect::Update(new) => *head = *new,
                HeadEffect::Stale => head.mark_stale(),
                _ => {}
            }
        }
    }
}

fn key(target: &Target<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    target.feed(|bytes| key.extend_from_slice(bytes));
    key
}

fn ask_origin(ask: &Ask<'_>, headers: &HeaderMap, origin: AskOrigin<'_>) -> (Answered, Times) {
    let answered = origin(Asked {
        method: ask.method,
        headers,
    });
    let times = Times {
        requested: ask.now,
        responded: ask.now + answered.delay,
    };
    (answered, times)
}

fn put_together(pieces: &[Piece], old: &[u8], new: &[u8]) -> Vec<u8> {
    let piece = |piece: &Piece| match piece {
        Piece::Old(range) => &old[range.clone()],
        Piece::New(range) => &new[range.clone()],
        _ => unreachable!(),
    };
    pieces.iter().flat_map(piece).copied().collect()
}

fn served(
    how: &str,
    request: &RequestHead<'_>,
    head: &StoredHead,
    body: &[u8],
    now: SystemTime,
) -> Outcome {
    let answer = answer(request, head, body.len() as u64, now);
    let (status, headers) = answer_head(&answer, head, now);
    let content = match answer {
        _ if *request.method() == Method::HEAD => Vec::new(),
        Answer::Stored => body.to_vec(),
        Answer::Part(slice) => body[slice.offset as usize..][..slice.length as usize].to_vec(),
        _ => Vec::new(),
    };
    Outcome {
        how: how.to_owned(),
        kept: None,
        status,
        headers,
        body: content,
        background: false,
        outdates: false,
    }
}

fn client(
    how: &str,
    kept: Option<&str>,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Outcome {
    Outcome {
        how: how.to_owned(),
        kept: kept.map(str::to_owned),
        status,
        headers,
        body,
        background: false,
        outdates: false,
    }
}

fn timeout(why: &str) -> Outcome {
    let (status, mut headers) = gateway_timeout();
    headers.insert("why", HeaderValue::try_from(why).unwrap());
    Outcome {
        how: "timeout".to_owned(),
        status,
        headers,
        ..Outcome::default()
    }
}
