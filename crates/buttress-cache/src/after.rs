//! What is done with the answer to a request that went straight to the inner service.

mod heeding;
mod unheard;
mod watching;

use http::Response;
use http_body::Body;

use self::unheard::Unheard;
pub(crate) use self::{heeding::Heeding, watching::Watching};
use crate::{CacheBody, upstream::Payload};

/// What is done with an answer; boxed, so that hits stay small.
#[derive(Debug)]
pub(crate) enum After {
    /// It may outdate what is stored, and is never stored itself.
    Heed(Box<Heeding>),
    /// It may be stored, or tell of what is.
    Watch(Box<Watching>),
}

impl After {
    pub(crate) fn finish<B: Payload>(mut self, response: Response<B>) -> Response<CacheBody<B>> {
        if let Some(unheard) = self.unheard().take() {
            unheard.answered(&response);
        }
        if response.status().is_informational() {
            // Nothing but 101 comes this way: the connection leaves HTTP.
            return response.map(CacheBody::inner);
        }
        match self {
            Self::Heed(heeding) => heeding.finish(response),
            Self::Watch(watching) => watching.finish(response),
        }
    }

    /// What is answered where the origin gave no answer; `None`: that it gave none.
    pub(crate) fn unreachable<B: Body>(self) -> Option<Response<CacheBody<B>>> {
        match self {
            Self::Heed(_) => None,
            Self::Watch(watching) => watching.unreachable(),
        }
    }

    fn unheard(&mut self) -> &mut Option<Unheard> {
        match self {
            Self::Heed(heeding) => &mut heeding.unheard,
            Self::Watch(watching) => &mut watching.unheard,
        }
    }
}
