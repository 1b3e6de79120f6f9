use leasehold::{LockName, Sequencer, store::Mode};

use super::*;

const TTL: Duration = Duration::from_secs(10);

fn one(tag: u32, stance: Stance, token: u64) -> Contender {
    let sequencer: Sequencer = format!("leasehold:x:{token}:job").parse().unwrap();
    Contender {
        tag,
        stance,
        mode: Some(Mode::Exclusive),
        expires_in: Some(TTL),
        age: Some(Duration::ZERO),
        fence: (stance != Stance::Waiting).then(|| sequencer.fencing_token()),
        note: None,
    }
}

fn lock(holders: &[(u32, u64)], waiters: &[u32], fence: u64) -> Snapshot {
    let sequencer: Sequencer = format!("leasehold:x:{fence}:job").parse().unwrap();
    Snapshot {
        name: LockName::new("job").unwrap(),
        holders: holders.iter().map(|(tag, token)| one(*tag, Stance::Holding, *token)).collect(),
        waiters: waiters.iter().map(|tag| one(*tag, Stance::Waiting, 1)).collect(),
        fence: Some(sequencer.fencing_token()),
        members: Vec::new(),
    }
}

fn seen(before: &Snapshot, after: &Snapshot, passed: u64) -> String {
    seen_with(Counter::OfOneLock { by_release: 0 }, before, after, passed)
}

fn seen_with(counter: Counter, before: &Snapshot, after: &Snapshot, passed: u64) -> String {
    let words = changes(before, after, Duration::from_secs(passed), counter);
    words
        .iter()
        .map(|change| format!("{} {}", change.kind.word(), change.who.tag))
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn each_change_has_its_word() {
    let held = lock(&[(1, 5)], &[2], 5);
    for (before, after, passed, words) in [
        (lock(&[], &[], 4), lock(&[(1, 5)], &[], 5), 1, "granted 1"),
        (lock(&[(1, 5)], &[], 5), held.clone(), 1, "waiting 2"),
        (held.clone(), held.clone(), 1, ""),
        (held.clone(), lock(&[(1, 5)], &[], 5), 1, "left 2"),
        (held.clone(), lock(&[(2, 6)], &[], 6), 1, "released 1, granted 2"),
        (held.clone(), lock(&[(2, 6)], &[], 6), 10, "lost 1, granted 2"),
        (held.clone(), lock(&[], &[2], 6), 1, "forced 1"),
        (held.clone(), lock(&[], &[2], 5), 1, "released 1"),
        // The waiter may have held it meanwhile.
        (held.clone(), lock(&[], &[], 6), 1, "released 1, left 2"),
        (lock(&[(1, 5), (3, 6)], &[], 6), lock(&[(3, 6)], &[], 6), 1, "released 1"),
        (held.clone(), lock(&[(7, 9)], &[8], 9), 1, "released 1, granted 7, left 2, waiting 8"),
    ] {
        assert_eq!(seen(&before, &after, passed), words, "{before:?} {after:?}");
    }
}

/// A grant of another lock raises a counter that is shared.
#[test]
fn only_the_counter_of_the_lock_itself_tells_of_force() {
    let (held, ended) = (lock(&[(1, 5)], &[2], 5), lock(&[], &[2], 6));
    assert_eq!(seen_with(Counter::Shared, &held, &ended, 1), "released 1");
    assert_eq!(seen_with(Counter::OfOneLock { by_release: 0 }, &held, &ended, 1), "forced 1");
    // A release that has reserved the token of the next grant, and a new observer.
    let reserving = Counter::OfOneLock { by_release: 2 };
    for (counter, word) in [(6, "released 1"), (7, "released 1"), (8, "forced 1")] {
        assert_eq!(seen_with(reserving, &held, &lock(&[], &[2], counter), 1), word, "{counter}");
    }
}

#[test]
fn a_lock_delay_is_the_end_of_a_lost_hold() {
    let held = lock(&[(1, 5)], &[], 5);
    let mut delayed = held.clone();
    delayed.holders[0].stance = Stance::Delaying;
    assert_eq!(seen(&held, &delayed, 1), "lost 1");
    assert_eq!(seen(&delayed, &free(&delayed), 1), "");
}

#[test]
fn jeopardy_is_announced_once_and_only_of_holders_that_renew() {
    let at = |left: u64| {
        let mut lock = lock(&[(1, 5)], &[], 5);
        lock.holders[0].expires_in = Some(Duration::from_secs(left));
        lock
    };
    let mut renewals = Renewals::default();
    let second = Duration::from_secs(1);
    let mut found = |lefts: &[u64]| -> Vec<usize> {
        lefts.iter().map(|left| renewals.observe(&[at(*left)], 2 * second).len()).collect()
    };
    assert_eq!(found(&[10, 10, 8, 6, 4, 2, 10, 8, 6, 4]), [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    let mut renewals = Renewals::default();
    let mut found = |left: u64| renewals.observe(&[at(left)], 2 * second).len();
    assert_eq!([10, 8, 6, 4, 2, 0].map(&mut found), [0; 6], "a hold with a fixed end");
    let mut next = Renewals::default();
    next.observe(&[at(10)], second);
    assert_eq!(next.next_look(), Some(5 * second));
    // A late holder is looked at again at its end: a renewal meanwhile is seen, and a later release is none of its ends.
    next.observe(&[at(4)], second);
    assert_eq!(next.next_look(), Some(4 * second));
}
