//! The same verdict from a checker of another kind: the search of Wing and Gong with Lowe's memory, which knows nothing
//! of tokens as an order, over a model of a fenced readers-writer lock. It is exponential, so histories are small.

use std::collections::{BTreeSet, HashSet};

use leasehold_lab::{
    checker::{Assumptions, Rule, check},
    history::{Event, EventKind},
};
use proptest::{collection::vec, prelude::*};

use crate::{story, world};

/// A sequential thing: what may happen next, and what it is then.
trait Model: Sized {
    type State: Clone + Eq + std::hash::Hash;
    type Op: Clone;
    fn start() -> Self::State;
    fn step(state: &Self::State, op: &Self::Op) -> Option<Self::State>;
}

/// An operation that took effect at some instant from the first to the second.
#[derive(Clone, Debug)]
struct Span<Op> {
    from_us: u64,
    to_us: u64,
    op: Op,
}

/// Whether some order of the operations, one after the other and each inside its span, is one of the model's.
fn is_linearizable<M: Model>(spans: &[Span<M::Op>]) -> bool {
    fn search<M: Model>(
        spans: &[Span<M::Op>],
        done: u64,
        state: &M::State,
        seen: &mut HashSet<(u64, M::State)>,
    ) -> bool {
        if done == (1 << spans.len()) - 1 {
            return true;
        }
        if !seen.insert((done, state.clone())) {
            return false;
        }
        let left = || (0..spans.len()).filter(|at| done & (1 << at) == 0);
        let first_end_us = left().map(|at| spans[at].to_us).min().unwrap_or(u64::MAX);
        left().filter(|at| spans[*at].from_us <= first_end_us).any(|at| {
            M::step(state, &spans[at].op)
                .is_some_and(|next| search::<M>(spans, done | (1 << at), &next, seen))
        })
    }
    search::<M>(spans, 0, &M::start(), &mut HashSet::new())
}

/// A readers-writer lock whose grants carry growing tokens.
struct FencedLock;

#[derive(Clone, Debug)]
enum Op {
    Grant { attempt: u64, token: u64, shared: bool },
    End { attempt: u64 },
}

impl Model for FencedLock {
    /// The last token, and who holds.
    type State = (u64, BTreeSet<(u64, bool)>);
    type Op = Op;

    fn start() -> Self::State {
        (0, BTreeSet::new())
    }

    fn step((last, holders): &Self::State, op: &Op) -> Option<Self::State> {
        let mut holders = holders.clone();
        match op {
            Op::Grant { attempt, token, shared } => {
                let free = holders.iter().all(|(_, other)| *shared && *other);
                holders.insert((*attempt, *shared));
                (free && token > last).then_some((*token, holders))
            }
            Op::End { attempt } => {
                let before = holders.len();
                holders.retain(|(holder, _)| holder != attempt);
                (holders.len() < before).then_some((*last, holders))
            }
        }
    }
}

/// A grant lies between question and answer; its end at any time from the release, the loss or the deadline on.
fn spans(events: &[Event]) -> Vec<Span<Op>> {
    let mut spans = Vec::new();
    for event in events {
        let EventKind::Grant { attempt: number, token, deadline_us } = event.kind else { continue };
        let of = |event: &&Event| matches!(event.kind, EventKind::Ask { attempt, .. } | EventKind::Release { attempt } if attempt == number);
        let (mut asked_us, mut shared, mut end_us) = (0, false, deadline_us.unwrap_or(u64::MAX));
        for other in events.iter().filter(of) {
            match other.kind {
                EventKind::Ask { shared: wanted, .. } => (asked_us, shared) = (other.at_us, wanted),
                _ => end_us = end_us.min(other.at_us),
            }
        }
        let op = Op::Grant { attempt: number, token: token.unwrap_or_default(), shared };
        spans.push(Span { from_us: asked_us, to_us: event.at_us, op });
        spans.push(Span { from_us: end_us, to_us: u64::MAX, op: Op::End { attempt: number } });
    }
    spans
}

/// Whether the three rules about grants are kept.
fn grants_are_good(events: &[Event]) -> bool {
    let report = check(events, &Assumptions::default());
    let about_grants = |rule: &Rule| matches!(rule, Rule::Order | Rule::Exclusion | Rule::Tokens);
    !report.broken.iter().any(|violation| about_grants(&violation.rule))
}

/// One hold with any times at all, as far as its own events are in order.
fn any_hold(attempt: u64) -> impl Strategy<Value = Vec<Event>> {
    let times = (0_u64..12, 0_u64..6, 0_u64..8, prop::option::of(0_u64..6));
    (times, 1_u64..7, prop::bool::weighted(0.3)).prop_map(
        move |((start, answer, lease, held), token, shared)| {
            let granted_us = start + answer;
            let asked = if shared { story::ask_shared(start, attempt) } else { story::ask(start, attempt) };
            let mut events = vec![asked, story::grant(granted_us, attempt, token, granted_us + lease)];
            events.extend(held.map(|held| story::release(granted_us + held, attempt)));
            events
        },
    )
}

fn any_small() -> impl Strategy<Value = Vec<Event>> {
    let holds = (any_hold(1), any_hold(2), any_hold(3), any_hold(4), any_hold(5));
    (holds, 1_usize..6).prop_map(|((a, b, c, d, e), count)| {
        story::sorted([a, b, c, d, e].into_iter().take(count).flatten().collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_judge_small_random_histories_alike(events in any_small()) {
        prop_assert_eq!(
            grants_are_good(&events),
            is_linearizable::<FencedLock>(&spans(&events)),
            "{:#?}\n{:?}", events, check(&events, &Assumptions::default()).broken
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_accept_what_the_world_leaves_behind(clients in 1_usize..4, choices in vec(any::<u8>(), 20..140)) {
        let events = world::history(clients, &choices, true);
        let spans = spans(&events);
        prop_assume!(spans.len() < 40);
        prop_assert!(grants_are_good(&events) && is_linearizable::<FencedLock>(&spans), "{events:#?}");
    }
}

/// Random histories are of both kinds often enough to mean something.
#[test]
fn both_verdicts_occur() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut good, mut bad) = (0, 0);
    for _ in 0..500 {
        let events = any_small().new_tree(&mut runner).unwrap().current();
        if grants_are_good(&events) { good += 1 } else { bad += 1 }
    }
    assert!(good > 50 && bad > 50, "{good} good, {bad} bad");
}
