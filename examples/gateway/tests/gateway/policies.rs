//! Limits beside that of each client, from the text of a configuration.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    raw::{Head, Raw, within},
    running::{Program, Running, config_file},
};

/// Before the built-in upstream, and with clients that a proxy tells apart.
struct Limited(Running);

impl Limited {
    async fn by(limits: &str) -> Self {
        let text = format!(
            "client_ip = {{ source = 'x-forwarded-for', trusted = ['127.0.0.0/8'] }}\n{limits}"
        );
        Self(Running::from(&text).await)
    }

    async fn get(&self, path: &str, fields: &[&str]) -> (Head, Raw) {
        let mut client = self.0.connect().await;
        let fields: String = fields.iter().map(|field| format!("{field}\n")).collect();
        client
            .send(&format!(
                "GET {path} HTTP/1.1\nHost: a\nConnection: close\n{fields}\n"
            ))
            .await;
        (client.head().await, client)
    }

    /// How many of `tries` pass; each of the others is refused with `refusal`.
    async fn passed(&self, tries: usize, path: &str, fields: &[&str], refusal: &str) -> usize {
        let mut passed = 0;
        for _ in 0..tries {
            let (head, _) = self.get(path, fields).await;
            match head.first_line() {
                "HTTP/1.1 200 OK" | "HTTP/1.1 404 Not Found" => passed += 1,
                line => assert_eq!(line, format!("HTTP/1.1 {refusal}")),
            }
        }
        passed
    }

    async fn admits(&self, tries: usize, path: &str, fields: &[&str]) -> usize {
        self.passed(tries, path, fields, "429 Too Many Requests")
            .await
    }
}

const TIERS: &str = "
    [limits.per_key]
    quota = '2/h'
    [limits.per_key.tiers.gold]
    quota = '4/h'
    keys = ['gold-1', 'gold-2']
    [limits.per_key.tiers.free]
    quota = '1/h'
    keys = ['free-1']
";

#[tokio::test]
async fn a_key_has_the_quota_of_its_tier() {
    let gateway = Limited::by(TIERS).await;
    for (key, quota) in [
        ("Bearer gold-1", 4),
        ("bearer  gold-2", 4),
        ("Bearer free-1", 1),
        ("Bearer nobody-knows-me", 2),
        ("Bearer GOLD-1", 2),
    ] {
        let field = format!("Authorization: {key}");
        assert_eq!(gateway.admits(6, "/", &[&field]).await, quota, "{key}");
    }
    let (refusal, mut client) = gateway.get("/", &["Authorization: Bearer gold-1"]).await;
    let policies = refusal.one("ratelimit-policy");
    assert!(
        policies.ends_with("\"per-key\";q=4;w=3600"),
        "of the tier: {policies}"
    );
    let problem: Value = serde_json::from_str(&client.rest().await).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["per-key"]));
}

#[tokio::test]
async fn a_key_can_have_a_header_of_its_own() {
    let limits = TIERS.replace(
        "quota = '2/h'",
        "quota = '2/h'\nkey = { header = 'X-Api-Key' }",
    );
    let gateway = Limited::by(&limits).await;
    assert_eq!(gateway.admits(6, "/", &["x-api-key: gold-1"]).await, 4);
    assert_eq!(gateway.admits(6, "/", &["x-api-key: other"]).await, 2);
    let elsewhere = ["Authorization: Bearer free-1"];
    assert_eq!(gateway.admits(6, "/", &elsewhere).await, 6);
}

#[tokio::test]
async fn a_request_without_a_key_is_treated_as_chosen() {
    for (missing, admitted, refusal) in [
        ("", 4, "429 Too Many Requests"),
        ("missing = 'exempt'", 4, "429 Too Many Requests"),
        ("missing = 'share'", 2, "429 Too Many Requests"),
        ("missing = 'refuse'", 0, "401 Unauthorized"),
    ] {
        let limits = TIERS.replace("quota = '2/h'", &format!("quota = '2/h'\n{missing}"));
        let gateway = Limited::by(&limits).await;
        let basic = ["Authorization: Basic YTpi", "X-Forwarded-For: 192.0.2.1"];
        let mut passed = gateway.passed(2, "/", &[], refusal).await;
        passed += gateway.passed(2, "/", &basic, refusal).await;
        assert_eq!(passed, admitted, "{missing}");
    }
}

