use super::limit::LimitInfo;

/// The limits that a response tells of, as far as they are worth keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits(Vec<LimitInfo>);

impl Limits {
    /// No service has more; the rest is noise.
    const MOST: usize = 16;

    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Keeps a limit that says anything, and is not one too many.
    pub(super) fn push(&mut self, limit: LimitInfo) {
        if self.0.len() < Self::MOST && limit.is_told() {
            self.0.push(limit);
        }
    }

    pub(super) fn as_slice(&self) -> &[LimitInfo] {
        &self.0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LimitInfo> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut LimitInfo> {
        self.0.iter_mut()
    }
}
