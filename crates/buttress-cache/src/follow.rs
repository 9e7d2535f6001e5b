use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use http::{HeaderMap, Request, Response};
use http_body::Body;

use crate::{
    CacheBody, CacheService, Event,
    decide::Keys,
    fetch::Plan,
    flight::Heard,
    news::{News, Seat},
    rfc9111::{
        self, Answer, CacheStatus, RequestHead, Reuse, Selection, Times, Unreachable, Validated,
    },
    shared::Shared,
    store,
    upstream::{Payload, Upstream},
};

impl<S> CacheService<S> {
    /// Waits for somebody else's fetch and, where that is of no use, asks the origin.
    pub(crate) async fn follow<A, B>(
        mut self,
        request: Request<A>,
        keys: Keys,
        plan: Plan,
        seat: Seat,
    ) -> Result<Response<CacheBody<B>>, S::Error>
    where
        S: Upstream<A, B>,
        A: Send + 'static,
        B: Payload,
    {
        let mut enough = self.shared.timer.sleep(self.shared.settings.collapse_wait);
        let heard = poll_fn(|cx| match seat.poll_head(cx) {
            Poll::Ready(heard) => Poll::Ready(heard),
            Poll::Pending => Pin::new(&mut enough).poll(cx).map(|()| Heard::GoOn),
        })
        .await;
        match heard {
            Heard::News(news) => {
                let head = RequestHead::new(request.method(), request.headers());
                if let Some(response) = self.shared.take_part(&head, &news, &plan, seat) {
                    self.shared.tell(&Event::Collapsed);
                    return Ok(response);
                }
            }
            // Kept, it would be one more reader to wait for, who never reads.
            Heard::GoOn => drop(seat),
        }
        // Whose fetch it was, or somebody else, may have stored something meanwhile.
        if let store::Answer::Now(variants) = self.shared.store.get(keys.key)
            && let Some(response) = self.shared.at_once(&request, &variants)
        {
            return Ok(response);
        }
        self.shared.tell(&Event::NotCollapsed);
        poll_fn(|cx| self.inner().poll_ready(cx)).await?;
        let head = RequestHead::new(request.method(), request.headers());
        let flight_key = self.shared.flight_key(keys.key, &head);
        let now = self.shared.wall.now();
        let learnt = self.shared.hit_for_miss.of(flight_key, now);
        let read = head.read();
        if self.shared.passes(&head, &plan, learnt) {
            return self.pass(request, keys, read, plan.why, now).await;
        }
        // With nobody: those who waited with this one go on beside it, not behind it.
        let lead = self.shared.flights.alone();
        self.lead(request, keys, read, plan, lead).await
    }
}

impl Shared {
    /// The answer to a request that waited, if the news is one for it.
    fn take_part<B: Body>(
        &self,
        head: &RequestHead<'_>,
        news: &News,
        plan: &Plan,
        seat: Seat,
    ) -> Option<Response<CacheBody<B>>> {
        let now = self.wall.now();
        let status = CacheStatus::forward(plan.why).collapsed(true);
        let is_for = |stored| {
            let selected = rfc9111::select(head, [stored]);
            matches!(selected, Selection::Variant(_))
        };
        let is_fresh_for = |stored| {
            is_for(stored)
                && matches!(
                    rfc9111::reuse(&self.options, head, stored, now),
                    Reuse::Serve(_) | Reuse::ServeAndRevalidate
                )
        };
        match news {
            News::Coming {
                head: stored,
                length,
            } if is_fresh_for(stored) => {
                let answer = rfc9111::answer(head, stored, length.unwrap_or(0), now);
                let body = match answer {
                    Answer::Stored => CacheBody::read(seat, *length),
                    // For this the head is enough.
                    Answer::NotModified => CacheBody::empty(),
                    _ => return None,
                };
                let (code, mut headers) = rfc9111::answer_head(&answer, stored, now);
                status.append(&self.settings.name, &mut headers);
                let mut response = Response::new(body);
                *response.status_mut() = code;
                *response.headers_mut() = headers;
                Some(response)
            }
            News::Stored(entry) if is_fresh_for(entry.head()) => {
                Some(self.answer(head, entry, now, &status))
            }
            News::Failed {
                stored,
                status: failure,
            } if is_for(stored.head()) => {
                let allowed = match failure {
                    None => matches!(
                        rfc9111::unreachable(&self.options, head, stored.head(), now),
                        Unreachable::Stale
                    ),
                    Some(failure) => matches!(
                        rfc9111::validated(
                            &self.options,
                            head,
                            stored.head(),
                            *failure,
                            &HeaderMap::new(),
                            Times {
                                requested: now,
                                responded: now
                            },
                        ),
                        Validated::Stale
                    ),
                };
                allowed.then(|| {
                    self.tell(&Event::StaleOnFailure { status: *failure });
                    self.answer(head, stored, now, &status)
                })
            }
            _ => None,
        }
    }
}
