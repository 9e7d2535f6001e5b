use std::time::Duration;

use buttress_core::Random;

use super::{Terms, wait::Wait};

/// Whether a call may go to an upstream that asked to be left alone for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Wait(Duration),
    Refuse,
}

/// `waited` is for how long the call has stood there already.
pub(crate) fn gate(
    terms: &Terms,
    parked: Duration,
    waited: Duration,
    left: Duration,
    random: &Random,
) -> Gate {
    if waited.saturating_add(parked) > terms.max_wait || parked >= left {
        return Gate::Refuse;
    }
    Gate::Wait(Wait::told(parked, terms.spread).draw(left, random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::terms::TERMS;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn who_comes_to_a_parked_upstream_waits_or_goes() {
        let gate = |parked, waited, left| gate(&TERMS, parked, waited, left, &Random::seeded(1));
        let Gate::Wait(wait) = gate(4 * S, S, 10 * S) else {
            panic!("refused")
        };
        assert!((4 * S..=5 * S).contains(&wait));
        // As long as may be waited, standing there included.
        for (parked, waited) in [(60 * S, Duration::ZERO), (59 * S, S)] {
            let gate = gate(parked, waited, Duration::MAX);
            assert!(
                matches!(gate, Gate::Wait(wait) if wait >= parked),
                "{gate:?}"
            );
        }
        assert_eq!(gate(4 * S, S, 4 * S), Gate::Refuse);
        assert_eq!(gate(60 * S, S, Duration::MAX), Gate::Refuse);
        assert_eq!(gate(61 * S, Duration::ZERO, Duration::MAX), Gate::Refuse);
    }
}
