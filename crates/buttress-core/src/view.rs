/// What is read of a request: a part of it that keys, costs and quotas can be taken from.
///
/// Any type is a view of itself, so a layer over `Request = MyCommand` reads `MyCommand`. HTTP requests
/// are read through `buttress_http::Head`, whatever their body is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a view of the request type `{Req}`",
    label = "this layer reads `{Self}`, the service takes `{Req}`",
    note = "for HTTP use the `http(..)` constructor and an `http::Request<_>`",
    note = "for any other request type `T` use the `typed(..)` constructor, whose keys are read from `&T`"
)]
pub trait View<Req>: Sized {
    /// Lends the view to `read`, and gives the request back unchanged.
    fn view<O>(request: Req, read: impl FnOnce(&Self) -> O) -> (Req, O);

    /// Attaches `value` for whoever handles the request further in, where the request has room for
    /// such things; otherwise drops it.
    fn attach<X: Clone + Send + Sync + 'static>(request: &mut Req, value: X) {
        let _ = (request, value);
    }
}

impl<T> View<T> for T {
    #[inline]
    fn view<O>(request: T, read: impl FnOnce(&Self) -> O) -> (T, O) {
        let out = read(&request);
        (request, out)
    }
}
