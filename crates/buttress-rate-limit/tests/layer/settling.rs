//! Rules that say what a request truly cost: by its answer, or by what a layer further in has refused.

use std::{convert::Infallible, net::Ipv4Addr, sync::Arc};

use buttress_http::{ClientIp, LocalRefusal};
use buttress_rate_limit::{CountBytes, Permit, Policy};
use http::{Request, Response, StatusCode};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Handled, clock, from_peer, http, remaining, told};

/// Reserve first, give back what succeeded: guesses that are made at the same time do not slip through.
#[tokio::test]
async fn only_failed_logins_count() {
    let layer = http(Policy::new("failed-logins", "3/h").key(ClientIp::peer()))
        .settle_by_response("failed-logins", |response| {
            response.status.is_success().then_some(0)
        })
        .clock(clock())
        .build()
        .unwrap();
    let log_in = |status: StatusCode| {
        let handler = service_fn(move |request: Request<()>| async move {
            assert!(
                request.extensions().get::<Permit>().is_none(),
                "nobody asked for permits"
            );
            let mut response = Response::new(String::new());
            *response.status_mut() = status;
            Handled::Ok(response)
        });
        let call = layer.layer(handler).oneshot(from_peer(Ipv4Addr::LOCALHOST));
        async { call.await.unwrap().status().as_u16() }
    };
    for _ in 0..10 {
        assert_eq!(log_in(StatusCode::OK).await, 200);
    }
    for _ in 0..3 {
        assert_eq!(log_in(StatusCode::UNAUTHORIZED).await, 401);
    }
    assert_eq!(log_in(StatusCode::OK).await, 429);
}

#[tokio::test]
async fn guesses_at_the_same_time_do_not_slip_through() {
    let layer = http(Policy::new("failed-logins", "3/h").key(ClientIp::peer()))
        .settle_by_response("failed-logins", |response| {
            response.status.is_success().then_some(0)
        })
        .clock(clock())
        .build()
        .unwrap();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let handler = {
        let gate = Arc::clone(&gate);
        service_fn(move |_: Request<()>| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                let mut response = Response::new(String::new());
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                Handled::Ok(response)
            }
        })
    };
    let guesses: Vec<_> = (0..10)
        .map(|_| {
            tokio::spawn(
                layer
                    .layer(handler.clone())
                    .oneshot(from_peer(Ipv4Addr::LOCALHOST)),
            )
        })
        .collect();
    tokio::task::yield_now().await;
    gate.add_permits(10);
    let mut checked = 0;
    for guess in guesses {
        checked += u32::from(guess.await.unwrap().unwrap().status() == 401);
    }
    assert_eq!(checked, 3);
}

/// An open circuit behind the limit answers with a 503 that was never sent; an upstream's 503 was.
#[tokio::test]
async fn what_a_layer_further_in_refused_is_given_back() {
    for (local, admitted) in [(true, 9), (false, 2)] {
        let layer = http(Policy::new("a", "2/h"))
            .policy(Policy::new("b", "5/h").cost(|_| 2))
            .refund_local_refusals()
            // Of what is given back it hears nothing; of the others it is the word that counts.
            .settle_by_response("b", |_| Some(1))
            .clock(clock())
            .build()
            .unwrap();
        let refusing = service_fn(move |_: Request<()>| async move {
            let mut response = Response::new(String::new());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            if local {
                LocalRefusal::new(None).mark(&mut response);
            }
            Ok::<_, Infallible>(response)
        });
        let mut statuses = Vec::new();
        for _ in 0..9 {
            let request = Request::new(());
            let answer = layer.layer(refusing).oneshot(request).await.unwrap();
            statuses.push(answer.status().as_u16());
        }
        let passed = statuses.iter().filter(|&&status| status == 503).count();
        assert_eq!(passed, admitted, "{statuses:?}");
    }
}

/// A rule that reads the head speaks before a meter, in whatever order they were given.
#[tokio::test]
async fn the_head_speaks_before_the_body() {
    let layer = http(Policy::new("all", "9/h").cost(|_| 2))
        .settle_by_body("all", |_| Some(CountBytes::default()))
        .settle_by_response("all", |_| Some(5))
        .clock(clock())
        .build()
        .unwrap();
    let handler =
        service_fn(|_: Request<()>| async { Handled::Ok(Response::new("123".to_owned())) });
    // Five, and two for who asks.
    assert_eq!(remaining(&layer, handler).await, 2);
}

/// What was called is spent: an error says nothing of what it has cost.
#[tokio::test]
async fn an_error_of_the_service_leaves_the_charge() {
    let layer = http(Policy::new("all", "9/h").cost(|_| 2))
        .settle_by_response("all", |_| Some(0))
        .clock(clock())
        .build()
        .unwrap();
    let fails = service_fn(|_: Request<()>| async { Err::<Response<String>, _>("on fire") });
    let failed = layer.layer(fails).oneshot(Request::new(())).await;
    assert_eq!(failed.unwrap_err(), "on fire");
    let told = told(&layer).await;
    assert!(told.starts_with(r#""all";r=5;"#), "{told}");
}

#[test]
fn a_rule_for_a_policy_that_is_not_there_is_an_error() {
    let layer = http(Policy::new("a", "1/s")).settle_by_response("b", |_| None);
    assert_eq!(layer.build().unwrap_err().field(), "settle.policy");
}
