use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use http::HeaderMap;

use crate::{
    corpus::{Case, Origin, Step, begin, cases, has, lacks},
    simulator::{Answered, Ask, Asked, Outcome, Simulator},
};

#[test]
fn every_case_of_the_corpus() {
    let cases = cases();
    assert!(cases.len() > 200, "only {} cases were found", cases.len());
    let mut names = HashSet::new();
    let mut wrong = Vec::new();
    for (file, case) in &cases {
        assert!(
            names.insert(&case.name),
            "{}: two cases have this name",
            case.name
        );
        if let Err(what) = play(case) {
            wrong.push(format!("{file}: {} (RFC {}): {what}", case.name, case.rfc));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

fn play(case: &Case) -> Result<(), String> {
    let mut cache = Simulator::new(case.options());
    let mut now = begin();
    for (number, step) in case.steps.iter().enumerate() {
        if let Some(seconds) = step.at {
            now = begin() + Duration::from_secs_f64(seconds);
        }
        take(&mut cache, step, now).map_err(|what| format!("step {}: {what}", number + 1))?;
    }
    Ok(())
}

fn take(cache: &mut Simulator, step: &Step, now: SystemTime) -> Result<(), String> {
    let (method, uri, headers) = step.request();
    let ask = Ask {
        now,
        method: &method,
        uri: &uri,
        headers: &headers,
        has_content: step.has_content,
    };
    let mut asked: Option<HeaderMap> = None;
    let mut too_often = false;
    let mut origin = |question: Asked<'_>| {
        asked = Some(question.headers.clone());
        Answered {
            response: match step.origin() {
                Origin::Silent => {
                    too_often = true;
                    None
                }
                Origin::Unreachable => None,
                Origin::Answers(status, headers, body) => {
                    let body = match *question.method == http::Method::HEAD || status == 304 {
                        true => Vec::new(),
                        false => body.into_bytes(),
                    };
                    Some((status, headers, body))
                }
            },
            clean: !step.broken,
            delay: Duration::from_secs_f64(step.delay),
        }
    };
    let mut outcome = cache.handle(&ask, &mut origin);
    if outcome.background {
        outcome.kept = cache.revalidate(&ask, &mut origin).kept;
    }
    if too_often {
        return Err(format!("the origin was asked ({})", outcome.how));
    }
    if asked.is_none() && !matches!(step.origin(), Origin::Silent) {
        return Err(format!("the origin was not asked ({})", outcome.how));
    }
    check(step, &outcome, &asked.unwrap_or_default())
}

fn check(step: &Step, outcome: &Outcome, asked: &HeaderMap) -> Result<(), String> {
    if outcome.how != step.expect {
        return Err(format!(
            "was answered {:?}, not {:?}",
            outcome.how, step.expect
        ));
    }
    if step.kept.is_some() && outcome.kept != step.kept {
        return Err(format!("kept: {:?}, not {:?}", outcome.kept, step.kept));
    }
    if step.status.is_some_and(|status| outcome.status != status) {
        return Err(format!("the status is {}", outcome.status));
    }
    if step
        .content
        .as_ref()
        .is_some_and(|content| outcome.body != content.as_bytes())
    {
        return Err(format!(
            "the content is {:?}",
            String::from_utf8_lossy(&outcome.body)
        ));
    }
    has("the client", &outcome.headers, &step.has)?;
    lacks("the client", &outcome.headers, &step.lacks)?;
    has("the origin", asked, &step.asked)?;
    lacks("the origin", asked, &step.unasked)
}