const ROUTES: &str = "
    [limits.per_key]
    quota = '1000/h'
    [[limits.routes]]
    path = '/v1'
    quota = '5/h'
    by = 'all'
    [[limits.routes]]
    path = '/v1/completions'
    quota = '2/h'
    [[limits.routes]]
    path = '/v1/files'
    quota = '3/h'
    by = 'key'
";

#[tokio::test]
async fn the_longest_route_counts_for_whom_it_says() {
    let gateway = Limited::by(ROUTES).await;
    let (one, other) = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2");
    for (path, fields, admitted) in [
        // By address, wherever below it.
        ("/v1/completions", &[one][..], 2),
        ("/v1/%63ompletions/7?a=b", &[one], 0),
        ("/v1/completions/7?a=b", &[other], 2),
        // By key; who has none counts for its address.
        ("/v1/files", &[one, "Authorization: Bearer a"], 3),
        ("/v1/files/7", &[other, "Authorization: Bearer a"], 0),
        ("/v1/files", &[other, "Authorization: Bearer b"], 3),
        ("/v1/files", &[one], 3),
        ("/v1/files", &[other], 3),
        // All together, and untouched by what was asked of the longer ones.
        ("/v1/completionsandmore", &[one], 5),
        ("/v1", &[other], 0),
        // No route.
        ("/", &[one], 6),
        ("/v11/completions", &[one], 6),
    ] {
        assert_eq!(
            gateway.admits(6, path, fields).await,
            admitted,
            "{path} {fields:?}"
        );
    }
    let (refusal, _) = gateway.get("/v1/completions", &[one]).await;
    let policies = refusal.one("ratelimit-policy");
    assert!(
        policies.ends_with("\"per-route\";q=2;w=3600"),
        "of this route: {policies}"
    );
}

#[tokio::test]
async fn who_is_refused_by_one_of_the_tenants_limits_is_charged_to_none() {
    let gateway = Limited::by(
        "limits.per_key.quota = '2/h'\n\
         limits.global.quota = '3/h'\n",
    )
    .await;
    for (key, admitted) in [("a", 2), ("b", 1), ("c", 0)] {
        let field = format!("Authorization: Bearer {key}");
        assert_eq!(gateway.admits(4, "/", &[&field]).await, admitted, "{key}");
    }
    let (refusal, _) = gateway.get("/", &["Authorization: Bearer c"]).await;
    let stand = refusal.one("ratelimit");
    assert!(stand.starts_with("\"per-key\";r=2"), "uncharged: {stand}");
    assert!(stand.contains("\"global\";r=0;t="), "{stand}");
}

#[tokio::test]
async fn who_is_refused_at_the_door_costs_no_tenant_anything() {
    let gateway = Limited::by("limits.per_ip.quota = '1/h'\nlimits.global.quota = '3/h'\n").await;
    for (client, admitted) in [
        ("192.0.2.1", 1),
        ("192.0.2.2", 1),
        ("192.0.2.3", 1),
        ("192.0.2.4", 0),
    ] {
        let field = format!("X-Forwarded-For: {client}");
        assert_eq!(
            gateway.admits(3, "/", &[&field]).await,
            admitted,
            "{client}"
        );
    }
}

#[tokio::test]
async fn who_is_admitted_is_told_of_all_limits() {
    let gateway = Limited::by("limits.per_ip.quota = '6/h'\nlimits.global.quota = '3/h'\n").await;
    let (head, _) = gateway.get("/", &["X-Forwarded-For: 192.0.2.1"]).await;
    assert_eq!(
        head.one("ratelimit-policy"),
        "\"per-ip\";q=6;w=3600, \"global\";q=3;w=3600"
    );
    let stand = head.one("ratelimit");
    assert!(
        stand.starts_with("\"per-ip\";r=5;t=") && stand.contains(", \"global\";r=2;t="),
        "{stand}"
    );
}

