//! A quota that is looked up: the user's future, and what is asked for its request meanwhile, in one box.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{Quota, limits::MAX_POLICIES, standing::Asked};

/// Starts looking up the quota of a policy: that of the given place among what is asked.
pub(crate) trait LookUp<T: ?Sized>: Send + Sync {
    fn start(&self, from: &T, asked: &[Asked], place: usize) -> Lookup;
}

impl<T: ?Sized, L, F> LookUp<T> for L
where
    L: Fn(&T) -> F + Send + Sync,
    F: Future<Output = Option<Quota>> + Send + 'static,
{
    fn start(&self, from: &T, asked: &[Asked], place: usize) -> Lookup {
        Lookup {
            found: Box::pin(Finding {
                future: self(from),
                asked: AllAsked::of(asked),
            }),
            place,
        }
    }
}

/// A quota that is being looked up.
pub(crate) struct Lookup {
    found: Pin<Box<dyn Found>>,
    /// Whose quota it is, of what is asked.
    place: usize,
}

impl Lookup {
    /// The quota; `None` where it is the policy's own. Not to be polled again then.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Quota>> {
        self.found.as_mut().poll_quota(cx)
    }

    /// What is asked of the policies that apply.
    pub(crate) fn asked(&mut self) -> &mut [Asked] {
        self.found.as_mut().asked()
    }

    pub(crate) const fn place(&self) -> usize {
        self.place
    }
}

/// [`Finding`], of whichever future.
trait Found: Send {
    fn poll_quota(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Quota>>;
    fn asked(self: Pin<&mut Self>) -> &mut [Asked];
}

pin_project! {
    struct Finding<F> {
        asked: AllAsked,
        #[pin]
        future: F,
    }
}

impl<F: Future<Output = Option<Quota>> + Send> Found for Finding<F> {
    fn poll_quota(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Quota>> {
        self.project().future.poll(cx)
    }

    fn asked(self: Pin<&mut Self>) -> &mut [Asked] {
        self.project().asked.as_mut_slice()
    }
}

/// What is asked for one request, of as many policies as a layer may have.
struct AllAsked {
    all: [Asked; MAX_POLICIES],
    count: usize,
}

impl AllAsked {
    fn of(asked: &[Asked]) -> Self {
        let mut all = [Asked::NOTHING; MAX_POLICIES];
        for (place, asked) in all.iter_mut().zip(asked) {
            *place = *asked;
        }
        Self {
            all,
            count: asked.len(),
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Asked] {
        self.all.get_mut(..self.count).unwrap_or_default()
    }
}
