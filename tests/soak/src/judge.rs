//! Whether an answer is one that its request may get.

use std::time::Duration;

use http::{
    HeaderMap,
    header::{CONTENT_TYPE, RETRY_AFTER, VIA},
};
use serde_json::Value;

use crate::{
    asked::Asked,
    client::{Answer, BodyEnd, Outcome},
    content,
    ledger::Seen,
    weather::Weather,
};

const GRPC_STATUS: &str = "grpc-status";

/// When a request was asked, and when the last of its answer was there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// What the client saw.
///
/// # Errors
///
/// Where it should not have: a wrong body, one that ends too soon as if it were whole, a status that does not
/// fit, or an upstream's death that is seen although none died.
pub(crate) fn judge(
    asked: Asked,
    id: u64,
    outcome: &Outcome,
    weather: &Weather,
    span: Span,
) -> Result<Seen, String> {
    let calm = weather.was_calm(span.from, span.to);
    let killed = weather.has_killed(span.from, span.to);
    let hung = weather.has_hung(span.from, span.to);
    match outcome {
        Outcome::Unanswered => Ok(Seen::Unanswered),
        // It broke it itself.
        Outcome::NoAnswer(_) if matches!(asked, Asked::LeftUpload(..)) => Ok(Seen::Unanswered),
        // Where an answer breaks off at once its head may be lost with it, before it was sent.
        Outcome::NoAnswer(_) if killed || hung || matches!(asked, Asked::CutStream(..)) => {
            Ok(Seen::Lost)
        }
        // As may be the answer to a request that is still being sent, with the connection.
        Outcome::NoAnswer(_) if !calm && matches!(asked, Asked::Upload(_)) => Ok(Seen::Lost),
        Outcome::NoAnswer(error) => Err(format!("the connection broke without an answer: {error}")),
        Outcome::Tunnel(came) => tunnel(asked, id, came, killed),
        Outcome::Answer(answer) => {
            let may_break =
                killed || hung && text(&answer.headers, VIA.as_str()).starts_with("2.0");
            match (answer.status.as_u16(), asked) {
                (401, Asked::Stranger) => refusal(answer, "application/problem+json")?,
                (_, Asked::Stranger) => return Err("whose key is not known was let through".into()),
                // An answer that came before the client had left.
                (200, Asked::LeftUpload(..)) => success(asked, id, answer, true)?,
                (400, Asked::LeftUpload(..)) => refusal(answer, kind_of(asked))?,
                (200, Asked::Grpc(length)) => return grpc(length, id, answer, calm, may_break),
                (200, Asked::CutStream(..)) if answer.end == BodyEnd::Whole => {
                    return Err("it was broken off, and looks whole".into());
                }
                (200, Asked::CutStream(..)) => success(asked, id, answer, true)?,
                (200, _) => success(asked, id, answer, may_break)?,
                // One that died over its first word looks like one that does not speak HTTP/1.1.
                (501, Asked::Tunnel(_)) if !calm => refusal(answer, kind_of(asked))?,
                (429, Asked::Free(_)) => too_many(answer)?,
                (502..=504, _) if !calm => refusal(answer, kind_of(asked))?,
                (502..=504, _) => return Err("all upstreams were well".into()),
                _ => return Err("no such status was to be expected".into()),
            }
            Ok(match asked {
                Asked::LeftUpload(..) => Seen::Lost,
                _ => seen(answer),
            })
        }
    }
}

fn seen(answer: &Answer) -> Seen {
    let bytes = answer.body.len() as u64;
    match answer.end {
        BodyEnd::Whole => Seen::Whole {
            status: answer.status.as_u16(),
            bytes,
        },
        BodyEnd::Left => Seen::Left { bytes },
        BodyEnd::Broken => Seen::Broken { bytes },
    }
}

fn success(asked: Asked, id: u64, answer: &Answer, may_break: bool) -> Result<(), String> {
    let (number, length) = asked.content(id);
    let expected = content::of(number, length);
    if answer.end == BodyEnd::Broken && !may_break {
        return Err("the body ended in an error, and its upstream was well".into());
    }
    let is_right = match answer.end {
        BodyEnd::Whole => answer.body == expected,
        BodyEnd::Left | BodyEnd::Broken => expected.starts_with(&answer.body),
    };
    if is_right {
        Ok(())
    } else {
        Err(format!(
            "{} bytes of the body are there, which are not those that were expected",
            answer.body.len()
        ))
    }
}

/// What came back through a tunnel is what was sent.
fn tunnel(asked: Asked, id: u64, came: &[u8], killed: bool) -> Result<Seen, String> {
    let (number, length) = asked.content(id);
    let whole = came.len() == length;
    if !content::of(number, length).starts_with(came) {
        Err("other bytes came back through the tunnel than were sent".into())
    } else if !whole && !killed {
        Err("the tunnel broke, and no upstream was killed".into())
    } else {
        Ok(Seen::Tunnel {
            bytes: came.len() as u64,
            whole,
        })
    }
}

