//! Whatever the heads and times, each function of the engine keeps its word.

use buttress_cache::rfc9111::{
    Answer, RequestHead, Reuse, Target, Times, Unreachable, Validated, admit, answer, answer_head,
    combine, completion, condition, head_response, invalidated_uris, may_collapse, reuse,
    unreachable, validated,
};
use http::{Method, StatusCode, Uri};
use proptest::{array::uniform3, prelude::*, sample::select};

use super::absurd::{any_headers, any_method, any_stored, any_time};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn freshness_never_grows_with_age(stored in any_stored(), times in uniform3(any_time())) {
        let Some((_, _, stored)) = stored else { return Ok(()) };
        let mut times = times;
        times.sort();
        // The farther from its arrival, by a clock that goes on or was set back, the older.
        let [earlier, between, later] = times.map(|time| stored.age(time));
        prop_assert!(between <= earlier.max(later));

        times.sort_by_key(|time| stored.age(*time));
        let [younger, older, _] = times;
        prop_assert!(stored.ttl(younger) >= stored.ttl(older));
        prop_assert!(stored.is_fresh(younger) || !stored.is_fresh(older));
        let mut marked = stored.clone();
        marked.mark_stale();
        prop_assert!(!marked.is_fresh(younger));
    }

    #[test]
    fn nothing_panics_and_answers_are_within_the_body(
        stored in any_stored(),
        method in any_method(),
        request in any_headers(),
        update in any_headers(),
        status in select(vec![200, 206, 304, 304, 404, 500]),
        (now, requested, responded) in (any_time(), any_time(), any_time()),
        received in prop_oneof![0..20_u64, Just(u64::MAX)],
    ) {
        let head = RequestHead::new(&method, &request);
        let _ = (admit(&head, false), may_collapse(&head), head.directives());
        let uri: Uri = "/a?b".parse().unwrap();
        if let Some(target) = Target::of("https", &uri, &request) {
            for uri in invalidated_uris(&target, &update) {
                prop_assert!(Target::of_uri(&uri).is_some());
            }
        }
        let Some((options, asked, stored)) = stored else { return Ok(()) };
        // It may answer the very request that it answered.
        prop_assert!(stored.matches(&RequestHead::new(&Method::GET, &asked)));
        let status = StatusCode::from_u16(status).unwrap();
        let times = Times { requested, responded };
        let mut suspect = stored.clone();
        suspect.mark_suspect();
        let reused = reuse(&options, &head, &suspect, now);
        prop_assert!(!matches!(reused, Reuse::Serve(_) | Reuse::ServeAndRevalidate));
        // Where the origin fails, it stands in as if there were no doubt.
        if let Reuse::Serve(_) | Reuse::ServeAndRevalidate = reuse(&options, &head, &stored, now) {
            let failed = unreachable(&options, &head, &suspect, now);
            prop_assert_eq!(failed, Unreachable::Stale);
            let (times, code) = (Times { requested, responded: now }, StatusCode::BAD_GATEWAY);
            let failed = validated(&options, &head, &suspect, code, &update, times);
            prop_assert!(matches!(failed, Validated::Stale));
        } else {
            let failed = unreachable(&options, &head, &suspect, now);
            prop_assert_eq!(failed, unreachable(&options, &head, &stored, now));
        }
        prop_assert_eq!(suspect.keep_for(&options, now), stored.keep_for(&options, now));
        let _ = (stored.keep_for(&options, now), stored.weight());
        let answer = answer(&head, &stored, received, now);
        if let Answer::Part(slice) = answer {
            prop_assert!(slice.length > 0 && slice.offset + slice.length <= received);
            prop_assert_eq!(slice.part.len(), slice.length);
        }
        let (_, fields) = answer_head(&answer, &stored, now);
        // Nothing but what is asked for grows the map.
        prop_assert!(answer != Answer::Stored || fields.len() == stored.headers().len());
        prop_assert!(fields.get_all("age").iter().count() <= 1);
        let mut outgoing = request.clone();
        condition(&stored, &mut outgoing, now);
        completion(&stored, &mut outgoing);
        let _ = validated(&options, &head, &stored, status, &update, times);
        let _ = head_response(&options, &head, &stored, received, status, &update, times);
        if let Ok(complete) = stored.clone().complete(received, true)
            && let Ok(length) = usize::try_from(received)
            && let Some(all) = combine(&stored, length, &complete, length)
        {
            prop_assert!(!all.pieces.is_empty());
        }
    }
}
