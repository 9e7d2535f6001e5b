//! What is asked again about something stored: whether it still holds, and what of it is missing.

use buttress_cache::rfc9111::{
    Forward, RequestHead, Selection, Store, Target, Unreachable, Upkeep, Validated, combine,
    completion, condition, detach, select, store, unreachable, validated,
};
use http::StatusCode;

use super::{
    Ask, AskOrigin, Outcome, Simulator,
    entries::{key, put_together},
    origin::ask_origin,
    outcome::{client, served, timeout},
};

impl Simulator {
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

    pub(super) fn validate(
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

    pub(super) fn complete(
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
            return Outcome {
                how: "partial unreachable".to_owned(),
                status: StatusCode::BAD_GATEWAY,
                ..Outcome::default()
            };
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
}