/// A message and its status, or a refusal of the gateway's own, which is its head alone.
fn grpc(
    length: usize,
    id: u64,
    answer: &Answer,
    calm: bool,
    may_break: bool,
) -> Result<Seen, String> {
    let refused = text(&answer.headers, GRPC_STATUS);
    if !refused.is_empty() {
        // UNAVAILABLE, or DEADLINE_EXCEEDED.
        return match refused {
            "14" | "4" if !calm && answer.body.is_empty() => Ok(seen(answer)),
            _ => Err(format!("gRPC's status is {refused}")),
        };
    }
    let expected = content::message(id, length);
    match answer.end {
        BodyEnd::Whole if text(&answer.trailers, GRPC_STATUS) != "0" => {
            Err("there is no status behind the message".into())
        }
        BodyEnd::Whole if answer.body == expected => Ok(Seen::Grpc {
            bytes: answer.body.len() as u64,
        }),
        BodyEnd::Broken if may_break && expected.starts_with(&answer.body) => Ok(seen(answer)),
        _ => Err("it is not the message that was expected".into()),
    }
}

fn too_many(answer: &Answer) -> Result<(), String> {
    refusal(answer, kind_of(Asked::Free(0)))?;
    match text(&answer.headers, RETRY_AFTER.as_str()).parse() {
        Ok(1_u64..) => Ok(()),
        _ => Err("it does not say when to come back".into()),
    }
}

/// How the gateway's own words are written.
const fn kind_of(asked: Asked) -> &'static str {
    match asked {
        Asked::Free(_) => "application/json",
        _ => "application/problem+json",
    }
}

