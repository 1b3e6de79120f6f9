//! Random histories: valid ones are accepted, each kind of damage to one is rejected, and nonsense is survived.

use std::collections::BTreeSet;

use leasehold_lab::{
    checker::{Assumptions, Rule, check},
    history::{self, Event, EventKind},
    resource::Fence,
};
use proptest::{collection::vec, prelude::*};

use crate::{story, world};

fn rules(events: &[Event]) -> BTreeSet<Rule> {
    check(events, &Assumptions::default()).broken.iter().map(|violation| violation.rule).collect()
}

fn valid() -> impl Strategy<Value = Vec<Event>> {
    (1_usize..6, vec(any::<u8>(), 20..400), any::<bool>())
        .prop_map(|(clients, choices, kills)| world::history(clients, &choices, kills))
}

/// Every write was answered: none that is not known can explain a result.
fn valid_and_known() -> impl Strategy<Value = Vec<Event>> {
    (2_usize..6, vec(any::<u8>(), 200..600))
        .prop_map(|(clients, choices)| world::history(clients, &choices, false))
}

/// The places of events of a kind.
fn places(events: &[Event], wanted: impl Fn(&EventKind) -> bool) -> Vec<usize> {
    (0..events.len()).filter(|at| wanted(&events[*at].kind)).collect()
}

fn token(events: &[Event], at: usize) -> Option<u64> {
    match events[at].kind {
        EventKind::Grant { token, .. } => token,
        _ => None,
    }
}

fn set_token(events: &mut [Event], at: usize, new: Option<u64>) {
    if let EventKind::Grant { token, .. } = &mut events[at].kind {
        *token = new;
    }
}

/// Two grants of which one was answered before the other was asked for.
fn ordered_pair(events: &[Event]) -> Option<(usize, usize)> {
    let grants = places(events, |what| matches!(what, EventKind::Grant { .. }));
    let asked_us = |grant: usize| {
        let EventKind::Grant { attempt: number, .. } = events[grant].kind else { return 0 };
        let ask = events
            .iter()
            .find(|event| matches!(event.kind, EventKind::Ask { attempt, .. } if attempt == number));
        ask.map_or(0, |ask| ask.at_us)
    };
    let pairs = grants.iter().flat_map(|one| grants.iter().map(move |other| (*one, *other)));
    pairs.into_iter().find(|(one, other)| events[*one].at_us < asked_us(*other))
}

