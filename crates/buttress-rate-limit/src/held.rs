use std::sync::Arc;

use buttress_core::Tick;

use crate::{
    books::Books,
    standing::{Asked, Standing},
    store::{Answer, signed},
};

/// Charges of a request whose inner service was not called yet. Dropped, they are given back, unless
/// they were [spent](Self::spend) or never made.
pub(crate) struct Held<A: AsRef<[Asked]> = Box<[Asked]>> {
    books: Arc<Books>,
    asked: A,
    /// When the store was asked.
    at: Tick,
    made: bool,
}

impl<A: AsRef<[Asked]>> Held<A> {
    #[cold]
    pub(crate) fn of(books: &Arc<Books>, asked: A, at: Tick) -> Self {
        Self {
            books: Arc::clone(books),
            asked,
            at,
            made: false,
        }
    }

    /// What is asked was charged.
    pub(crate) fn hold(mut self) -> Self {
        self.made = true;
        self
    }

    /// The same, for longer than what is asked is lent.
    #[cold]
    pub(crate) fn for_longer(mut self) -> Held {
        let held = Held {
            books: Arc::clone(&self.books),
            asked: self.asked.as_ref().into(),
            at: self.at,
            made: self.made,
        };
        self.made = false;
        held
    }

    /// The store has answered: hands on how the policies stand and which one refused, and from now on holds what was
    /// charged.
    pub(crate) fn settle<O>(
        &mut self,
        answer: &Answer,
        then: impl FnOnce(Standing<'_>, Option<usize>) -> O,
    ) -> O {
        self.made = answer.refused_by.is_none();
        self.books.report(
            self.at,
            self.asked.as_ref(),
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

impl<A: AsRef<[Asked]>> Drop for Held<A> {
    fn drop(&mut self) {
        if self.made {
            for asked in self.asked.as_ref() {
                self.books.settle(self.at, asked, -signed(asked.cost));
            }
        }
    }
}