/// A whole answer of the gateway's own, in this form.
fn refusal(answer: &Answer, kind: &str) -> Result<(), String> {
    if answer.end != BodyEnd::Whole {
        return Err("the gateway's own answer broke off".into());
    }
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the refusal is no JSON: {error}"))?;
    let says = match kind {
        "application/json" => body.pointer("/error/message").is_some_and(Value::is_string),
        _ => body.get("status") == Some(&answer.status.as_u16().into()),
    };
    if says && text(&answer.headers, CONTENT_TYPE.as_str()) == kind {
        Ok(())
    } else {
        Err(format!("the refusal is not in {kind}"))
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderValue, StatusCode};

    use super::*;
    use crate::weather::Change;

    const SPAN: Span = Span {
        from: Duration::from_secs(10),
        to: Duration::from_secs(11),
    };

    fn answer(status: u16, kind: &'static str, body: impl Into<Bytes>, end: BodyEnd) -> Outcome {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        Outcome::Answer(Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.into(),
            trailers: HeaderMap::new(),
            end,
        })
    }

    fn stormy() -> Weather {
        let weather = Weather::default();
        weather.note(SPAN.from, Change::Killed);
        weather
    }

    #[test]
    fn a_body_is_whole_or_ends_in_an_error() {
        let (asked, whole) = (Asked::Bytes(96), content::of(7, 96));
        let judged = |body: &Bytes, end, weather: &Weather| {
            judge(asked, 7, &answer(200, "", body.clone(), end), weather, SPAN)
        };
        let seen = Seen::Whole {
            status: 200,
            bytes: 96,
        };
        assert_eq!(
            judged(&whole, BodyEnd::Whole, &Weather::default()),
            Ok(seen)
        );
        let half = whole.slice(..48);
        assert!(judged(&half, BodyEnd::Whole, &stormy()).is_err());
        assert!(judged(&half, BodyEnd::Broken, &Weather::default()).is_err());
        let seen = Seen::Broken { bytes: 48 };
        assert_eq!(judged(&half, BodyEnd::Broken, &stormy()), Ok(seen));
        assert!(judged(&content::of(8, 96), BodyEnd::Whole, &stormy()).is_err());
        assert!(judged(&content::of(8, 48), BodyEnd::Left, &stormy()).is_err());
    }

    #[test]
    fn who_hangs_may_end_a_connection_of_http2_alone() {
        let hung = Weather::default();
        hung.note(SPAN.from, Change::Hung);
        let judged = |via: &'static str| {
            let broken = answer(200, "", content::of(7, 48), BodyEnd::Broken);
            let Outcome::Answer(mut broken) = broken else {
                unreachable!()
            };
            broken.headers.insert(VIA, HeaderValue::from_static(via));
            judge(Asked::Bytes(96), 7, &Outcome::Answer(broken), &hung, SPAN)
        };
        assert_eq!(
            judged("2.0 buttress-gateway"),
            Ok(Seen::Broken { bytes: 48 })
        );
        assert!(judged("1.1 buttress-gateway").is_err());
    }

    #[test]
    fn what_the_upstream_breaks_off_is_not_whole() {
        let asked = Asked::CutStream(4, 2);
        let judged = |length: usize, end| {
            let body = content::of(7, 256).slice(..length);
            judge(
                asked,
                7,
                &answer(200, "", body, end),
                &Weather::default(),
                SPAN,
            )
        };
        let seen = Seen::Broken { bytes: 128 };
        assert_eq!(judged(128, BodyEnd::Broken), Ok(seen));
        assert!(judged(64, BodyEnd::Broken).is_ok());
        assert!(judged(128, BodyEnd::Whole).is_err());
        assert!(judged(192, BodyEnd::Broken).is_err(), "more than was sent");
    }

    #[test]
    fn a_tunnel_gives_back_what_it_was_given() {
        let judged = |length: usize, weather: &Weather| {
            let came = Outcome::Tunnel(content::of(7, 96).slice(..length));
            judge(Asked::Tunnel(96), 7, &came, weather, SPAN)
        };
        let seen = |bytes, whole| Ok(Seen::Tunnel { bytes, whole });
        assert_eq!(judged(96, &Weather::default()), seen(96, true));
        assert_eq!(judged(48, &stormy()), seen(48, false));
        assert!(judged(48, &Weather::default()).is_err());
        let others = Outcome::Tunnel(content::of(8, 96));
        assert!(judge(Asked::Tunnel(96), 7, &others, &stormy(), SPAN).is_err());
    }

    #[test]
    fn a_message_of_grpc_has_its_status() {
        let judged = |status: &'static str, in_trailers: bool, body: Bytes, weather: &Weather| {
            let Outcome::Answer(mut answer) = answer(200, "", body, BodyEnd::Whole) else {
                unreachable!()
            };
            let place = if in_trailers {
                &mut answer.trailers
            } else {
                &mut answer.headers
            };
            place.insert(GRPC_STATUS, HeaderValue::from_static(status));
            judge(Asked::Grpc(96), 7, &Outcome::Answer(answer), weather, SPAN)
        };
        let whole = content::message(7, 96);
        let calm = Weather::default();
        let seen = Seen::Grpc { bytes: 101 };
        assert_eq!(judged("0", true, whole.clone(), &calm), Ok(seen));
        assert!(judged("14", true, whole.clone(), &stormy()).is_err());
        assert!(judged("0", true, whole.slice(..50), &stormy()).is_err());
        assert!(judged("14", false, Bytes::new(), &stormy()).is_ok());
        assert!(judged("14", false, Bytes::new(), &calm).is_err());
        assert!(judged("13", false, Bytes::new(), &stormy()).is_err());
    }

    #[test]
    fn a_failure_needs_a_dead_upstream() {
        let problem = r#"{"status":502}"#;
        let failed = answer(502, "application/problem+json", problem, BodyEnd::Whole);
        let judged = |weather| judge(Asked::Bytes(1), 7, &failed, &weather, SPAN);
        assert!(judged(Weather::default()).is_err());
        assert!(judged(stormy()).is_ok());
        let other = answer(503, "application/problem+json", problem, BodyEnd::Whole);
        assert!(judge(Asked::Bytes(1), 7, &other, &stormy(), SPAN).is_err());
        let lost = Outcome::NoAnswer("reset".to_owned());
        let down = Weather::default();
        down.note(Duration::from_secs(5), Change::Killed);
        for (asked, weather, is_right) in [
            (Asked::LeftUpload(2, 1), Weather::default(), true),
            (Asked::Bytes(1), stormy(), true),
            (Asked::Bytes(1), down, false),
            (Asked::Upload(1), Weather::default(), false),
        ] {
            let seen = judge(asked, 7, &lost, &weather, SPAN);
            assert_eq!(seen.is_ok(), is_right, "{seen:?}");
        }
    }

    #[test]
    fn keys_and_quotas_decide_who_is_refused() {
        let error = r#"{"error":{"message":"too many"}}"#;
        let too_many = answer(429, "application/json", error, BodyEnd::Whole);
        assert!(judge(Asked::Free(1), 7, &too_many, &Weather::default(), SPAN).is_ok());
        assert!(judge(Asked::Bytes(1), 7, &too_many, &stormy(), SPAN).is_err());
        let plain = answer(429, "text/plain", error, BodyEnd::Whole);
        assert!(judge(Asked::Free(1), 7, &plain, &stormy(), SPAN).is_err());

        let unknown = r#"{"status":401}"#;
        let unknown = answer(401, "application/problem+json", unknown, BodyEnd::Whole);
        assert!(judge(Asked::Stranger, 7, &unknown, &Weather::default(), SPAN).is_ok());
        assert!(judge(Asked::Bytes(1), 7, &unknown, &stormy(), SPAN).is_err());
        let empty = answer(200, "", "", BodyEnd::Whole);
        assert!(judge(Asked::Stranger, 7, &empty, &stormy(), SPAN).is_err());
    }
}