fn any_event() -> impl Strategy<Value = Event> {
    let number = prop_oneof![0_u64..6, any::<u64>()];
    let time = prop_oneof![0_u64..40, any::<u64>()];
    let name = prop_oneof![Just("x".to_string()), Just("y".to_string())];
    let what = (number.clone(), name, any::<bool>(), number.clone(), time.clone(), 0_u8..14);
    let what = what.prop_map(|(attempt, name, flag, value, deadline_us, kind)| match kind {
        0 | 1 => EventKind::Ask { attempt, lock: name, shared: flag },
        2 | 3 => EventKind::Grant {
            attempt,
            token: (value % 5 > 0).then_some(value),
            deadline_us: (value % 3 > 0).then_some(deadline_us),
        },
        4 => EventKind::Busy { attempt },
        5 => EventKind::Fail { attempt, unknown: flag },
        6 => EventKind::Extend { attempt, deadline_us },
        7 => EventKind::Lost { attempt },
        8 => EventKind::Release { attempt },
        9 => EventKind::Read { attempt, resource: name, value: flag.then_some(value) },
        10 | 11 => {
            EventKind::Write { attempt, resource: name, value, accepted: (value % 3 > 0).then_some(flag) }
        }
        12 => EventKind::Final { resource: name, value },
        _ => {
            if flag {
                EventKind::Gone
            } else {
                EventKind::Healed
            }
        }
    });
    (time, 0_u32..5, what).prop_map(|(at_us, process, kind)| Event { at_us, process, kind })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_histories_are_accepted(events in valid()) {
        let report = check(&events, &Assumptions::default());
        prop_assert!(report.is_good(), "{:?}\n{events:#?}", report.broken);
        prop_assert_eq!((report.figures.double_holds, report.figures.updates_lost), (0, 0));
    }

    #[test]
    fn swapped_tokens_are_rejected(mut events in valid()) {
        let Some((one, other)) = ordered_pair(&events) else { return Ok(()) };
        let tokens = (token(&events, one), token(&events, other));
        set_token(&mut events, one, tokens.1);
        set_token(&mut events, other, tokens.0);
        prop_assert!(rules(&events).contains(&Rule::Tokens));
    }

    #[test]
    fn a_token_granted_twice_is_rejected(mut events in valid(), at: prop::sample::Index) {
        let grants = places(&events, |what| matches!(what, EventKind::Grant { .. }));
        if grants.len() < 2 { return Ok(()) }
        let at = at.index(grants.len() - 1);
        let earlier = token(&events, grants[at]);
        set_token(&mut events, grants[at + 1], earlier);
        prop_assert!(rules(&events).contains(&Rule::Order));
    }

    #[test]
    fn a_hold_that_lasts_into_another_is_rejected(mut events in valid()) {
        let Some((one, other)) = ordered_pair(&events) else { return Ok(()) };
        // The first never lets go and is not killed, and the other is a writer's.
        let (first, second) = (events[one].kind.clone(), events[other].kind.clone());
        let (EventKind::Grant { attempt: first, .. }, EventKind::Grant { attempt: second, .. }) = (first, second) else {
            return Ok(());
        };
        events.retain(|event| event.kind != EventKind::Gone);
        events.retain(|event| !matches!(event.kind, EventKind::Release { attempt } if attempt == first));
        for event in &mut events {
            match &mut event.kind {
                EventKind::Grant { attempt, deadline_us, .. } if *attempt == first => *deadline_us = Some(u64::MAX),
                EventKind::Ask { attempt, shared, .. } if *attempt == second => *shared = false,
                _ => {}
            }
        }
        let found = rules(&events);
        prop_assert!(found.contains(&Rule::Exclusion) || found.contains(&Rule::Order), "{found:?}");
    }

    #[test]
    fn a_write_that_vanishes_is_rejected(mut events in valid_and_known(), at: prop::sample::Index) {
        let done = places(&events, |what| matches!(what, EventKind::Write { accepted: Some(true), .. }));
        if done.is_empty() { return Ok(()) }
        let EventKind::Write { attempt: number, .. } = events[done[at.index(done.len())]].kind else { return Ok(()) };
        events.retain(|event| !matches!(event.kind, EventKind::Write { attempt, .. } if attempt == number));
        prop_assert!(rules(&events).contains(&Rule::Resource));
    }

    #[test]
    fn a_result_that_is_too_low_is_rejected(mut events in valid()) {
        let acknowledged = places(&events, |what| matches!(what, EventKind::Write { accepted: Some(true), .. })).len();
        if acknowledged == 0 { return Ok(()) }
        let end_us = events.last().map_or(0, |event| event.at_us);
        events.retain(|event| !matches!(event.kind, EventKind::Final { .. }));
        events.push(story::last(end_us, acknowledged as u64 - 1));
        prop_assert!(rules(&events).contains(&Rule::Resource));
    }

    #[test]
    fn a_stale_write_that_is_accepted_is_rejected(mut events in valid_and_known(), at: prop::sample::Index) {
        let refused = places(&events, |what| matches!(what, EventKind::Write { accepted: Some(false), .. }));
        if refused.is_empty() { return Ok(()) }
        if let EventKind::Write { accepted, .. } = &mut events[refused[at.index(refused.len())]].kind {
            *accepted = Some(true);
        }
        prop_assert!(rules(&events).contains(&Rule::Resource));
    }

    #[test]
    fn nothing_makes_it_panic(mut events in vec(any_event(), 0..60), clocks: bool, memory: bool, sorted: bool) {
        if sorted {
            events.sort_by_key(|event| event.at_us);
        }
        for fence in [Fence::None, Fence::OnWrite, Fence::ByClaim] {
            let report = check(&events, &Assumptions { clocks, memory, fence, ..Assumptions::default() });
            let mut lines = Vec::new();
            history::write(&events, &mut lines).unwrap();
            prop_assert!(report.broken.iter().all(|violation| !violation.events.is_empty()));
        }
    }

    #[test]
    fn what_was_written_is_judged_alike_when_it_is_read_again(events in valid()) {
        let mut lines = Vec::new();
        history::write(&events, &mut lines).unwrap();
        let again = history::read(&lines[..]).unwrap();
        prop_assert_eq!(check(&again, &Assumptions::default()), check(&events, &Assumptions::default()));
    }
}

/// The properties above mean something: all kinds of events occur.
#[test]
fn the_world_knows_contention_lapses_and_kills() {
    let (mut refused, mut stale, mut gone, mut writes) = (0, 0, 0, 0);
    for seed in 0..200_u32 {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let choices: Vec<u8> = (0..300)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 8) as u8
            })
            .collect();
        let figures = check(&world::history(4, &choices, true), &Assumptions::default()).figures;
        refused += figures.refusals;
        stale += figures.writes_refused;
        gone += figures.gone;
        writes += figures.writes;
    }
    assert!(refused > 100 && stale > 20 && gone > 20 && writes > 500, "{refused} {stale} {gone} {writes}");
}
