use buttress_core::{ConfigError, DigestKey, ExtractKey, KeyWriter, MissingKey, View as _};
use http::Request;

use super::*;
use crate::{ClientIp, Head, TrustedProxies};

fn head(uri: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = uri.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

fn label<B: 'static>(
    extractor: impl ExtractKey<Head>,
    request: &Request<B>,
) -> Result<String, MissingKey> {
    KeyWriter::label(|key| extractor.extract(Head::of(request), key))
}

#[test]
fn headers() -> Result<(), ConfigError> {
    let (tenant, secret) = (Header::named("X-Tenant")?, ApiKey::in_header("x-api-key")?);
    let found = head("/", &[("x-tenant", "acme"), ("x-api-key", "sk-123")]);
    assert_eq!(label(tenant.clone(), &found).as_deref(), Ok("acme"));
    assert_eq!(label(secret.clone(), &found).as_deref(), Ok("***"));

    let none = head("/", &[]);
    assert_eq!(
        label(tenant.clone(), &none).unwrap_err().why(),
        "the header x-tenant is missing"
    );
    let twice = head("/", &[("x-tenant", "acme"), ("x-tenant", "umbrella")]);
    assert_eq!(
        label(tenant, &twice).unwrap_err().why(),
        "the header x-tenant is given twice"
    );

    let other = head("/", &[("x-api-key", "sk-124")]);
    let digest = DigestKey::random();
    assert_ne!(
        digest.digest_from(&secret, Head::of(&found)),
        digest.digest_from(&secret, Head::of(&other))
    );
    assert_eq!(Header::named("no name").unwrap_err().field(), "header");
    assert_eq!(ApiKey::in_header("").unwrap_err().field(), "header");
    Ok(())
}

#[test]
fn bearer_tokens() {
    let digest = DigestKey::random();
    let of = |value: &str| {
        digest.digest_from(
            &BearerToken,
            Head::of(&head("/", &[("authorization", value)])),
        )
    };
    let token = of("Bearer abc").unwrap();
    assert_eq!(of("bearer abc"), Ok(token));
    assert_eq!(of("BEARER  abc "), Ok(token));
    assert_ne!(of("Bearer ABC"), Ok(token));
    for value in ["", "Bearer", "Bearer ", "Bearerabc", "Basic abc", "Bear"] {
        assert!(of(value).is_err(), "{value}");
    }
    assert_eq!(
        label(BearerToken, &head("/", &[("authorization", "Bearer abc")])).as_deref(),
        Ok("***")
    );
}

#[test]
fn values_are_read_without_being_shown() -> Result<(), ConfigError> {
    let request = head(
        "/",
        &[("authorization", "Bearer abc"), ("x-api-key", "k\u{e9}")],
    );
    let token = BearerToken::of(Head::of(&request)).unwrap();
    assert_eq!(
        (token.expose(), token.expose_str()),
        (&b"abc"[..], Some("abc"))
    );
    let key = ApiKey::in_header("X-Api-Key")?;
    assert_eq!(format!("{token:?} {key:?}"), r#"*** ApiKey("x-api-key")"#);
    assert!(key.of(Head::of(&request)).is_ok());
    let none = head("/", &[]);
    let why = BearerToken::of(Head::of(&none)).unwrap_err();
    assert_eq!(why.why(), "the header authorization is missing");
    let tenant = Header::named("x-tenant")?;
    assert_eq!(
        tenant.of(Head::of(&none)).unwrap_err().why(),
        "the header x-tenant is missing"
    );
    Ok(())
}

#[test]
fn targets() {
    let request = head("/a/b?c=d", &[]);
    assert_eq!(label(Path, &request).as_deref(), Ok("/a/b"));
    assert_eq!(label(Method, &request).as_deref(), Ok("GET"));
}

#[test]
fn authorities() {
    let cases = [
        (
            head("https://API.example:443/x", &[("host", "other")]),
            Some("api.example:443"),
        ),
        // Whoever comes with credentials comes to the same host, and a label is to be shown.
        (
            head("http://User:Sesame@API.example:8080/x", &[]),
            Some("api.example:8080"),
        ),
        (head("/x", &[("host", "API.example")]), Some("api.example")),
        (head("/x", &[]), None),
        (head("/x", &[("host", "a"), ("host", "b")]), None),
    ];
    for (head, expected) in cases {
        assert_eq!(label(Authority, &head).ok().as_deref(), expected);
    }
}

/// A key of one kind is never one of another kind, even of the same text.
#[test]
fn a_header_is_text() -> Result<(), ConfigError> {
    let digest = DigestKey::random();
    let request = head("/acme", &[("x-tenant", "/acme")]);
    assert_eq!(
        digest.digest_from(&Header::named("x-tenant")?, Head::of(&request)),
        digest.digest_from(&Path, Head::of(&request))
    );
    let latin1 = {
        let mut request = Request::new(());
        let value = http::HeaderValue::from_bytes(b"caf\xe9").unwrap();
        request.headers_mut().insert("x-tenant", value);
        request
    };
    assert_eq!(
        label(Header::named("x-tenant")?, &latin1).as_deref(),
        Ok("caf\u{fffd}")
    );
    Ok(())
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn routes() {
    use axum::{Router, routing::get};
    use tower::ServiceExt as _;

    let app = Router::new().route(
        "/users/{id}",
        get(|request: axum::extract::Request| async move { label(Route, &request).unwrap() }),
    );
    let request = Request::get("/users/7")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 100)
        .await
        .unwrap();
    assert_eq!(body, "/users/{id}");
    assert!(label(Route, &head("/", &[])).is_err());
}

#[test]
fn extractors_know_their_like() -> Result<(), ConfigError> {
    fn same(one: &impl ExtractKey<Head>, other: &(impl ExtractKey<Head> + Sized)) -> bool {
        one.is_same(other)
    }

    let (tenant, again) = (Header::named("X-Tenant")?, Header::named("x-tenant")?);
    assert!(same(&tenant, &again));
    assert!(!same(&tenant, &Header::named("x-other")?));
    assert!(!same(&tenant, &ApiKey::in_header("x-tenant")?));
    assert!(same(
        &ApiKey::in_header("x-key")?,
        &ApiKey::in_header("X-Key")?
    ));
    assert!(same(&BearerToken, &BearerToken));
    assert!(same(&Path, &Path) && same(&Method, &Method) && same(&Authority, &Authority));
    assert!(!same(&Path, &Method));

    let (peer, trusted) = (ClientIp::peer(), TrustedProxies::hops(1)?);
    assert!(same(&peer, &ClientIp::peer()));
    assert!(!same(&peer, &ClientIp::peer().ipv6_prefix(56)?));
    assert!(!same(&peer, &ClientIp::forwarded(trusted.clone())));
    assert!(same(
        &ClientIp::forwarded(trusted.clone()),
        &ClientIp::forwarded(trusted)
    ));

    // A tuple is, if all of it is.
    assert!(same(&(Path, tenant.clone()), &(Path, again.clone())));
    assert!(!same(&(Path, tenant.clone()), &(Method, again.clone())));
    assert!(!same(
        &(Path, tenant.clone()),
        &(Path, Header::named("x-other")?)
    ));
    assert!(!same(&(Path, tenant.clone()), &(tenant, Path)));

    // Whoever does not know is unlike all.
    let unknown = |_: &Head, _: &mut KeyWriter<'_>| Ok(());
    assert!(!same(&unknown, &unknown));
    Ok(())
}
