use crate::{Decision, Limit, Overflow, Quota};

/// What a key is answered for which there is no place, where one never seen would be answered `unseen`; `None` where
/// the bucket decides that all of them share.
pub(super) fn unplaced(
    limit: &Limit,
    quota: &Quota,
    unseen: impl FnOnce() -> Decision,
) -> Option<Decision> {
    match limit.overflow() {
        Overflow::Share => None,
        Overflow::Admit => Some(unseen().let_pass()),
        Overflow::Refuse => Some(unseen().held_back(quota.interval())),
    }
}
