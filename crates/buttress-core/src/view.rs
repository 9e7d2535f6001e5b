use std::net::SocketAddr;

/// What is read of a request: the part of it that keys, costs and quotas are taken from.
///
/// The view is borrowed from the request where it lies, so reading it moves nothing. Any type is a view of
/// itself: a layer over `Request = MyCommand` reads `MyCommand`. HTTP requests are read as
/// `buttress_http::Head`, whatever their body is.
#[diagnostic::on_unimplemented(
    message = "a request of type `{Req}` cannot be read as `{Self}`",
    label = "this layer reads `{Self}`, the service takes `{Req}`",
    note = "for HTTP use the `http(..)` constructor and an `http::Request<_>`",
    note = "for any other request type `T` use the `typed(..)` constructor, whose keys are read from `&T`"
)]
pub trait View<Req> {
    /// The view of `request`.
    fn of(request: &Req) -> &Self;

    /// The address at the other end of the connection that `request` came in on, where the request says so.
    ///
    /// The view tells it, too. But whoever is lent a view may keep where it lies, as far as a compiler knows, and
    /// then a request is copied in order to be handed on; what is read here, it can see through. `None`
    /// says nothing: the view is asked then.
    #[inline]
    fn peer(request: &Req) -> Option<SocketAddr> {
        let _ = request;
        None
    }

    /// Attaches `value` for whoever handles the request further in, where the request has room for
    /// such things; otherwise drops it.
    fn attach<X: Clone + Send + Sync + 'static>(request: &mut Req, value: X) {
        let _ = (request, value);
    }
}

impl<T> View<T> for T {
    #[inline]
    fn of(request: &T) -> &T {
        request
    }
}
