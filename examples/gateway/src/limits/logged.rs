use buttress_core::Observer;
use buttress_rate_limit::Event;

use super::PER_IP;

/// Writes what the limits decide to the log; but that a request has no API key, or is on no route that has a limit.
///
/// A client without an address is a mistake in the deployment, of which the log tells. Callers without a key are an everyday
/// affair, and what becomes of them stands in the file: `limits.per_key.missing`. So are requests elsewhere.
#[derive(Debug)]
pub(super) struct Logged<O>(pub(super) O);

impl<O: for<'a> Observer<Event<'a>>> Observer<Event<'_>> for Logged<O> {
    fn observe(&self, event: &Event<'_>) {
        let everyday = matches!(event, Event::MissingKey { limit, .. } if *limit != PER_IP);
        if !everyday {
            self.0.observe(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use buttress_core::MissingKey;
    use buttress_http::Head;
    use buttress_rate_limit::{OnMissingKey, Policy, RateLimitLayer};
    use tower::{ServiceExt as _, service_fn};
    use tower_layer::Layer as _;

    use super::{
        super::{PER_KEY, PER_ROUTE, PER_ROUTE_SHADOW},
        *,
    };

    #[tokio::test]
    async fn only_who_has_no_address_is_a_mistake() {
        let told = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&told);
        let log = move |event: &Event<'_>| {
            if let Event::MissingKey { limit, .. } = event {
                log.lock().unwrap().push((*limit).to_owned());
            }
        };
        let nobodys = |name| {
            let none =
                |_: &Head, _: &mut buttress_core::KeyWriter<'_>| Err(MissingKey::new("none"));
            Policy::new(name, "1/h")
                .key(none)
                .missing_key(OnMissingKey::Exempt)
        };
        let limit = RateLimitLayer::http(nobodys(PER_IP))
            .policy(nobodys(PER_KEY))
            .policy(nobodys(PER_ROUTE))
            .policy(nobodys(PER_ROUTE_SHADOW))
            .observer(Logged(log))
            .build()
            .unwrap();
        let service = limit.layer(service_fn(|_: http::Request<String>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
        }));
        service
            .oneshot(http::Request::new(String::new()))
            .await
            .unwrap();
        assert_eq!(*told.lock().unwrap(), [PER_IP]);
    }
}