#[tokio::test]
async fn a_key_that_nobody_knows_costs_a_tenant_nothing() {
    let limits = TIERS.replace(
        "quota = '2/h'",
        "quota = '2/h'\nunknown = 'refuse'\nmissing = 'refuse'",
    );
    let gateway = Limited::by(&format!("{limits}\n[limits.global]\nquota = '4/h'\n")).await;
    // RFC 6750 §3: never the scheme alone, and an error only where there was a token.
    for (field, challenge) in [
        (
            "Authorization: Bearer nobody-knows-me",
            "Bearer realm=\"buttress-gateway\", error=\"invalid_token\"",
        ),
        ("Accept: */*", "Bearer realm=\"buttress-gateway\""),
    ] {
        let passed = gateway.passed(6, "/", &[field], "401 Unauthorized").await;
        assert_eq!(passed, 0, "{field}");
        let (head, _) = gateway.get("/", &[field]).await;
        assert_eq!(head.one("www-authenticate"), challenge);
        assert_eq!(head.one("content-type"), "application/problem+json");
    }
    let known = ["Authorization: Bearer gold-1"];
    assert_eq!(gateway.admits(6, "/", &known).await, 4, "all that there is");
}

#[tokio::test]
async fn some_clients_pass_unlimited_and_some_do_not_pass() {
    let gateway = Limited::by(
        "limits.per_ip.quota = '1/h'\n\
         limits.allow = ['192.0.2.0/24', '2001:db8::/32']\n\
         limits.deny = ['192.0.2.66', '198.51.100.0/24']\n",
    )
    .await;
    for (client, admitted, refusal) in [
        ("192.0.2.1", 3, ""),
        ("2001:db8::1", 3, ""),
        ("::ffff:192.0.2.1", 3, ""),
        ("203.0.113.1", 1, "429 Too Many Requests"),
        ("198.51.100.7", 0, "403 Forbidden"),
        ("192.0.2.66", 0, "403 Forbidden"),
        // What stands left of the client it wrote itself.
        ("192.0.2.1, 198.51.100.7", 0, "403 Forbidden"),
    ] {
        let field = format!("X-Forwarded-For: {client}");
        assert_eq!(
            gateway.passed(3, "/", &[&field], refusal).await,
            admitted,
            "{client}"
        );
    }
    let (head, mut client) = gateway.get("/", &["X-Forwarded-For: 192.0.2.66"]).await;
    assert_eq!(head.one("content-type"), "application/problem+json");
    assert!(head.all("retry-after").is_empty() && head.all("ratelimit").is_empty());
    let problem: Value = serde_json::from_str(&client.rest().await).unwrap();
    assert_eq!(problem["status"], serde_json::json!(403));
}

#[tokio::test]
async fn a_shadow_refuses_nothing_and_hides_nothing() {
    let gateway = Limited::by(
        "limits.per_ip = { quota = '1/h', shadow = true }\n\
         limits.global = { quota = '1/h', shadow = true }\n\
         limits.per_key = { quota = '1/h', shadow = true }\n\
         [[limits.routes]]\npath = '/v1'\nquota = '4/h'\n\
         [[limits.routes]]\npath = '/v1/completions'\nquota = '1/h'\nshadow = true\n",
    )
    .await;
    let key = ["Authorization: Bearer a"];
    assert_eq!(gateway.admits(3, "/", &key).await, 3);
    assert_eq!(gateway.admits(6, "/v1/completions", &key).await, 4);
    let (refusal, _) = gateway.get("/v1/completions", &key).await;
    assert_eq!(
        refusal.one("ratelimit-policy"),
        "\"per-route\";q=4;w=3600",
        "a shadow shows nowhere"
    );
}

#[tokio::test]
async fn the_log_says_what_a_shadow_would_have_refused() {
    let file = config_file(
        "shadow.toml",
        "listen = '127.0.0.1:0'\nlimits.per_ip = { quota = '1/h', shadow = true }\n",
    );
    let mut child = Program::command()
        .args(["--config", file.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = within(said.next_line()).await.unwrap().unwrap();
    let address = line.strip_prefix("listening on http://").unwrap();
    for _ in 0..2 {
        let mut client = Raw::connect(address.parse().unwrap()).await;
        client
            .send("GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
            .await;
        assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    }
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    // Of what else there is to say on this machine, nothing is meant.
    within(async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("would have refused") {
                assert!(line.contains("per-ip"), "{line}");
                return;
            }
        }
        panic!("nothing was said");
    })
    .await;
}
