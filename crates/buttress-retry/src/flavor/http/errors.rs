use crate::Judgment;

/// Understands the errors of a service. A closure over `&E` is a classifier.
///
/// With the feature `hyper` there is `HyperErrors`, for hyper's own and whatever has one of them as a source.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not understand errors of type `{E}`",
    note = "a classifier of errors is a closure `Fn(&{E}) -> Judgment`, or a type that implements `ClassifyError<{E}>`"
)]
pub trait ClassifyError<E> {
    /// What the error means for a further attempt.
    fn classify_error(&self, error: &E) -> Judgment;
}

impl<E, F> ClassifyError<E> for F
where
    F: Fn(&E) -> Judgment,
{
    fn classify_error(&self, error: &E) -> Judgment {
        self(error)
    }
}

/// Any error may have struck when all was done, and may not strike again: [`Judgment::Transient`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyError;

impl<E> ClassifyError<E> for AnyError {
    fn classify_error(&self, _error: &E) -> Judgment {
        Judgment::TRANSIENT
    }
}
