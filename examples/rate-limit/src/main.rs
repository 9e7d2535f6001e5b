//! An axum server with four rate limits.
//!
//! ```text
//! cargo run -p rate-limit
//! curl -i http://127.0.0.1:3000/                                       # 5 a second by address, 10 at once
//! curl -i http://127.0.0.1:3000/report -H 'authorization: Bearer me'   # and 2 a minute by API key,
//! curl -i http://127.0.0.1:3000/report -H 'authorization: Bearer gold' # or what its tier is worth
//! curl -i http://127.0.0.1:3000/login -d alice:wonderland              # as often as you like, while you know it
//! curl -i http://127.0.0.1:3000/login -d alice:looking-glass           # 5 guesses in 15 minutes
//! ```
//!
//! Another address to listen on can be given: `cargo run -p rate-limit 127.0.0.1:0`.

use std::{collections::HashMap, error::Error, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use buttress::{ClientIp, ConfigError, Head, Policy, Quota, RateLimitLayer, keys};
use tokio::{net::TcpListener, sync::RwLock};

fn app(tiers: Tiers) -> Result<Router, ConfigError> {
    // Outermost: what each address may do, on every route, before anything else is looked at.
    let per_ip = Policy::new("per-ip", Quota::per_second(5).burst(10)).key(ClientIp::peer());

    // One route is dear: by API key, which may have a tier, and at most so many for all of them together.
    // A request is charged to both or to none.
    let per_key = Policy::new("per-key", "2/min")
        .key(keys::BearerToken)
        .quota_by_lookup(move |head: &Head| tiers.clone().quota_of(token(head)));
    let everybody = Policy::new("everybody", "100/min");
    let reports = RateLimitLayer::http(per_key).policy(everybody).build()?;

    // A login is charged before its password is looked at, so that guesses made at the same time do not slip
    // through together, and given back if the password was right.
    let failed = Policy::new("failed-logins", "5/15min").key(ClientIp::peer());
    let logins = RateLimitLayer::http(failed)
        .settle_by_response("failed-logins", |response| {
            response.status.is_success().then_some(0)
        })
        .build()?;

    Ok(Router::new()
        .route("/report", get(report).route_layer(reports))
        .route("/login", post(login).route_layer(logins))
        .route("/", get(|| async { "hello\n" }))
        .layer(RateLimitLayer::http(per_ip).build()?))
}

/// The tiers of API keys, as a database would know them.
#[derive(Clone)]
struct Tiers(Arc<RwLock<HashMap<String, Quota>>>);

impl Tiers {
    fn read() -> Result<Self, ConfigError> {
        let gold = Quota::per_minute(6).build()?;
        let rows = HashMap::from([("gold".to_owned(), gold)]);
        Ok(Self(Arc::new(RwLock::new(rows))))
    }

    /// `None`, for a key that has no tier, leaves it at the policy's own quota.
    async fn quota_of(self, key: Option<String>) -> Option<Quota> {
        self.0.read().await.get(&key?).copied()
    }
}

fn token(head: &Head) -> Option<String> {
    // As the key is read: also of `bearer`, in lower case.
    let token = keys::BearerToken::of(head).ok()?;
    token.expose_str().map(str::to_owned)
}

async fn report() -> Json<[u32; 3]> {
    Json([3, 1, 4])
}

async fn login(credentials: String) -> (StatusCode, &'static str) {
    if credentials == "alice:wonderland" {
        (StatusCode::OK, "welcome\n")
    } else {
        (StatusCode::UNAUTHORIZED, "wrong\n")
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // With connect info, or the limiter would not know whom it talks to.
    let service = app(Tiers::read()?)?.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}
