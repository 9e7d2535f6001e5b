use buttress_core::BoxFuture;

use crate::{
    Permit, Refusal, Refuse, held::Held, limits::Limits, lookup::Lookup, ruling::Ruling,
    store::Answer, turn::Turn,
};

/// What to do with a request, once it was ruled on.
pub(crate) enum Step<Pass, Out> {
    /// It may pass.
    Call(Pass, Option<Permit>),
    /// It may not.
    Refuse(Out),
    /// Its quotas are not known yet; nothing was charged.
    LookUp(Lookup),
    /// The store has to be waited for.
    Ask(BoxFuture<'static, Answer>, Held),
    /// It may pass when its turn comes.
    Wait(Pass, Option<Permit>, Turn, Held),
}

impl<Pass, Rsp, E> Step<Pass, Result<Rsp, E>> {
    /// What a ruling on `from` comes to.
    #[inline]
    pub(crate) fn of<T, R, InnerRsp, InnerE>(
        ruling: Ruling<'_>,
        limits: &Limits<T>,
        refuse: &R,
        from: &T,
    ) -> Self
    where
        T: ?Sized + 'static,
        R: Refuse<T, InnerRsp, InnerE, Pass = Pass, Response = Rsp, Error = E>,
    {
        match ruling {
            Ruling::Admitted(standing) => {
                limits.shadow(from);
                let permit = limits.permit(&standing, refuse.settles());
                let pass = refuse.pass(Some(&standing), permit.as_ref());
                match limits.turn(&standing) {
                    None => Self::Call(pass, permit),
                    Some(turn) => Self::Wait(pass, permit, turn, limits.held(&standing)),
                }
            }
            Ruling::Allowed => Self::Call(refuse.pass(None, None), limits.permit_of_nothing()),
            Ruling::Exempt => {
                limits.shadow(from);
                Self::Call(refuse.pass(None, None), limits.permit_of_nothing())
            }
            Ruling::Refused { by, standing } => {
                Self::Refuse(refuse.refuse(from, &Refusal::over_limit(by, standing)))
            }
            Ruling::NoKey { by, missing } => {
                Self::Refuse(refuse.refuse(from, &Refusal::no_key(limits.all(), by, &missing)))
            }
            Ruling::Denied => Self::Refuse(refuse.refuse(from, &Refusal::denied())),
            Ruling::LookUp(lookup) => Self::LookUp(lookup),
            Ruling::Later { answer, held } => Self::Ask(answer, held),
        }
    }
}
