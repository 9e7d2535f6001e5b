//! What browsers ask before they ask: CORS preflights, which come without an API key.

use crate::{
    raw::{Head, RawUpstream},
    running::Running,
};

const PREFLIGHT: &str = "OPTIONS /v1/x HTTP/1.1\nHost: a\nConnection: close\nOrigin: https://app.example\n\
     Access-Control-Request-Method: POST\nAccess-Control-Request-Headers: authorization\n\n";

/// Every limit of those further in allows one request, so that of two the second tells.
const LIMITS: &str = "
    [limits.per_key]
    quota = '1/h'
    missing = 'refuse'
    [[limits.routes]]
    path = '/v1'
    quota = '1/h'
";

async fn before(upstream: &RawUpstream, limits: &str) -> Running {
    let upstream = format!("upstream = 'http://{}'\n", upstream.address());
    Running::from(&format!("{upstream}{limits}")).await
}

fn passing(limits: &str) -> String {
    format!("limits.preflight = 'pass'\n{limits}")
}

/// What came of it, and whether the upstream was asked.
async fn asked(gateway: &Running, upstream: &RawUpstream, request: &str) -> Head {
    let mut client = gateway.connect().await;
    client.send(request).await;
    tokio::select! {
        head = client.head() => head,
        mut server = upstream.accept() => {
            let head = server.head().await;
            assert!(head.all("authorization").is_empty() || !request.starts_with("OPTIONS"));
            server
                .send("HTTP/1.1 204 No Content\nAccess-Control-Allow-Origin: *\nConnection: close\n\n")
                .await;
            client.head().await
        }
    }
}

const ANSWERED: &str = "HTTP/1.1 204 No Content";
const NO_KEY: &str = "HTTP/1.1 401 Unauthorized";
const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests";

#[tokio::test]
async fn a_preflight_needs_no_key_and_costs_no_tenant_anything() {
    for missing in ["refuse", "share", "exempt"] {
        let upstream = RawUpstream::bind().await;
        let limits = LIMITS.replace("'refuse'", &format!("'{missing}'"));
        let gateway = before(&upstream, &passing(&limits)).await;
        for _ in 0..3 {
            let head = asked(&gateway, &upstream, PREFLIGHT).await;
            assert_eq!(head.first_line(), ANSWERED, "{missing}");
            assert_eq!(head.one("access-control-allow-origin"), "*");
        }
        let post = "POST /v1/x HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 0\n";
        // Each limit has all that it gives.
        let request = match missing {
            "share" => format!("{post}\n"),
            _ => format!("{post}Authorization: Bearer a\n\n"),
        };
        let head = asked(&gateway, &upstream, &request).await;
        assert_eq!(head.first_line(), ANSWERED, "{missing}");
        let head = asked(&gateway, &upstream, &request).await;
        assert_eq!(head.first_line(), TOO_MANY, "{missing}");
    }
}

#[tokio::test]
async fn an_options_that_is_no_preflight_needs_a_key() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, &passing(LIMITS)).await;
    for request in [
        PREFLIGHT.replace("OPTIONS", "POST"),
        PREFLIGHT.replace("Origin", "X-Origin"),
        PREFLIGHT.replace("Access-Control-Request-Method", "X"),
        PREFLIGHT.replace("Host: a", "Host: a\nX-HTTP-Method-Override: POST"),
        PREFLIGHT.replace("\n\n", "\nContent-Length: 1\n\nx"),
        // Whatever was said in the tunnel would have needed none.
        PREFLIGHT.replace("Connection: close", "Connection: Upgrade\nUpgrade: h2c"),
        // None would have come to the upstream.
        PREFLIGHT.replace("Connection: close", "Connection: close, origin"),
    ] {
        let head = asked(&gateway, &upstream, &request).await;
        assert_eq!(head.first_line(), NO_KEY, "{request}");
    }
}

/// Anybody can write one, so what protects all holds for them.
#[tokio::test]
async fn a_preflight_counts_at_the_door_and_for_all() {
    for (limit, name) in [("limits.per_ip", "per-ip"), ("limits.global", "global")] {
        let upstream = RawUpstream::bind().await;
        let gateway = before(
            &upstream,
            &passing(&format!("{limit}.quota = '2/h'\n{LIMITS}")),
        )
        .await;
        for expected in [ANSWERED, ANSWERED, TOO_MANY] {
            let head = asked(&gateway, &upstream, PREFLIGHT).await;
            assert_eq!(head.first_line(), expected, "{name}");
            assert!(head.one("ratelimit-policy").contains(name));
        }
    }
}

#[tokio::test]
async fn unless_it_is_to_pass_a_preflight_is_as_any_request() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, LIMITS).await;
    let head = asked(&gateway, &upstream, PREFLIGHT).await;
    assert_eq!(head.first_line(), NO_KEY);
    assert!(upstream.is_left_alone().await);

    // It changes in use, and what was used stays used.
    let post = "POST /v1/x HTTP/1.1\nHost: a\nConnection: close\nAuthorization: Bearer a\nContent-Length: 0\n\n";
    asked(&gateway, &upstream, post).await;
    let upstream_is = format!("upstream = 'http://{}'\n", upstream.address());
    let passes = upstream_is + &passing(LIMITS);
    gateway.reload(&passes).unwrap();
    let head = asked(&gateway, &upstream, PREFLIGHT).await;
    assert_eq!(head.first_line(), ANSWERED);
    let head = asked(&gateway, &upstream, post).await;
    assert_eq!(head.first_line(), TOO_MANY);
}

/// What a page is told of a refusal, by what it comes from.
#[tokio::test]
async fn a_page_may_read_what_is_refused_where_its_origin_is_named() {
    const APP: &str = "https://app.example";
    let all = ("*", None);
    let app = (APP, Some("true"));
    for (cors, origin, expected) in [
        ("[]", APP, None),
        (
            "['https://app.example', 'http://localhost:3000']",
            APP,
            Some(app),
        ),
        ("['https://app.example']", "https://app.example.evil", None),
        ("['*']", "https://anybody.example", Some(all)),
    ] {
        let upstream = RawUpstream::bind().await;
        let text = format!("errors.cors = {cors}\nlimits.per_ip.quota = '2/h'\n{LIMITS}");
        let gateway = before(&upstream, &text).await;
        let get = format!("GET /v1/x HTTP/1.1\nHost: a\nConnection: close\nOrigin: {origin}\n");
        for (fields, status) in [
            ("", NO_KEY),
            // The upstream's own word is not touched.
            ("Authorization: Bearer a\n", ANSWERED),
            ("", TOO_MANY),
        ] {
            let head = asked(&gateway, &upstream, &format!("{get}{fields}\n")).await;
            assert_eq!(head.first_line(), status);
            let told = |name| head.all(name).first().copied();
            let allowed = told("access-control-allow-origin");
            if status == ANSWERED {
                assert_eq!((allowed, told("vary")), (Some("*"), None), "the upstream's");
                continue;
            }
            let credentials = told("access-control-allow-credentials");
            assert_eq!(allowed.map(|origin| (origin, credentials)), expected);
            let exposed = told("access-control-expose-headers").unwrap_or_default();
            for name in ["Retry-After", "RateLimit", "WWW-Authenticate"] {
                let is_exposed = exposed.split(", ").any(|it| it == name);
                assert_eq!(is_exposed, expected.is_some(), "{exposed}");
            }
            assert_eq!(told("vary"), expected.and(credentials).map(|_| "Origin"));
        }
    }
}
