use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use buttress_core::{View, readiness};
use buttress_http::Head;
use tower_service::Service;

use crate::{
    AsResponse, Refuse, Standing,
    future::{LookingUp, ResponseFuture, Slow},
    limits::{Decided, Limits, Plain},
    ruling::Ruling,
    step::Step,
};

/// The service that [`RateLimitLayer`](crate::RateLimitLayer) makes, see the [crate's front page](crate).
pub struct RateLimit<S, T: ?Sized = Head, R = AsResponse> {
    inner: S,
    limits: Arc<Limits<T>>,
    refuse: R,
}

impl<S, T: ?Sized, R> RateLimit<S, T, R> {
    pub(crate) fn around(inner: S, limits: Arc<Limits<T>>, refuse: R) -> Self {
        Self {
            inner,
            limits,
            refuse,
        }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req, T, R> Service<Req> for RateLimit<S, T, R>
where
    S: Service<Req> + Clone,
    T: View<Req> + ?Sized + 'static,
    R: Refuse<T, S::Response, S::Error>,
{
    type Response = R::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S, Req, T, R>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        self.inner.poll_ready(cx).map_err(R::error)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let Self {
            inner,
            limits,
            refuse,
        } = self;
        if refuse.settles() {
            return otherwise(inner, limits, refuse, request, None);
        }
        // Nothing that looks at the request may be lent it here, where the compiler does not see what it does with
        // it: whoever owns what somebody else may point to has to copy it in order to hand it on.
        let Some(key) = limits.key_of_peer(|| T::peer(&request)) else {
            return read(inner, limits, refuse, request);
        };
        let mut decided = Decided::nothing();
        let Some(plain) = limits.decide(key, &mut decided) else {
            return otherwise(inner, limits, refuse, request, None);
        };
        if plain.is_admitted_at_once(&decided) {
            let pass = pass(refuse, &plain, &decided);
            return ResponseFuture::calling(inner.call(request), pass);
        }
        plain.stand(&decided, |standing, by| {
            otherwise(inner, limits, refuse, request, Some((*standing, by)))
        })
    }
}

/// The usual case, with keys and costs that are read of the request.
#[inline(never)]
fn read<S, Req, T, R>(
    inner: &mut S,
    limits: &Arc<Limits<T>>,
    refuse: &R,
    request: Req,
) -> ResponseFuture<S, Req, T, R>
where
    S: Service<Req> + Clone,
    T: View<Req> + ?Sized + 'static,
    R: Refuse<T, S::Response, S::Error>,
{
    let mut decided = Decided::nothing();
    let Some(plain) = limits.decide_on(T::of(&request), &mut decided) else {
        return otherwise(inner, limits, refuse, request, None);
    };
    if plain.is_admitted_at_once(&decided) {
        let pass = pass(refuse, &plain, &decided);
        return ResponseFuture::calling(inner.call(request), pass);
    }
    plain.stand(&decided, |standing, by| {
        otherwise(inner, limits, refuse, request, Some((*standing, by)))
    })
}

#[inline(always)]
fn pass<T: ?Sized, R, Rsp, E>(refuse: &R, plain: &Plain<'_>, decided: &Decided) -> R::Pass
where
    R: Refuse<T, Rsp, E>,
{
    if refuse.tells() {
        plain.stand(decided, |standing, _| refuse.pass(Some(standing), None))
    } else {
        refuse.pass(None, None)
    }
}

/// All but the usual case, and out of its way: what is passed on here is moved through memory.
#[inline(never)]
fn otherwise<S, Req, T, R>(
    inner: &mut S,
    limits: &Arc<Limits<T>>,
    refuse: &R,
    mut request: Req,
    decided: Option<(Standing<'_>, usize)>,
) -> ResponseFuture<S, Req, T, R>
where
    S: Service<Req> + Clone,
    T: View<Req> + ?Sized + 'static,
    R: Refuse<T, S::Response, S::Error>,
{
    let from = T::of(&request);
    let ruled = |ruling: Ruling<'_>| Step::of(ruling, limits, refuse, from);
    let step = match decided {
        Some((standing, _)) if standing.is_admitted() => ruled(Ruling::Admitted(standing)),
        Some((standing, by)) => ruled(Ruling::Refused { by, standing }),
        None => limits.rule(from, ruled),
    };
    match step {
        Step::Call(pass, permit) => {
            if let Some(permit) = permit {
                limits.attach(&mut request, permit);
            }
            ResponseFuture::calling(inner.call(request), pass)
        }
        Step::Refuse(out) => {
            readiness::release(inner);
            ResponseFuture::answered(out)
        }
        // Who has to wait holds nothing that others could use meanwhile.
        Step::LookUp(lookup) => {
            readiness::release(inner);
            ResponseFuture::looking_up(LookingUp {
                lookup,
                limits: Arc::clone(limits),
                service: inner.clone(),
                request,
                refuse: refuse.clone(),
            })
        }
        Step::Ask(answer, held) => {
            readiness::release(inner);
            let (limits, refuse) = (Arc::clone(limits), refuse.clone());
            let slow = Slow::asking(answer, held, limits, inner.clone(), request, refuse);
            ResponseFuture::slow(slow)
        }
        Step::Wait(pass, permit, turn, held) => {
            readiness::release(inner);
            if let Some(permit) = permit {
                limits.attach(&mut request, permit);
            }
            let (limits, refuse) = (Arc::clone(limits), refuse.clone());
            let turn = Some(turn);
            let slow = Slow::waiting(turn, pass, held, limits, inner.clone(), request, refuse);
            ResponseFuture::slow(slow)
        }
    }
}

impl<S: Clone, T: ?Sized, R: Clone> Clone for RateLimit<S, T, R> {
    // Derived, it would ask for `T: Clone`, of which there is none in here.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            limits: Arc::clone(&self.limits),
            refuse: self.refuse.clone(),
        }
    }
}

impl<S: fmt::Debug, T: ?Sized, R> fmt::Debug for RateLimit<S, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
