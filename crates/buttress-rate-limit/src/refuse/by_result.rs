use std::{fmt, sync::Arc};

use buttress_core::ConfigError;

use super::{AsError, Error, Refusal, Refuse, Settlement};
use crate::{Limit, Permit, Standing};

/// A refusal is an [`Error`], as [`AsError`] has it; and what was charged is
/// [settled by what the service answered](crate::RateLimitLayerBuilder::settle_by_result).
pub struct SettleByResult<Rsp, E> {
    rules: Rules<Rsp, E>,
}

/// What settles a policy.
pub(super) type Rule<Rsp, E> = Box<dyn Fn(Result<&Rsp, &E>) -> Option<u64> + Send + Sync>;

/// Rules, and the places of their policies.
type Rules<Rsp, E> = Arc<[(usize, Rule<Rsp, E>)]>;

pub(crate) fn by_result<Rsp, E>(
    policy: &str,
    rule: impl Fn(Result<&Rsp, &E>) -> Option<u64> + Send + Sync + 'static,
) -> Settlement<Rule<Rsp, E>> {
    Settlement::of(policy, Box::new(rule))
}

impl<Rsp, E> SettleByResult<Rsp, E> {
    pub(crate) fn build(
        settlements: Vec<Settlement<Rule<Rsp, E>>>,
        limits: &[Arc<Limit>],
    ) -> Result<Self, ConfigError> {
        let rules = settlements.into_iter().map(|rule| rule.place(limits));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }
}

/// What is remembered of an admission until the service has answered: charges to settle, where there are any.
pub struct Charged<Rsp, E>(Option<(Permit, Rules<Rsp, E>)>);

impl<T: ?Sized, Rsp, E> Refuse<T, Rsp, E> for SettleByResult<Rsp, E> {
    type Response = Rsp;
    type Error = Error<E>;
    type Pass = Charged<Rsp, E>;

    fn pass(&self, _: Option<&Standing<'_>>, permit: Option<&Permit>) -> Charged<Rsp, E> {
        Charged(permit.map(|permit| (permit.clone(), Arc::clone(&self.rules))))
    }

    fn tells(&self) -> bool {
        false
    }

    fn settles(&self) -> bool {
        true
    }

    fn forward(result: Result<Rsp, E>) -> Result<Rsp, Error<E>> {
        result.map_err(Error::Inner)
    }

    fn remembers(charged: &Charged<Rsp, E>) -> bool {
        charged.0.is_some()
    }

    fn finish(charged: Charged<Rsp, E>, result: &mut Result<Rsp, Error<E>>) {
        let answered = match result {
            Ok(response) => Ok(&*response),
            Err(Error::Inner(error)) => Err(&*error),
            // Refused, and so not answered.
            Err(_) => return,
        };
        let Charged(Some((permit, rules))) = charged else {
            return;
        };
        for (ordinal, rule) in &*rules {
            if let Some(actual) = rule(answered) {
                permit.settle_at(*ordinal, actual);
            }
        }
    }

    fn refuse(&self, from: &T, refusal: &Refusal<'_>) -> Result<Rsp, Error<E>> {
        AsError.refuse(from, refusal)
    }

    fn error(error: E) -> Error<E> {
        Error::Inner(error)
    }
}

impl<Rsp, E> Clone for SettleByResult<Rsp, E> {
    // Derived, it would ask for `Rsp: Clone` and `E: Clone`, of which there are none in here.
    fn clone(&self) -> Self {
        Self {
            rules: Arc::clone(&self.rules),
        }
    }
}

impl<Rsp, E> fmt::Debug for SettleByResult<Rsp, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettleByResult")
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

impl<Rsp, E> fmt::Debug for Charged<Rsp, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charged").finish_non_exhaustive()
    }
}
