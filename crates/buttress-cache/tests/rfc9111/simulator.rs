//! The least cache that can be made of the engine: no concurrency, no bound, bodies in one piece.

mod entries;
mod origin;
mod outcome;
mod validate;

use std::{collections::HashMap, time::SystemTime};

use buttress_cache::rfc9111::{
    Admission, Forward, Miss, Options, Pass, RequestHead, Reuse, Selection, Served, Store,
    StoredHead, Target, Times, admit, invalidate, invalidated_uris, miss, reuse, select, store,
};
use http::{HeaderMap, Method, StatusCode, Uri};

use self::{
    entries::key,
    origin::ask_origin,
    outcome::{client, served, timeout},
};
pub(crate) use self::{
    origin::{Answered, AskOrigin, Asked},
    outcome::Outcome,
};

pub(crate) struct Simulator {
    pub(crate) options: Options,
    entries: HashMap<Vec<u8>, Vec<(StoredHead, Vec<u8>)>>,
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
        let is_unknown = answered.response.as_ref().is_none_or(|(status, ..)| {
            matches!(
                *status,
                StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
            )
        });
        if let Some(target) = &target
            && is_unknown
            && invalidate(ask.method, StatusCode::OK)
        {
            let stored = self.entries.get_mut(&key(target));
            for (head, _) in stored.into_iter().flatten() {
                head.mark_suspect();
            }
        }
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
}
