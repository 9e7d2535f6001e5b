use std::sync::Arc;

use buttress_core::Tick;

use crate::{
    books::Books,
    ruling::Ruling,
    standing::Asked,
    store::{Answer, signed},
};

/// Charges of a request whose inner service was not called yet. Dropped, they are given back, unless
/// they were [spent](Self::spend) or never made.
pub(crate) struct Held {
    books: Arc<Books>,
    asked: Vec<Asked>,
    /// When the store was asked.
    at: Tick,
    made: bool,
}

impl Held {
    #[cold]
    pub(crate) fn of(books: &Arc<Books>, asked: &[Asked], at: Tick) -> Self {
        Self {
            books: Arc::clone(books),
            asked: asked.to_vec(),
            at,
            made: false,
        }
    }

    /// What is asked was charged.
    pub(crate) fn hold(&mut self) {
        self.made = true;
    }

    /// The quotas were looked up.
    pub(crate) fn found(&mut self, asked: Vec<Asked>) {
        self.at = self.books.now();
        self.asked = asked;
    }

    /// The store has answered: rules, and from now on holds what was charged.
    pub(crate) fn settle<O>(&mut self, answer: &Answer, then: impl FnOnce(Ruling<'_>) -> O) -> O {
        self.made = answer.refused_by.is_none();
        self.books.report(
            self.at,
            &self.asked,
            &answer.decisions,
            answer.refused_by,
            then,
        )
    }

    /// The inner service is called: the charges are what it costs.
    pub(crate) fn spend(&mut self) {
        self.made = false;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.made {
            for asked in &self.asked {
                self.books.settle(self.at, asked, -signed(asked.cost));
            }
        }
    }
}
